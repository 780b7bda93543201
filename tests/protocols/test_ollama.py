import json

import pytest

from exporter.model.failure import Asleep, Evidence, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.stream import Channel, Outcome, Tokens
from tests.protocols.ollama_server import CHAT, EMBED, GENERATE, SHOWN, loaded, said, sent, server
from tests.protocols.scripted import build


def lines(*values, end=None, kind="application/x-ndjson"):
    body = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    return (200, kind, [(101, body), (102, end)])


async def test_health(ask):
    assert (await ask("ollama", "health", server())).failure is None
    for body in ("Ollama is running", "{}", '{"version":7}'):
        found = await ask("ollama", "health", {"GET /api/version": (200, body)})
        assert found.failure.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("tiny", None),
        ("tiny:latest", None),
        ("Tiny", None),
        ("library/tiny", None),
        ("registry.ollama.ai/library/tiny:latest", None),
        ("b:7b", None),
        ("", None),
        ("b", Reason.MODEL_NOT_FOUND),
        ("tiny:7b", Reason.MODEL_NOT_FOUND),
    ],
)
async def test_ready_is_pulled_and_not_loaded(ask, model, reason):
    found = await ask("ollama", "ready", server(), model=model)
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize("body", ['{"models":{}}', '{"models":[{}]}', '{"data":[]}', "[]", "x"])
async def test_a_listing_that_is_none(ask, body):
    for kind in ("ready", "catalogue"):
        found = await ask("ollama", kind, {"GET /api/tags": (200, body)}, model="tiny")
        assert found.failure.reason is Reason.MALFORMED
    found = await ask("ollama", "ready", {"GET /api/tags": (200, '{"error":"x"}')}, model="tiny")
    assert found.failure.reason is Reason.ERROR_EVENT


def test_scope():
    assert build("ollama", Kind.READY, model="m").scope() is Scope.MODEL
    assert build("ollama", Kind.READY).scope() is Scope.SERVER


async def test_metadata(ask):
    found = await ask("ollama", "metadata", server(loaded()), model="tiny")
    assert found.info == {
        "server": "ollama", "server_version": "0.17.4", "model_version": "3a2afcffd188", "platform": "gguf Q4_0",
    }  # fmt: skip
    assert found.facts == {"parameter_count": 8030261248.0, "max_model_len": 8192.0, "loaded": 1.0}
    assert (await ask("ollama", "metadata", server(), model="tiny")).facts["loaded"] == 0.0
    untold = await ask("ollama", "metadata", server(**{"GET /api/ps": (404, "")}), model="tiny")
    assert "loaded" not in untold.facts
    assert (await ask("ollama", "metadata", server(), model="x")).failure.reason is Reason.MODEL_NOT_FOUND
    assert (await ask("ollama", "metadata", server())).info == {"server": "ollama", "server_version": "0.17.4"}


async def test_metadata_of_little(ask):
    for shown in ({}, {"details": None, "model_info": None}, {"model_info": {"general.architecture": ["x"]}}):
        fake = server(**{"POST /api/show": (200, json.dumps(shown))})
        found = await ask("ollama", "metadata", fake, model="tiny")
        assert found.facts == {"loaded": 0.0}
        assert "platform" not in found.info


async def test_generate(ask):
    answer = said(prompt_eval_count=10, eval_count=4)
    fake = server(loaded(), **{GENERATE: answer})
    own = {"prompt": "Go", "max_tokens": 4, "seed": 7, "think": False, "options": {"num_batch": 64, "num_ctx": 99}}
    found = await ask("ollama", "infer", fake, {**own, "expect": {"equals": "OK."}}, model="tiny")
    assert (found.failure, found.answer, found.tokens) == (None, "OK.", Tokens(input=10, output=4))
    assert sent(fake) == {
        "model": "tiny", "prompt": "Go", "stream": False, "think": False, "keep_alive": "299000ms",
        "options": {"num_ctx": 99, "num_predict": 4, "temperature": 0.0, "seed": 7, "num_batch": 64},
    }  # fmt: skip


