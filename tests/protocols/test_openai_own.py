"""APIs that are not OpenAI's, of servers that have both: llama.cpp's /completion and SGLang's /generate."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.failure import Asleep, Evidence, Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Part
from exporter.model.stream import Channel, Outcome, Tokens
from exporter.protocols import openai_sglang
from exporter.transport.framing import Event
from tests.fakes.llama_cpp import LlamaCpp
from tests.fakes.openai_api import WORDS
from tests.fakes.sglang import Sglang
from tests.protocols.scripted import FakeExchange, build

NATIVE = {"completion": LlamaCpp, "generate": Sglang}
ROUTES = {"completion": "POST /completion", "generate": "POST /generate"}
SERVERS = {"completion": {"server": "llama.cpp"}, "generate": {"server": "sglang"}}
NONCE = r"\[probe [0-9a-f]{6}\] "
FINISHED = {"finish_reason": {"type": "stop", "matched": 2}, "prompt_tokens": 9, "completion_tokens": 4}


def streamed(*events, end=None):
    """Each event in a read of its own, 1s apart."""
    frames = [event if isinstance(event, bytes) else b"data: %b\n\n" % json.dumps(event).encode() for event in events]
    return (200, "text/event-stream", [(101 + place, what) for place, what in enumerate([*frames, end])])


@pytest.mark.parametrize("kind", ["infer", "stream"])
@pytest.mark.parametrize("path", ["", "/v1"])
async def test_llama_cpp(reach, kind, path):
    async with LlamaCpp() as server:
        own = {"api": "completion", "prompt": "Hi", "expect": {"equals": "OK. Fine."}}
        found = await reach(server, "openai", kind, own, model=server.model, path=path)
        assert found.failure is None
        # What its slot holds in the end is not what was cached of the prompt.
        assert found.tokens == Tokens(input=9, output=5)
        assert found.server_seconds == {Part.PREFILL: pytest.approx(0.0205), Part.DECODE: pytest.approx(0.08025)}
        assert found.info == {"served_name": server.model}
        if kind == "stream":
            assert (found.stream.outcome, found.stream.token_events) == (Outcome.COMPLETE, len(WORDS))
            assert set(found.stream.ttft) == {Channel.CONTENT}
        assert server.requests[-1].path == "/completion"
        sent = server.requests[-1].json
        assert re.fullmatch(NONCE + "Hi", sent.pop("prompt"))
        more = {"stream": True} if kind == "stream" else {}
        assert sent == {"model": server.model, "n_predict": 16, "temperature": 0.0, "cache_prompt": False, **more}


@pytest.mark.parametrize("kind", ["infer", "stream"])
@pytest.mark.parametrize("path", ["", "/v1"])
async def test_sglang(reach, kind, path):
    async with Sglang() as server:
        own = {"api": "generate", "prompt": "Hi", "priority": 3, "expect": {"equals": "OK. Fine."}}
        found = await reach(server, "openai", kind, own, model=server.model, path=path)
        assert found.failure is None
        assert found.tokens == Tokens(input=7, output=4, cached=2)
        assert found.server_seconds == {Part.COMPUTE: 0.125}
        assert found.info == {"model_version": "v7"}
        if kind == "stream":
            assert (found.stream.outcome, found.stream.token_events) == (Outcome.COMPLETE, len(WORDS))
        assert server.requests[-1].path == "/generate"
        sent = server.requests[-1].json
        assert re.fullmatch(NONCE + "Hi", sent.pop("text"))
        more = {"stream": True} if kind == "stream" else {}
        assert sent == {"sampling_params": {"max_new_tokens": 16, "temperature": 0.0}, "priority": 3, **more}


@pytest.mark.parametrize("api", NATIVE)
async def test_length(reach, api):
    async with NATIVE[api]() as server:
        own = {"api": api, "max_tokens": 2, "expect": {"equals": "OK."}}
        found = await reach(server, "openai", "stream", own, model=server.model)
        assert (found.failure, found.stream.outcome) == (None, Outcome.LENGTH)
        assert found.tokens.output == 2


@pytest.mark.parametrize("api", NATIVE)
async def test_cut_by_us(reach, api):
    async with NATIVE[api]() as server:
        own = {"api": api, "stop_after": 1, "expect": {"text": "OK"}}
        found = await reach(server, "openai", "stream", own, model=server.model)
        assert (found.failure, found.stream.outcome, found.answer) == (None, Outcome.STOPPED, "OK")
        assert found.tokens is None  # it counts as it goes, and may have gone on


@pytest.mark.parametrize("api", NATIVE)
async def test_a_wrong_answer_and_garbage(reach, api):
    async with NATIVE[api]() as server:
        for kind in ("infer", "stream"):
            own = {"api": api, "expect": {"regex": "^Yes"}}
            assert (await reach(server, "openai", kind, own, model=server.model)).failure.reason is Reason.EXPECTATION
    answers = {
        "completion": {"index": 0, "content": "!" * 300, "stop": True},
        "generate": {"text": "!" * 300, "meta_info": FINISHED},
    }
    fake = FakeExchange({ROUTES[api]: (200, json.dumps(answers[api]))})
    found = build("openai", Kind.INFER, {"api": api}, options=SERVERS[api])
    assert (await found.infer(fake)).failure.reason is Reason.EXPECTATION


@pytest.mark.parametrize("api", NATIVE)
async def test_what_a_cache_may_know(reach, api):
    async with NATIVE[api]() as server:
        for own, known in (({}, False), ({"cache": "bypass"}, False), ({"cache": "warm"}, True)):
            await reach(server, "openai", "infer", {"api": api, **own}, model=server.model)
            sent = server.requests[-1].json
            words = sent["prompt"] if api == "completion" else sent["text"]
            assert bool(re.match(NONCE, words)) is not known
            assert sent.get("cache_prompt", known) is known
        if api == "completion":
            warm = await reach(server, "openai", "infer", {"api": api, "seed": 7}, model=server.model)
            assert warm.tokens == Tokens(input=1, output=5, cached=8)
            assert server.requests[-1].json["seed"] == 7


@pytest.mark.parametrize("api", NATIVE)
async def test_a_body_of_ones_own(reach, api):
    bodies = {"completion": {"prompt": "x", "grammar": "g"}, "generate": {"text": "x", "sampling_params": {"n": 1}}}
    async with NATIVE[api]() as server:
        assert (await reach(server, "openai", "infer", {"api": api, "body": bodies[api]})).failure is None
        assert server.requests[-1].json == bodies[api]
        own = {"api": api, "body": {"stream": True}}
        failure = (await reach(server, "openai", "stream", own)).failure
        assert (failure.reason, failure.row.evidence) == (Reason.HTTP_STATUS, Evidence.REFUSED)


async def test_while_llama_cpp_loads(reach):
    async with LlamaCpp() as server:
        server.loading = True
        for kind in ("infer", "stream"):
            found = await reach(server, "openai", kind, {"api": "completion"}, options=SERVERS["completion"])
            assert found.failure.reason is Reason.NOT_READY


async def test_a_sleeping_llama_cpp_is_left_asleep(reach):
    async with LlamaCpp() as server:
        server.sleeping = True
        with pytest.raises(Asleep):
            await reach(server, "openai", "stream", {"api": "completion"}, model=server.model)
        assert server.woken == 0


async def test_a_router_is_told_the_model(reach):
    states = {"a": {"value": "loaded"}}
    async with LlamaCpp(states=states) as server:
        assert (await reach(server, "openai", "infer", {"api": "completion"}, model="a")).failure is None
        found = await reach(server, "openai", "infer", {"api": "completion"}, model="b")
        assert found.failure.row.evidence is Evidence.REFUSED


# How answers are read


@pytest.mark.parametrize(
    ("api", "answer", "reason"),
    [
        ("completion", {"content": "OK."}, None),
        ("completion", [{"content": "OK."}], None),
        ("completion", {"content": "OK.", "stop": True, "stopped_eos": True, "tokens_predicted": "4"}, None),
        ("completion", {"content": ""}, Reason.EMPTY),
        ("completion", {"content": "O", "stop": False}, Reason.INCOMPLETE),
        ("completion", {"content": None}, Reason.MALFORMED),
        ("completion", {"choices": []}, Reason.MALFORMED),
        ("completion", [{"content": "a"}, {"content": "b"}], Reason.MALFORMED),
        ("completion", {"error": {"code": 500, "message": "boom"}}, Reason.ERROR_EVENT),
        ("generate", {"text": "OK.", "meta_info": FINISHED}, None),
        ("generate", [{"text": "OK."}], None),
        ("generate", {"text": "OK.", "meta_info": {"finish_reason": "stop"}}, None),
        ("generate", {"text": "OK.", "meta_info": []}, None),
        ("generate", {"text": "", "meta_info": FINISHED}, Reason.EMPTY),
        ("generate", {"text": 7}, Reason.MALFORMED),
        ("generate", {"output_ids": [7]}, Reason.MALFORMED),
        ("generate", [], Reason.MALFORMED),
        ("generate", {"error": {"message": "boom"}}, Reason.ERROR_EVENT),
        ("generate", {"text": "", "meta_info": {"finish_reason": {"type": "abort", "message": "boom"}}},
         Reason.ERROR_EVENT),
        ("generate", {"text": "", "meta_info": {"finish_reason": "abort"}}, Reason.ERROR_EVENT),
    ],
)  # fmt: skip
async def test_whole(ask, api, answer, reason):
    answers = {ROUTES[api]: (200, json.dumps(answer))}
    found = await ask("openai", "infer", answers, {"api": api, "expect": {"text": "OK"}}, options=SERVERS[api])
    assert (found.failure and found.failure.reason) is reason
    if reason is Reason.ERROR_EVENT and "boom" in json.dumps(answer):
        assert "boom" in found.failure.detail


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        ({"stop_type": "eos"}, Outcome.COMPLETE),
        ({"stop_type": "word", "stopping_word": "."}, Outcome.COMPLETE),
        ({}, Outcome.COMPLETE),  # says nothing of why
        ({"stop_type": "limit"}, Outcome.LENGTH),
        ({"stopped_limit": True}, Outcome.LENGTH),
        ({"stop_type": "limit", "truncated": True}, Outcome.LENGTH),
        ({"truncated": True}, Outcome.LENGTH),  # there was no more room
    ],
)
async def test_how_llama_cpp_ended(ask, last, outcome):
    answers = {ROUTES["completion"]: streamed({"content": "OK"}, {"content": ".", "stop": True, **last})}
    found = await ask("openai", "stream", answers, {"api": "completion"}, options=SERVERS["completion"])
    assert (found.stream.outcome, found.answer, found.stream.duration) == (outcome, "OK.", 2)
    assert found.failure is None


async def test_events_of_llama_cpp_that_are_no_tokens(ask):
    """Progress, other prompts of the same request, and the empty text of the token that ends it."""
    progress = {
        "index": 0,
        "content": "",
        "tokens": [0],
        "stop": False,
        "prompt_progress": {"total": 9, "processed": 4},
    }
    others = [{"index": 1, "content": "no", "stop": False}, {"index": 1, "content": "", "stop": True}]
    events = [b"data: null\n\n", progress, *others, {"index": 0, "content": "OK"}, {"content": "", "stop": True}]
    answers = {ROUTES["completion"]: streamed(*events)}
    found = await ask("openai", "stream", answers, {"api": "completion"}, options=SERVERS["completion"])
    assert (found.answer, found.stream.token_events, found.stream.outcome) == ("OK", 1, Outcome.COMPLETE)
    assert found.stream.ttft == {Channel.CONTENT: 5}


async def test_a_cut_stream(ask):
    for api, event in (("completion", {"content": "OK"}), ("generate", {"text": "OK", "meta_info": {}})):
        answers = {ROUTES[api]: streamed(event)}
        found = await ask("openai", "stream", answers, {"api": api}, options=SERVERS[api])
        assert found.failure.reason is Reason.INCOMPLETE
        answers = {ROUTES[api]: streamed(event, end=Failure(Reason.TRUNCATED))}
        found = await ask("openai", "stream", answers, {"api": api}, options=SERVERS[api])
        assert (found.stream.outcome, found.tokens) == (Outcome.DISCONNECTED, None)


@pytest.mark.parametrize(
    ("abort", "reason"),
    [
        ({"message": "The request queue is full.", "status_code": 503}, Reason.OVERLOADED),
        ({"message": "NaN in the logits", "status_code": 500}, Reason.ERROR_EVENT),
        ({"message": "the queue is broken", "status_code": 500}, Reason.ERROR_EVENT),
        ({}, Reason.ERROR_EVENT),
    ],
)
async def test_a_request_that_sglang_gave_up(reach, abort, reason):
    async with Sglang() as server:
        server.abort = {"type": "abort", **abort}
        found = await reach(server, "openai", "stream", {"api": "generate"}, model=server.model)
        assert (found.stream.outcome, found.failure.reason) == (Outcome.ERROR_EVENT, reason)
        assert abort.get("message", "given up") in found.failure.detail


async def test_done_may_be_left_out_where_the_config_says_so(ask):
    answers = {ROUTES["generate"]: streamed({"text": "OK", "meta_info": FINISHED})}
    for done, outcome in (("optional", Outcome.COMPLETE), ("auto", Outcome.NO_DONE), ("required", Outcome.NO_DONE)):
        options = {"done": done, "server": "sglang"}
        found = await ask("openai", "stream", answers, {"api": "generate"}, options=options)
        assert found.stream.outcome is outcome


# Text that is told again and again


def read(*texts):
    reader = openai_sglang.Reader()
    return [reader(Event(0.0, json.dumps({"text": text, "meta_info": {}}))) for text in texts]


@pytest.mark.parametrize(
    ("texts", "new"),
    [
        (["O", "OK", "OK."], ["O", "K", "."]),
        (["O", "OK. Fi", "OK. Fine."], ["O", "K. Fi", "ne."]),  # several tokens at once
        (["O", "OK", "OK", "OK"], ["O", "K", "", ""]),
        (["OK.", "OK. STO", "OK."], ["OK.", " STO", ""]),
        (["OK.", "OK. STO", "OK.", "OK. Fine"], ["OK.", " STO", "", " Fine"]),
        (["Gr", "Gr\ufffd", "Grüß", "Grüße"], ["Gr", "\ufffd", "üß", "e"]),
        (["", "O", None, "OK"], ["", "O", "", "K"]),
        (["O", "K", ".", "K", "."], ["O", "K", ".", "K", "."]),  # pieces
        (["O", "K", "", "K"], ["O", "K", "", "K"]),
        (["Ha", " Ha", " Hat"], ["Ha", " Ha", " Hat"]),
    ],
)
def test_what_is_new(texts, new):
    steps = read(*texts)
    assert [step.text for step in steps] == new
    assert [bool(step.channels) for step in steps] == [bool(text) for text in new]


@given(st.lists(st.text(max_size=4), max_size=8))
def test_text_so_far_is_counted_once(pieces):
    """However it grows, what is new of it makes up the text, and each growth is one token event."""
    steps = read(*("".join(pieces[: place + 1]) for place in range(len(pieces))))
    assert "".join(step.text for step in steps) == "".join(pieces)
    assert sum(len(step.channels) for step in steps) == sum(map(bool, pieces))


async def test_several_tokens_in_an_event_are_one_chunk(ask):
    """Four tokens in two events: the time per token is by the server's count, and no event is called a token."""
    events = [{"text": "OK", "meta_info": {}}, {"text": "OK. Fine.", "meta_info": FINISHED}, b"data: [DONE]\n\n"]
    found = await ask(
        "openai", "stream", {ROUTES["generate"]: streamed(*events)}, {"api": "generate"}, options=SERVERS["generate"]
    )
    assert (found.stream.token_events, found.stream.gaps, found.answer) == (2, (1.0,), "OK. Fine.")
    assert found.stream.time_per_output_token == pytest.approx(1 / 3)


