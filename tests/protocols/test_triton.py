import json

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.stream import Channel, Outcome
from tests.protocols.scripted import FakeExchange, build

X = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 0.2]]}]
INDEX = "POST /v2/repository/index"
READY = "GET /v2/models/iris/ready"
MODEL = "GET /v2/models/iris"
INFER = "POST /v2/models/iris/infer"
STREAM = "POST /v2/models/iris/generate_stream"
UNREADY = (400, '{"error":"Model version not ready"}')
UNKNOWN = (404, '{"error":"Request for unknown model: \'iris\' is not found"}')
KNOWN = (404, '{"error":"Request for unknown model: \'iris\' has no available versions"}')
TOKEN = (403, '{"error":"This API is restricted, expecting header \'triton-access-token\'"}')
DECOUPLED = (501, '{"error":"HTTP end point doesn\'t support models with decoupled transaction policy"}')
FULL = (503, '{"error":"[request id: <id_unknown>] Exceeds maximum queue size"}')


def index(*states):
    return (200, json.dumps([{"name": "other", "version": "1", "state": "READY"}, *states]))


def state(state, reason=None, version="1"):
    return {"name": "iris", "version": version, "state": state} | ({"reason": reason} if reason else {})


def events(*values, end=None):
    data = b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in values)
    return (200, "text/event-stream; charset=utf-8", [(100.1, data), (100.2, end)])


def said(text):
    return {"model_name": "iris", "model_version": "1", "text_output": text}


CASES = [
    (index(state("LOADING")), Reason.NOT_READY, "LOADING"),
    (index(state("READY")), Reason.NOT_READY, "READY"),
    (index(state("UNAVAILABLE", "Internal: no way")), Reason.MODEL_NOT_FOUND, "UNAVAILABLE: Internal: no way"),
    (index(state("UNAVAILABLE", "unloaded")), Reason.MODEL_NOT_FOUND, "unloaded"),
    (index(state("UNLOADING")), Reason.MODEL_NOT_FOUND, "UNLOADING"),
    (index(state("UNAVAILABLE", "unloaded"), state("LOADING", version="2")), Reason.NOT_READY, "version 2 is LOADING"),
    (index({"name": "iris"}), Reason.MODEL_NOT_FOUND, "not loaded"),
    (index(), Reason.MODEL_NOT_FOUND, "no such model in the repository index"),
]


@pytest.mark.parametrize(("listed", "reason", "words"), CASES)
async def test_the_index_tells_why_a_model_is_not_ready(ask, listed, reason, words):
    # The same 400 for all of them; for metadata, inference and streams the same 404.
    answers = {
        READY: UNREADY, INDEX: listed, "GET /v2": (200, '{"name":"triton","version":"2.51.0"}'), MODEL: KNOWN,
        INFER: KNOWN, STREAM: (404, "application/json", [(100.1, KNOWN[1].encode())]),
    }  # fmt: skip
    for kind, own in [("ready", {}), ("metadata", {}), ("infer", {"inputs": X}), ("stream", {})]:
        found = await ask("triton", kind, answers, own, model="iris")
        assert found.failure.reason is reason, kind
        assert words in found.failure.detail


async def test_a_version_is_looked_up_in_the_index(ask):
    answers = {"GET /v2/models/iris/versions/2/ready": UNREADY, INDEX: index(state("READY"))}
    found = await ask("triton", "ready", answers, {"version": "2"}, model="iris")
    assert found.failure.reason is Reason.MODEL_NOT_FOUND
    assert "no such version" in found.failure.detail


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (KNOWN, Reason.NOT_READY),
        (UNKNOWN, Reason.MODEL_NOT_FOUND),
        ((200, '{"name":"iris"}'), Reason.NOT_READY),
        (Failure(Reason.TIMEOUT), Reason.NOT_READY),
    ],
)
@pytest.mark.parametrize("index", [TOKEN, (404, '{"error":"Not Found"}'), (200, "{}"), (200, "<html>")])
async def test_where_the_index_is_kept_metadata_tells(ask, index, metadata, reason):
    found = await ask("triton", "ready", {READY: UNREADY, INDEX: index, MODEL: metadata}, model="iris")
    assert found.failure.reason is reason
    assert found.failure.http_status == 400


async def test_ready_of_a_server_is_left_as_it_is(ask):
    fake = FakeExchange({"GET /v2/health/ready": (400, "")})
    assert (await ask("triton", "ready", fake)).failure.reason is Reason.NOT_READY
    assert fake.asked == ["GET /v2/health/ready"]
    assert build("triton", Kind.READY, model="m").scope() is Scope.MODEL


async def test_other_failures_are_left_as_they_are(ask):
    for answer, reason in [((401, ""), Reason.AUTH), ((500, ""), Reason.HTTP_STATUS), (FULL, Reason.OVERLOADED)]:
        fake = FakeExchange({INFER: answer})
        assert (await ask("triton", "infer", fake, {"inputs": X}, model="iris")).failure.reason is reason
        assert fake.asked == [INFER]


