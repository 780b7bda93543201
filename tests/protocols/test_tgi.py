import json

import pytest

from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.stream import Channel, Outcome, Tokens
from tests.fakes.tgi import ERRORS, Tgi
from tests.protocols.scripted import FakeExchange, build

GENERATE = "POST /generate"


def frame(text="", *, special=False, whole=None, details=None):
    return {"token": {"text": text, "special": special}, "generated_text": whole, "details": details}


def stream(*values, end=None):
    body = b"".join(f"data:{json.dumps(value)}\n\n".encode() for value in values)
    return {"POST /generate_stream": (200, "text/event-stream", [(101, body), (102, end)])}


async def test_default_probes(reach):
    async with Tgi() as fake:
        for kind in ("health", "ready"):
            assert (await reach(fake, "tgi", kind)).failure is None
        found = await reach(fake, "tgi", "metadata")
        assert found.info == {
            "server": "tgi",
            "server_version": "3.3.6",
            "model_id": "org/tiny",
            "model_version": "f00d",
        }
        assert found.facts == {"max_input_tokens": 4095.0, "max_model_len": 4096.0, "max_concurrent_requests": 128.0}
        assert fake.asked == ["GET /health", "GET /info", "GET /info"]


@pytest.mark.parametrize(
    ("queue", "shown", "reason", "evidence"),
    [
        (3, True, Reason.OVERLOADED, Evidence.BUSY),
        (0, True, Reason.HTTP_STATUS, Evidence.BROKEN),
        (3, False, Reason.HTTP_STATUS, Evidence.BROKEN),  # its metrics are on another port: nothing speaks for load
    ],
)
async def test_unhealthy_with_a_queue_is_overloaded(reach, queue, shown, reason, evidence):
    async with Tgi() as fake:
        fake.healthy, fake.queue, fake.shows_metrics = False, queue, shown
        failure = (await reach(fake, "tgi", "health")).failure
        assert (failure.reason, failure.row.evidence, failure.http_status) == (reason, evidence, 503)


@pytest.mark.parametrize(
    ("answer", "asked", "reason"),
    [
        ((503, '{"error":"queue is full","error_type":"healthcheck"}'), 1, Reason.OVERLOADED),
        ((503, "starting"), 1, Reason.NOT_READY),
        ((500, ""), 1, Reason.HTTP_STATUS),
        ((503, ""), 2, Reason.HTTP_STATUS),
    ],
)
async def test_health_that_says_what_it_is(ask, answer, asked, reason):
    fake = FakeExchange({"GET /health": answer, "GET /metrics": Failure(Reason.RESET)})
    assert (await ask("tgi", "health", fake)).failure.reason is reason
    assert len(fake.asked) == asked


@pytest.mark.parametrize("body", ["{}", "[]", '{"model_id":7}', "<html>"])
async def test_info_of_something_else(ask, body):
    for kind in ("ready", "metadata", "catalogue"):
        assert (await ask("tgi", kind, {"GET /info": (200, body)})).failure.reason is Reason.MALFORMED


async def test_infer(reach):
    async with Tgi() as fake:
        own = {"prompt": "Go", "temperature": 0.5, "seed": 7, "max_tokens": 4, "expect": {"equals": "OK."}}
        found = await reach(fake, "tgi", "infer", own)
        assert (found.failure, found.answer, found.tokens) == (None, "OK.", Tokens(output=3))
        assert fake.requests[0].json == {
            "inputs": "Go",
            "parameters": {"max_new_tokens": 4, "details": True, "temperature": 0.5, "seed": 7, "do_sample": True},
        }
        assert (await reach(fake, "tgi", "infer")).failure is None  # greedy: it refuses a temperature of 0
        assert "temperature" not in fake.requests[1].json["parameters"]