# What a config may say


@pytest.mark.parametrize(
    ("own", "server", "path"),
    [
        ({"api": "completion"}, "sglang", ("api",)),
        ({"api": "generate"}, "vllm", ("api",)),
        ({"api": "completion", "messages": [{"role": "user", "content": "x"}]}, "auto", ("messages",)),
        ({"api": "completion", "priority": 3}, "auto", ("priority",)),
        ({"api": "generate", "seed": 7}, "auto", ("seed",)),
        ({"api": "completion", "tag": "x"}, "auto", ("tag",)),
        ({"api": "generate", "body": {"text": "x"}}, "auto", ("body",)),
        ({"api": "completion"}, "auto", None),
        ({"api": "completion", "seed": 7}, "llama.cpp", None),
        ({"api": "generate", "priority": 3}, "generic", None),
    ],
)
def test_problems(own, server, path):
    found = build("openai", Kind.STREAM, own, options={"server": server}).problems(Kind.STREAM)
    assert [problem[0] for problem in found] == ([path] if path else [])


def test_litellm_has_neither():
    (problem,) = build("litellm", Kind.INFER, {"api": "completion"}).problems(Kind.INFER)
    assert problem == (("api",), "found completion beside server litellm; it goes with llama.cpp")


@pytest.mark.parametrize("api", NATIVE)
def test_what_it_may_cost(api):
    """By all that it may write, and not by what a request without a bound could."""
    asked = build("openai", Kind.STREAM, {"api": api, "max_tokens": 100, "prompt": "x" * 300, "cache": "warm"})
    assert 200 <= asked.cost().tokens <= 260
    bodies = {"completion": {"n_predict": 100, "prompt": "x"}, "generate": {"sampling_params": {"max_new_tokens": 100}}}
    own = build("openai", Kind.INFER, {"api": api, "body": bodies[api]})
    assert 100 <= own.cost().tokens <= 130


def test_several_answers_cost_as_much():
    body = {"text": "x", "sampling_params": {"max_new_tokens": 100, "n": 3}}
    assert 300 <= build("openai", Kind.INFER, {"api": "generate", "body": body}).cost().tokens <= 330


@pytest.mark.parametrize(
    ("own", "steady"),
    [
        ({"api": "completion", "cache": "warm"}, True),
        ({"api": "completion", "seed": 7, "temperature": 0.8}, True),
        ({"api": "completion"}, False),  # the prompt is another each time
        ({"api": "generate", "cache": "warm"}, True),
        ({"api": "generate", "cache": "warm", "temperature": 0.8}, False),
        ({"api": "generate", "body": {"text": "x", "sampling_params": {"temperature": 0}}}, True),
        ({"api": "generate", "body": {"text": "x", "temperature": 0}}, False),
        ({"api": "generate", "body": [1]}, False),
    ],
)
def test_what_can_be_held_against_itself(own, steady):
    assert build("openai", Kind.INFER, own).steady() is steady