async def test_a_decoupled_model_is_asked_by_generate_stream(ask):
    body = b"".join(
        b"data: %b\n\n" % json.dumps({"id": "a", "model_name": "iris", "model_version": "1"} | value).encode()
        for value in ({"class": 0, "sequence_id": 0}, {"class": [1, 2], "sequence_end": True}, {"note": "so"})
    )
    fake = FakeExchange({INFER: DECOUPLED, STREAM: (200, body)})
    own = {
        "inputs": [*X, {"name": "n", "shape": [1], "datatype": "INT64", "data": [7]}],
        "id": "a", "parameters": {"p": 1},
        "expect": {"outputs": [{"name": "class", "data": [0, 1, 2]}, {"name": "note", "data": ["so"]}]},
    }  # fmt: skip
    for _ in range(2):
        found = await ask("triton", "infer", fake, own, model="iris")
        assert found.failure is None
        assert found.info == {"model_version": "1"}
    # That it is decoupled is remembered.
    assert fake.asked == [INFER, STREAM, STREAM]
    assert json.loads(fake.bodies[1]) == {"id": "a", "x": [5.1, 3.5, 1.4, 0.2], "n": 7, "parameters": {"p": 1}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, 'data: {"error":"no"}\n\n'), Reason.ERROR_EVENT),
        ((200, 'data: {"model_name":"iris","class":1}\n\ndata: {"error":"no"}\n\n'), Reason.ERROR_EVENT),
        ((200, 'data: {"model_name":"iris","class":1}\n\n'), Reason.EXPECTATION),
        ((200, 'data: {"model_name":"iris","class":0}'), None),
        ((200, ""), Reason.EMPTY),
        ((200, 'data: {"model_name":"iris"}\n\n'), Reason.EMPTY),
        ((200, "data: [1]\n\n"), Reason.MALFORMED),
        ((200, "data: nonsense\n\n"), Reason.MALFORMED),
        ((400, 'data: {"error":"broken on purpose"}\n\n'), Reason.HTTP_STATUS),
        (FULL, Reason.OVERLOADED),
    ],
)
async def test_a_decoupled_answer_goes_wrong(ask, answer, reason):
    own = {"inputs": X, "expect": {"outputs": [{"name": "class", "data": [0]}]}}
    found = await ask("triton", "infer", {INFER: DECOUPLED, STREAM: answer}, own, model="iris")
    assert (found.failure and found.failure.reason) is reason
    if answer[0] == 400:
        assert found.failure.detail == "HTTP 400: broken on purpose"


async def test_an_error_of_generate_inside_a_200_is_seen(ask):
    answer = (200, '{"error":"generate expects model to produce exactly 1 response"}')
    own = {"body": {"text_input": "hi"}, "path": "/v2/models/iris/generate"}
    found = await ask("triton", "infer", {"POST /v2/models/iris/generate": answer}, own, model="iris")
    assert found.failure.reason is Reason.ERROR_EVENT


async def test_stream(ask):
    fake = FakeExchange({STREAM: events(said(""), said("OK"), said(","), said(" well."))})
    found = await ask("triton", "stream", fake, {"expect": {"equals": "OK, well."}, "cache": "warm"}, model="iris")
    assert found.failure is None
    assert (found.stream.outcome, found.stream.token_events) == (Outcome.COMPLETE, 3)
    assert found.stream.ttft == {Channel.CONTENT: pytest.approx(0.1)}
    assert found.answer == "OK, well."
    assert json.loads(fake.bodies[0]) == {
        "text_input": "Say OK.", "parameters": {"stream": True, "max_tokens": 16},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        ({"prompt": "Hi", "max_tokens": 2}, {"text_input": "Hi", "parameters": {"stream": True, "max_tokens": 2}}),
        ({"inputs": {"x": [1.0]}}, {"x": [1.0], "parameters": {"stream": True, "max_tokens": 16}}),
        (
            {"prompt": "Hi", "inputs": {"bad_words": ""}, "parameters": {"stream": False, "temperature": 0}},
            {"bad_words": "", "text_input": "Hi", "parameters": {"stream": False, "max_tokens": 16, "temperature": 0}},
        ),
        ({"body": {"any": 1}}, {"any": 1}),
    ],
)
async def test_what_a_stream_is_asked(ask, own, sent):
    fake = FakeExchange({"POST /v2/models/iris/versions/3/generate_stream": events(said("OK"))})
    own = own if "body" in own else own | {"cache": "warm"}
    assert (await ask("triton", "stream", fake, own | {"version": "3"}, model="iris")).failure is None
    assert json.loads(fake.bodies[0]) == sent