@pytest.mark.parametrize(
    ("kind", "words", "reason", "evidence"),
    [
        ("validation", "Input validation error: too long", Reason.HTTP_STATUS, Evidence.REFUSED),
        ("generation", "Request failed during generation: CUDA", Reason.HTTP_STATUS, Evidence.BROKEN),
        ("overloaded", "Model is overloaded", Reason.OVERLOADED, Evidence.BUSY),
        ("incomplete_generation", "Incomplete generation", Reason.HTTP_STATUS, Evidence.BROKEN),
    ],
)
async def test_errors(reach, kind, words, reason, evidence):
    async with Tgi() as fake:
        fake.trouble = (kind, words)
        failure = (await reach(fake, "tgi", "infer")).failure
        assert (failure.reason, failure.row.evidence) == (reason, evidence)
        assert f"HTTP {ERRORS[kind]}: {words}" in failure.detail
        found = await reach(fake, "tgi", "stream")  # there, the same comes as an event with status 200
        assert found.stream.outcome is Outcome.ERROR_EVENT
        assert found.failure.reason is (reason if reason is Reason.OVERLOADED else Reason.ERROR_EVENT)
        assert words in found.failure.detail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((429, "slow down"), Reason.RATE_LIMITED),  # a gateway's, not the server's
        ((429, '{"error":"Model is overloaded"}'), Reason.OVERLOADED),  # older servers send no type
        ((424, "{nonsense"), Reason.HTTP_STATUS),
        ((200, '{"error":"x","error_type":"generation"}'), Reason.ERROR_EVENT),
        ((200, '{"error":"x","error_type":"overloaded"}'), Reason.OVERLOADED),
        ((200, '{"generated_text":""}'), Reason.EMPTY),
        ((200, '{"generated_text":"no"}'), Reason.EXPECTATION),
        ((200, '{"text":"OK"}'), Reason.MALFORMED),
        ((200, "[]"), Reason.MALFORMED),
        ((200, "OK"), Reason.MALFORMED),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    assert (await ask("tgi", "infer", {GENERATE: answer}, {"expect": {"text": "OK"}})).failure.reason is reason


async def test_the_compatible_route_answers_with_a_list(ask):
    answers = {"POST /": (200, '[{"generated_text":"OK."}]')}
    assert (await ask("tgi", "infer", answers, {"path": "/"})).answer == "OK."


async def test_stream(reach):
    async with Tgi() as fake:
        found = await reach(fake, "tgi", "stream", {"expect": {"equals": "OK."}})
        assert found.failure is None
        assert found.stream.outcome is Outcome.COMPLETE
        assert found.stream.token_events == 2  # special tokens are none
        assert set(found.stream.ttft) == {Channel.CONTENT}
        assert found.tokens == Tokens(input=5, output=3)


async def test_a_stream_that_is_cut(reach):
    async with Tgi() as fake:
        fake.after = 1
        found = await reach(fake, "tgi", "stream")
        assert (found.stream.outcome, found.failure.reason) == (Outcome.NO_DONE, Reason.INCOMPLETE)


async def test_a_stream_that_breaks_off_with_an_error(reach):
    async with Tgi() as fake:
        fake.after, fake.trouble = 1, ("generation", "CUDA error")
        found = await reach(fake, "tgi", "stream")
        assert (found.stream.outcome, found.stream.token_events) == (Outcome.ERROR_EVENT, 1)


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((frame("O"), frame("K", whole="OK", details={"finish_reason": "length"})), Outcome.LENGTH),
        ((frame("OK"), frame(whole="OK")), Outcome.COMPLETE),  # without details
        ((frame("OK"), frame(whole="")), Outcome.COMPLETE),
        ((frame("</s>", special=True, whole=""),), Outcome.EMPTY),
        (({"token": None, "generated_text": "OK"},), Outcome.EMPTY),
        (("text",), Outcome.MALFORMED),
    ],
)
async def test_ends_of_streams(ask, values, outcome):
    assert (await ask("tgi", "stream", stream(*values))).stream.outcome is outcome


async def test_load(reach):
    async with Tgi() as fake:
        fake.queue, fake.running, fake.steps = 2, 5, 40
        assert await reach(fake, "tgi", "load") == Load(running=5, waiting=2, progress=80)
        fake.shows_metrics = False
        assert await reach(fake, "tgi", "load") is None


async def test_catalogue_and_proposal(reach):
    async with Tgi() as fake:
        assert (await reach(fake, "tgi", "catalogue")).models == ("org/tiny",)
        proposal = (await reach(fake, "tgi", "propose")).proposal
        assert proposal.kind == "stream"
        assert fake.asked == ["GET /info"]


def test_scope_and_problems():
    assert build("tgi", Kind.READY, model="m").scope() is Scope.SERVER  # it serves whatever it was started with
    assert build("tgi", Kind.INFER, {"body": {}, "prompt": "x"}).problems(Kind.INFER)[0][0] == ("prompt",)
    assert not build("tgi", Kind.STREAM, {"body": {}}).problems(Kind.STREAM)
    assert not build("tgi", Kind.HEALTH).problems(Kind.HEALTH)
