"""A server's own account of a request, as each of them gives it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.contracts import Headers
from exporter.model.load import Load, Spent, of_one
from exporter.model.observation import Part
from exporter.protocols import account, triton_statistics
from tests.fakes.hosted_openai import KEY, HostedOpenAi
from tests.fakes.llama_cpp import LlamaCpp
from tests.fakes.tei import Tei
from tests.fakes.tgi import Tgi
from tests.fakes.vllm import Vllm
from tests.protocols.scripted import FakeExchange

PS = (200, json.dumps({"models": [{"name": "m", "model": "m", "digest": "d", "expires_at": "2299-01-01T00:00:00Z"}]}))
TIMINGS = {"prompt_n": 6, "prompt_ms": 20.5, "predicted_n": 4, "predicted_ms": 80.25, "predicted_per_second": 49.8}
METRICS = {
    "time_to_first_token_ms": 85.2, "generation_time_ms": 1240.5, "queue_time_ms": 12.3, "mean_itl_ms": 9.1,
    "tokens_per_second": 103.2,
}  # fmt: skip


def seconds(**parts):
    return {Part(part): pytest.approx(number) for part, number in parts.items()}


@pytest.mark.parametrize("kind", ["infer", "stream"])
async def test_llama_cpp(reach, kind):
    async with LlamaCpp() as server:
        server.account = {"timings": TIMINGS}
        found = await reach(server, "openai", kind, {}, model=server.model)
        assert found.failure is None
        assert found.server_seconds == seconds(prefill=0.0205, decode=0.08025)


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("kind", ["infer", "stream"])
async def test_vllm(reach, kind, api):
    async with Vllm() as server:
        server.account = {"metrics": METRICS}
        found = await reach(server, "openai", kind, {"api": api}, model=server.model)
        assert found.failure is None
        assert found.server_seconds == seconds(queue=0.0123, prefill=0.0852, decode=1.2405)
        server.account = {"metrics": None}
        assert (await reach(server, "openai", kind, {"api": api}, model=server.model)).server_seconds == {}


async def test_an_account_beside_usage_alone_is_read(ask):
    events = [
        {"choices": [{"index": 0, "delta": {"content": "OK"}, "finish_reason": "stop"}]},
        {"choices": [], "metrics": METRICS},
    ]
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"
    answers = {"POST /v1/chat/completions": (200, "text/event-stream", [(101, body)])}
    found = await ask("openai", "stream", answers, {}, options={"server": "generic"})
    assert found.server_seconds == seconds(queue=0.0123, prefill=0.0852, decode=1.2405)


async def test_hosted(reach):
    async with HostedOpenAi() as server:
        server.headers = {"openai-processing-ms": "312"}
        found = await reach(server, "openai", "infer", {}, model=server.model, key=KEY)
        assert found.server_seconds == seconds(compute=0.312)
        # Of a stream the header comes before its first token: it says how long that took, and not the answer.
        assert (await reach(server, "openai", "stream", {}, model=server.model, key=KEY)).server_seconds == {}


async def test_what_the_answer_says_goes_before_its_headers(reach):
    async with Vllm() as server:
        server.account, server.headers = {"metrics": METRICS}, {"openai-processing-ms": "312"}
        found = await reach(server, "openai", "infer", {}, model=server.model)
        assert Part.COMPUTE not in found.server_seconds


async def test_tgi_and_tei(reach):
    async with Tgi() as server:
        assert (await reach(server, "tgi", "infer", {})).server_seconds == seconds(queue=0.003, compute=0.04)
    async with Tei() as server:
        assert (await reach(server, "tei", "infer", {})).server_seconds == seconds(queue=0.002, compute=0.009)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"load_duration": 9e9, "prompt_eval_duration": 20_000_000, "eval_duration": 300_000_000}, (0.02, 0.3)),
        ({"eval_duration": 300_000_000}, (None, 0.3)),  # all of the prompt was cached
        ({}, (None, None)),
    ],
)
@pytest.mark.parametrize("kind", ["infer", "stream"])
async def test_ollama(ask, kind, told, found):
    last = {"response": "OK.", "done": True, "done_reason": "stop", "eval_count": 2, **told}
    whole, line = json.dumps(last), json.dumps(last).encode() + b"\n"
    answer = (200, whole) if kind == "infer" else (200, "application/x-ndjson", [(101, line)])
    fake = FakeExchange({"GET /api/ps": PS, "POST /api/generate": answer})
    observed = await ask("ollama", kind, fake, {}, model="m", wake=True)
    named = {Part.PREFILL: found[0], Part.DECODE: found[1]}
    assert observed.failure is None
    assert observed.server_seconds == {part: pytest.approx(took) for part, took in named.items() if took is not None}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = (*TIMINGS, *METRICS, "prompt_eval_duration", "eval_duration")


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_whatever_is_told_only_times_are_believed(told):
    for found in (
        account.of_ollama(told),
        account.of_openai({"timings": told}),
        account.of_openai({"metrics": told}),
        account.of_openai({"timings": list(told.values())}),
    ):
        assert set(found) <= set(Part)
        assert all(type(took) is float and math.isfinite(took) and 0 <= took <= 86_400 for took in found.values())


@given(st.text(max_size=12), st.text(max_size=12))
def test_headers_are_text(one, other):
    for names in (("x-queue-time", "x-inference-time"), ("openai-processing-ms", "x-queue-time")):
        found = account.of_headers(Headers(list(zip(names, (one, other), strict=True))))
        assert all(math.isfinite(took) and took >= 0 for took in found.values())


@pytest.mark.parametrize("text", ["inf", "nan", "1e9", "-3", " 3", "٣", "1_0", "", "9" * 20])
def test_a_header_that_is_no_time(text):
    assert account.of_headers(Headers([("openai-processing-ms", text)])) == {}


def test_a_gateways_own_queue_time_is_not_the_servers():
    assert account.of_headers(Headers([("X-Queue-Time", "3")])) == {}


# Triton


def statistics(success=4, queue=10, compute=(1, 2, 3), fail=0):
    parts = dict(zip(("compute_input", "compute_infer", "compute_output"), compute, strict=True))
    stats = {name: {"count": success, "ns": ns} for name, ns in ({"queue": queue} | parts).items()}
    return {"inference_stats": {"success": {"count": success}, "fail": {"count": fail}, **stats}}


def read(*entries):
    return triton_statistics.read(json.dumps({"model_stats": entries}).encode())


def test_triton_over_all_versions():
    found = read(statistics(), statistics(success=2, queue=5, fail=1))
    assert found.spent == Spent(7, seconds(queue=15e-9, compute=12e-9))
    assert found.progress == 7


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"inference_stats": []},
        {"inference_stats": {"success": {"count": "4"}}},
        statistics(queue="soon"),
        statistics(queue=-1),
        statistics(success=None),
    ],
)
def test_triton_that_does_not_account_for_everything(entry):
    assert read(statistics(), entry).spent is None
    assert read().spent is None


def test_exactly_one_request_is_ours():
    before = read(statistics(success=4, queue=1_000_000_000, compute=(0, 2_000_000_000, 0)))
    for others, found in ((0, None), (1, seconds(queue=0.25, compute=1.5)), (2, None)):
        after = read(statistics(success=4 + others, queue=1_250_000_000, compute=(0, 3_400_000_000, 100_000_000)))
        assert of_one(before, after) == (found or {})
    for nothing in (None, Load(), Load(progress=3)):
        assert of_one(before, nothing) == of_one(nothing, before) == {}


def test_a_request_that_failed_beside_ours_spoils_the_account():
    assert of_one(read(statistics()), read(statistics(success=5, fail=1))) == {}


def test_a_server_that_began_anew_tells_nothing():
    assert of_one(read(statistics(success=4, queue=100)), read(statistics(success=5, queue=7))) == {}