async def test_chat(ask):
    message = {"role": "assistant", "content": "OK.", "thinking": "hm"}
    fake = server(loaded(), **{CHAT: (200, json.dumps({"message": message, "done": True, "eval_count": 2}))})
    found = await ask("ollama", "infer", fake, {"api": "chat", "cache": "warm"}, model="tiny")
    assert (found.failure, found.answer, found.tokens) == (None, "OK.", Tokens(output=2))
    assert sent(fake)["messages"] == [{"role": "user", "content": "Say OK."}]
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "look_up", "arguments": {"a": 1}}}],
    }
    fake = server(loaded(), **{CHAT: (200, json.dumps({"message": call, "done": True}))})
    own = {"api": "chat", "expect": {"tool_call": "look_up"}}
    assert (await ask("ollama", "infer", fake, own, model="tiny")).failure is None


async def test_a_body_of_ones_own_is_sent_as_it_is(ask):
    body = {"model": "tiny", "prompt": "x", "stream": False, "keep_alive": 60}
    fake = server(loaded())
    assert (await ask("ollama", "infer", fake, {"body": body}, model="tiny")).failure is None
    assert sent(fake) == body
    with pytest.raises(Asleep):
        await build("ollama", Kind.INFER, {"body": body}, model="tiny").infer(server())


async def test_vectors(ask):
    answer = {"embeddings": [[0.6, 0.8]], "prompt_eval_count": 3}
    fake = server(loaded(), **{EMBED: (200, json.dumps(answer))})
    own = {"api": "embed", "expect": {"dimension": 2, "norm": 1}}
    found = await ask("ollama", "infer", fake, own, model="tiny")
    assert (found.failure, found.tokens, found.facts) == (None, Tokens(input=3), {"dimension": 2.0})
    assert sent(fake) == {
        "model": "tiny", "input": "Say OK.", "keep_alive": "299000ms", "options": {"num_ctx": 4096},
    }  # fmt: skip
    fake = server(loaded(), **{EMBED: (200, json.dumps(answer))})
    found = await ask("ollama", "infer", fake, {"api": "embed", "expect": {"dimension": 3}}, model="tiny")
    assert found.failure.reason is Reason.EXPECTATION
    for body, reason in (('{"embeddings":[]}', Reason.EMPTY), ("{}", Reason.MALFORMED), ("[]", Reason.MALFORMED)):
        fake = server(loaded(), **{EMBED: (200, body)})
        assert (await ask("ollama", "infer", fake, {"api": "embed"}, model="tiny")).failure.reason is reason


@pytest.mark.parametrize(
    ("answer", "reason", "evidence"),
    [
        ((404, '{"error":"model \'tiny\' not found"}'), Reason.MODEL_NOT_FOUND, Evidence.REFUSED),
        ((400, '{"error":"\\"tiny\\" does not support generate"}'), Reason.HTTP_STATUS, Evidence.REFUSED),
        ((500, '{"error":"model requires more system memory"}'), Reason.HTTP_STATUS, Evidence.BROKEN),
        ((503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}'),
         Reason.OVERLOADED, Evidence.BUSY),
        ((200, '{"error":"x"}'), Reason.ERROR_EVENT, Evidence.BROKEN),
        (said(""), Reason.EMPTY, Evidence.BROKEN),
        (said("", done_reason="load"), Reason.EMPTY, Evidence.BROKEN),
        (said("no"), Reason.EXPECTATION, Evidence.WRONG),
        ((200, "{}"), Reason.MALFORMED, Evidence.BROKEN),
        ((200, "[]"), Reason.MALFORMED, Evidence.BROKEN),
    ],
)  # fmt: skip
async def test_infer_goes_wrong(ask, answer, reason, evidence):
    fake = server(loaded(), **{GENERATE: answer})
    failure = (await ask("ollama", "infer", fake, {"expect": {"text": "OK"}}, model="tiny")).failure
    assert (failure.reason, failure.row.evidence) == (reason, evidence)