async def test_a_stream_may_bring_other_outputs_than_text(ask):
    value = {"model_name": "iris", "model_version": "1", "id": "7", "sequence_start": False, "class": [0, 1]}
    found = await ask("triton", "stream", {STREAM: events(value)}, model="iris")
    assert (found.failure, found.answer) == (None, "[[0, 1]]")
    found = await ask(
        "triton", "stream", {STREAM: events(said(["O", "K"]))}, {"expect": {"equals": "OK"}}, model="iris"
    )
    assert found.failure is None


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (events(said("OK"), {"error": "broken on purpose"}), Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        (events({"model_name": "iris", "model_version": "1"}), Outcome.EMPTY, Reason.EMPTY),
        (events(), Outcome.EMPTY, Reason.EMPTY),
        (events([1]), Outcome.MALFORMED, Reason.MALFORMED),
        (events(said("OK"), end=Failure(Reason.TRUNCATED)), Outcome.DISCONNECTED, Reason.TRUNCATED),
        ((200, "application/json", [(100.1, b'{"error":"one answer"}')]), Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
    ],
)
async def test_a_stream_goes_wrong(ask, answer, outcome, reason):
    found = await ask("triton", "stream", {STREAM: answer}, model="iris")
    assert (found.failure.reason, found.stream.outcome) == (reason, outcome)


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        ((400, "text/event-stream", [(0, b'data: {"error":"no"}\n\n')]), Reason.HTTP_STATUS, "HTTP 400: no"),
        ((503, "application/json", [(0, FULL[1].encode())]), Reason.OVERLOADED, None),
    ],
)
async def test_a_stream_is_refused(ask, answer, reason, detail):
    found = await ask("triton", "stream", {STREAM: answer}, model="iris")
    assert found.failure.reason is reason
    assert detail is None or found.failure.detail == detail


STATS = {
    "name": "iris", "version": "1", "inference_count": 5, "execution_count": 3,
    "inference_stats": {"success": {"count": 4, "ns": 9}, "fail": {"count": 1, "ns": 9}, "queue": {"count": 4}},
    "response_stats": {"0": {"success": {"count": 7}}, "1": {"success": {"count": 6}, "fail": {"count": 0}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "load"),
    [
        ((200, json.dumps({"model_stats": [STATS, STATS]})), Load(progress=52)),
        ((200, json.dumps({"model_stats": [{"inference_stats": {"success": 3}, "response_stats": [1]}, 3]})), Load()),
        ((400, '{"error":"requested model is not available"}'), None),
        (TOKEN, None),
    ],
)
async def test_load_is_progress(answer, load):
    fake = FakeExchange({"GET /v2/models/iris/stats": answer})
    assert await build("triton", Kind.INFER, {"inputs": X}, model="iris").load(fake) == load


@pytest.mark.parametrize(
    ("answer", "reason"),
    [((200, "[]"), Reason.MALFORMED), ((200, "{}"), Reason.MALFORMED), ((500, ""), Reason.HTTP_STATUS)],
)
async def test_load_of_another_shape(answer, reason):
    with pytest.raises(Failure) as caught:
        await build("triton", Kind.INFER, {"inputs": X}, model="iris").load(
            FakeExchange({"GET /v2/models/iris/stats": answer})
        )
    assert caught.value.reason is reason


TEXT = {"name": "text_input", "datatype": "BYTES", "shape": [1]}
FLAG = {"name": "stream", "datatype": "BOOL", "shape": [1]}


@pytest.mark.parametrize(
    ("inputs", "config", "kind"),
    [
        ([TEXT], '{"model_transaction_policy":{"decoupled":true}}', "stream"),
        ([TEXT], '{"model_transaction_policy":{}}', "infer"),
        ([TEXT], None, "infer"),
        ([TEXT, FLAG], None, "stream"),
        ([{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], None, "infer"),
        ([{"name": "x", "datatype": "FP32", "shape": [-1, 4000]}], None, None),
        ("nonsense", None, None),
    ],
)
async def test_a_proposal_suits_the_model(ask, inputs, config, kind):
    fake = FakeExchange(
        {
            MODEL: (200, json.dumps({"name": "iris", "inputs": inputs})),
            "GET /v2/models/iris/config": (200, config) if config else TOKEN,
        }
    )
    proposal = (await ask("triton", "propose", fake, model="iris")).proposal
    assert (proposal and proposal.kind) == kind
    assert not any(asked.startswith("POST") for asked in fake.asked)
    if proposal is not None:
        own = {key: value for key, value in proposal.settings.items() if key not in ("interval", "timeout")}
        assert build("triton", Kind(kind), own, model="iris").problems(Kind(kind)) == []
    assert (await ask("triton", "propose", {})).proposal is None


def test_problems():
    def places(kind, own, model="iris"):
        return [place for place, _ in build("triton", Kind(kind), own, model=model).problems(Kind(kind))]

    assert places("stream", {}) == places("stream", {"body": {}, "version": "1"}) == []
    assert places("stream", {"path": "/x"}, model="") == []
    assert places("stream", {}, model="") == [()]
    assert places("stream", {"body": {}, "prompt": "a"}) == [("prompt",)]
    inputs = {"inputs": {"x": 1}}
    assert (
        places("stream", inputs | {"cache": "warm"})
        == places("stream", inputs | {"prompt": "a", "cache": "pair"})
        == []
    )
    assert places("stream", inputs | {"cache": "pair"}) == [("cache",)]
    assert places("infer", {}) == [("inputs",)]