async def test_stream(ask):
    answer = lines(
        {"response": "", "thinking": "hm", "done": False},
        {"response": "O", "done": False},
        {"response": "K.", "done": False},
        {"response": "", "done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": 4},
    )
    fake = server(loaded(), **{GENERATE: answer})
    found = await ask("ollama", "stream", fake, {"expect": {"equals": "OK."}}, model="tiny")
    assert (found.failure, found.stream.outcome) == (None, Outcome.COMPLETE)
    assert found.stream.ttft == {Channel.REASONING: 1.0, Channel.CONTENT: 1.0}
    assert (found.stream.token_events, found.tokens) == (3, Tokens(input=10, output=4))
    assert sent(fake)["stream"] is True
    assert sent(fake)["keep_alive"] == "299000ms"


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (lines({"response": "O"}, {"done": True, "done_reason": "length"}), Outcome.LENGTH, None),
        (lines({"response": "O"}, {"response": "K", "done": True}), Outcome.COMPLETE, None),  # old: without a reason
        (lines({"message": {"content": "O"}}, {"message": {}, "done": True}), Outcome.COMPLETE, None),
        (lines({"response": "O"}), Outcome.NO_DONE, Reason.INCOMPLETE),
        (lines({"response": "O"}, {"error": "llama runner ended"}), Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        (lines({"response": "", "done": True}), Outcome.EMPTY, Reason.EMPTY),
        (lines({"response": "O"}, end=Failure(Reason.RESET)), Outcome.DISCONNECTED, Reason.RESET),
        (lines("text"), Outcome.MALFORMED, Reason.MALFORMED),
        (lines({"response": "OK", "done": True}, kind="application/json"), Outcome.MALFORMED, Reason.MALFORMED),
        (lines({"error": "x"}, kind="application/json"), Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
    ],
)
async def test_ends_of_streams(ask, answer, outcome, reason):
    found = await ask("ollama", "stream", server(loaded(), **{GENERATE: answer}), model="tiny")
    assert found.stream.outcome is outcome
    assert (found.failure and found.failure.reason) is reason


async def test_a_refused_stream(ask):
    busy = (503, "application/json", [(101, b'{"error":"server busy, maximum pending requests exceeded"}')])
    found = await ask("ollama", "stream", server(loaded(), **{GENERATE: busy}), model="tiny")
    assert found.failure.reason is Reason.OVERLOADED


async def test_catalogue(ask):
    assert (await ask("ollama", "catalogue", server())).models == ("tiny:latest", "b:7b")


@pytest.mark.parametrize(
    ("skills", "kind"),
    [
        (["completion", "tools"], "stream"),
        (["embedding"], "infer"),
        (None, "stream"),  # old servers do not say
        (["image"], None),
    ],
)
async def test_what_is_proposed_is_valid(ask, skills, kind):
    fake = server(**{"POST /api/show": (200, json.dumps(SHOWN | {"capabilities": skills}))})
    proposal = (await ask("ollama", "propose", fake, model="tiny")).proposal
    assert (proposal and proposal.kind) == kind
    assert fake.asked == ["POST /api/show"]
    if proposal:
        own = {key: value for key, value in proposal.settings.items() if key not in ("interval", "timeout")}
        assert not build("ollama", Kind(kind), own, model="tiny").problems(Kind(kind))


async def test_nothing_is_proposed_without_a_model(ask):
    assert (await ask("ollama", "propose", server())).proposal is None


def test_problems():
    def places(own, kind=Kind.INFER, model="m"):
        return [place for place, _ in build("ollama", kind, own, model=model).problems(kind)]

    assert places({}) == places({"api": "chat", "messages": [{"role": "user"}]}) == places({"api": "embed"}) == []
    assert places({}, model="") == [()]
    assert places({"messages": [{}]}) == [("messages",)]
    assert places({"body": {}}) == places({"body": {"stream": True}}) == [("body",)]  # it streams unless told not to
    assert places({"body": {"stream": False}}) == places({"api": "embed", "body": {}}) == []
    assert places({"body": {"stream": False}}, Kind.STREAM) == [("body",)]
    assert places({"body": {}}, Kind.STREAM) == []
    assert (
        places({"api": "embed", "cache": "warm"})
        == places({"body": {"stream": False}, "cache": "warm"})
        == [("cache",)]
    )
    assert places({"expect": {"dimension": 3}}) == [("expect", "dimension")]
    assert places({"api": "embed", "expect": {"text": "OK"}}) == [("expect", "text")]
    assert places({"body": {"stream": False}, "think": True}) == [("think",)]
    assert build("ollama", Kind.HEALTH).problems(Kind.HEALTH) == ()
