import json

import pytest

from exporter import protocols
from exporter.model.failure import Reason
from exporter.model.job import Kind, Scope
from exporter.model.stream import Outcome
from tests.protocols.scripted import FakeExchange, build

CALL = {"path": "/predict", "body": {"rows": [[1.0]]}}
STREAM = {"path": "/words", "body": {}}
ROWS = {"properties": {"rows": {"items": {"type": "number"}, "type": "array"}}, "required": ["rows"], "type": "object"}


def schema(*routes, name="Flowers"):
    return 200, json.dumps({"name": name, "type": "service", "routes": list(routes)})


def api(name, taken=ROWS, **more):
    return {"name": name, "route": f"/{name}", "input": taken, "output": {"type": "string"}, "is_task": False, **more}


def takes(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


async def test_health(ask):
    assert (await ask("bentoml", "health", {"GET /livez": (200, "\n")})).failure is None
    assert (await ask("bentoml", "health", {"GET /up/livez": (200, "\n")}, path="/up")).failure is None
    dead = (503, "Service is dead because .__is_alive__() returns False.")
    failure = (await ask("bentoml", "health", {"GET /livez": dead})).failure
    assert (failure.reason, failure.http_status) == (Reason.HTTP_STATUS, 503)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, "\n"), None),
        ((503, "Service is not ready because .__is_ready__() returns False."), Reason.NOT_READY),
        ((503, "Runners are not ready."), Reason.NOT_READY),
        ((503, ""), Reason.NOT_READY),
        ((500, "Internal Server Error"), Reason.HTTP_STATUS),
        ((404, "Not Found"), Reason.HTTP_STATUS),
        ((401, ""), Reason.AUTH),
    ],
)
async def test_ready_is_the_services_own_word(ask, answer, reason):
    failure = (await ask("bentoml", "ready", {"GET /readyz": answer})).failure
    assert (failure and failure.reason) is reason
    assert build("bentoml", Kind.READY).scope() is Scope.MODEL


async def test_metadata(ask):
    answers = {"GET /schema.json": schema(api("predict"), api("words"))}
    found = await ask("bentoml", "metadata", answers)
    assert found.failure is None
    assert found.info == {"server": "bentoml", "model_id": "Flowers"}
    good = {"expect": {"name": "Flowers", "routes": ["/words"]}}
    assert (await ask("bentoml", "metadata", answers, good)).failure is None
    for expect in ({"name": "Trees"}, {"routes": ["/words", "/away"]}):
        found = await ask("bentoml", "metadata", answers, {"expect": expect})
        assert found.failure.reason is Reason.EXPECTATION
        assert found.info["model_id"] == "Flowers"


@pytest.mark.parametrize(
    "body", ["", "ok", "[]", "{}", '{"name":"x"}', '{"name":1,"routes":[]}', '{"name":"x","routes":[3]}']
)
async def test_metadata_of_something_else(ask, body):
    assert (await ask("bentoml", "metadata", {"GET /schema.json": (200, body)})).failure.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("host", "ready"),
    [
        ("127.0.0.1", True),
        ("flowers.svc", True),
        ("bentoml.ai.example.org", True),
        ("notbentoml.ai", True),
        ("flowers-acme-1234.mt-guc1.bentoml.ai", False),
        ("Flowers.BentoML.ai.", False),
    ],
)
def test_a_deployment_that_may_sleep_is_not_woken(host, ready):
    kinds = protocols.load("bentoml").kinds_at(host)
    assert (Kind.READY in kinds) is ready
    assert {Kind.HEALTH, Kind.METADATA} <= set(kinds)


async def test_infer(ask):
    fake = FakeExchange({"POST /up/predict?k=1": (200, "[0, 2.001]")})
    own = {**CALL, "expect": {"json": {"path": "@", "equals": [0, 2], "tolerance": 0.01}}}
    assert (await ask("bentoml", "infer", fake, own, path="/up", query="k=1")).failure is None
    assert json.loads(fake.bodies[0]) == CALL["body"]
    assert ("Content-Type", "application/json") in fake.headers[0]


@pytest.mark.parametrize(
    ("answer", "expect", "reason", "said"),
    [
        ((200, "[0, 1]"), {"json": {"path": "@", "equals": [0, 2]}}, Reason.EXPECTATION, "@[1] is 1"),
        ((200, "zero"), {"json": "@[0]"}, Reason.MALFORMED, "not JSON"),
        ((200, "zero"), {"text": "one"}, Reason.EXPECTATION, "zero"),
        ((400, '{"error":"1 validation error for Input","detail":[{"loc":["rows"],"msg":"Input should be a valid '
               'array"}]}'), {}, Reason.HTTP_STATUS, "for Input: rows: Input should be a valid array"),
        ((404, "Not Found"), {}, Reason.HTTP_STATUS, "Not Found"),
        ((429, '{"error":"Too many requests"}'), {}, Reason.RATE_LIMITED, "Too many"),
        ((503, '{"error":"process is overloaded"}'), {}, Reason.OVERLOADED, "overloaded"),
        ((504, '{"error":"Not able to process the request in 60 seconds"}'), {}, Reason.HTTP_STATUS, "60 seconds"),
        ((500, '{"error":"An unexpected error has occurred"}'), {}, Reason.HTTP_STATUS, "unexpected"),
    ],
)  # fmt: skip
async def test_infer_goes_wrong(ask, answer, expect, reason, said):
    failure = (await ask("bentoml", "infer", {"POST /predict": answer}, {**CALL, "expect": expect})).failure
    assert failure.reason is reason
    assert said in failure.detail


SSE = "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    ("kind", "script", "text", "events"),
    [
        # It labels any text a stream of events.
        (SSE, [(101.0, b"OK"), (102.0, b", all"), (103.0, b" is well."), (103.0, None)], "OK, all is well.", 3),
        (SSE, [(101.0, b"d"), (102.0, b"one"), (103.0, None)], "done", 2),
        (SSE, [(101.0, b"data"), (103.0, None)], "data", 1),
        (SSE, [(101.0, b"data: a\n\ndata: b\n\n"), (103.0, None)], "ab", 2),
        (SSE, [(101.0, b"da"), (102.0, b"ta: a\n\n"), (103.0, b"data: [DONE]\n\n")], "a", 1),
        (SSE, [(101.0, b": hello\n\n"), (102.0, b"event: x\ndata: a\n\n"), (103.0, None)], "a", 1),
        ("application/x-ndjson", [(101.0, b'{"a":1}\n{"a"'), (102.0, b":2}\n"), (103.0, None)], '{"a":1}{"a":2}', 2),
        ("application/octet-stream", [(101.0, b"data: a\n\n"), (103.0, None)], "data: a\n\n", 1),
        ("", [(101.0, b" "), (103.0, None)], " ", 1),
        ("", [(101.0, b"\n"), (103.0, None)], "\n", 1),
    ],
)
async def test_a_stream_is_read_as_what_it_is(ask, kind, script, text, events):
    found = await ask("bentoml", "stream", {"POST /words": (200, kind, script)}, STREAM)
    assert found.failure is None
    assert found.stream.outcome is Outcome.COMPLETE
    assert found.stream.token_events == events
    good = {**STREAM, "expect": {"regex": f"^{text.replace('{', '.')}$"}}
    assert (await ask("bentoml", "stream", {"POST /words": (200, kind, script)}, good)).failure is None


async def test_time_of_a_first_token_is_that_of_its_own_read(ask):
    script = [(101.0, b"d"), (104.0, b"one"), (105.0, None)]
    found = await ask("bentoml", "stream", {"POST /words": (200, SSE, script)}, STREAM)
    assert list(found.stream.ttft.values()) == [1.0]
    assert found.stream.gaps == (3.0,)


@pytest.mark.parametrize(
    ("answer", "own", "reason", "outcome"),
    [
        ((200, SSE, [(101.0, None)]), {}, Reason.EMPTY, Outcome.EMPTY),
        ((200, SSE, [(101.0, b'data: {"error":"out of memory"}\n\n')]), {}, Reason.ERROR_EVENT, Outcome.ERROR_EVENT),
        ((200, SSE, [(101.0, b"OK")]), {"idle_timeout": "3s"}, Reason.STALLED, Outcome.STALLED),
        ((200, SSE, []), {"first_token_timeout": "3s"}, Reason.TIMEOUT_FIRST_TOKEN, Outcome.TIMEOUT),
        ((200, SSE, [(101.0, b"OK"), (102.0, None)]), {"expect": {"text": "well"}}, Reason.EXPECTATION,
         Outcome.COMPLETE),
        ((200, SSE, [(101.0, b"OK"), (102.0, None)]), {"expect": {"json": "ok"}}, Reason.MALFORMED, Outcome.COMPLETE),
    ],
)  # fmt: skip
async def test_a_stream_goes_wrong(ask, answer, own, reason, outcome):
    found = await ask("bentoml", "stream", {"POST /words": answer}, {**STREAM, **own})
    assert (found.failure.reason, found.stream.outcome) == (reason, outcome)


async def test_a_stream_that_is_refused(ask):
    answer = (500, "application/json", [(101.0, b'{"error":"An unexpected error has occurred"}')])
    found = await ask("bentoml", "stream", {"POST /words": answer}, STREAM)
    assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 500)
    assert found.stream is None


@pytest.mark.parametrize(
    ("taken", "body"),
    [
        (takes(["text"], text={"type": "string"}), {"text": "text"}),
        (takes(["n", "x", "on"], n={"type": "integer"}, x={"type": "number"}, on={"type": "boolean"}),
         {"n": 0, "x": 0.0, "on": False}),
        (takes(prompt={"type": "string", "default": "Say OK."}, rows={"type": "array", "default": None}),
         {"prompt": "Say OK."}),
        (takes(text={"type": "string", "default": "x" * 1000}), {}),
        (takes(), {}),
        ({"type": "string", "root_input": True}, "text"),
    ],
)  # fmt: skip
async def test_a_call_of_the_only_api_is_proposed(ask, taken, body):
    found = (await ask("bentoml", "propose", {"GET /schema.json": schema(api("predict", taken))})).proposal
    assert (found.kind, found.settings) == ("infer", {"interval": "1m", "path": "/predict", "body": body})
    assert build("bentoml", Kind.INFER, {"path": found.settings["path"], "body": body}).problems(Kind.INFER) == []


async def test_a_stream_is_proposed_as_one(ask):
    words = api("words", takes(["prompt"], prompt={"type": "string"}), output={"type": "string", "is_stream": True})
    found = (await ask("bentoml", "propose", {"GET /schema.json": schema(words)})).proposal
    assert found.kind == "stream"


@pytest.mark.parametrize(
    "routes",
    [
        [],
        [api("predict")],  # how long its list has to be is not told
        [api("a", takes()), api("b", takes())],
        [api("train", takes(), is_task=True)],
        [api("image", takes(["image"], image={"type": "file", "format": "image"}))],
        [api("mail", takes(["to"], to={"type": "string", "format": "email"}))],
        [api("pick", takes(["n"], n={"type": "integer", "minimum": 1}))],
        [api("deep", takes(["x"], x={"$ref": "#/$defs/X"}))],
        [api("odd", "x")],
        [api("odd", {"properties": 3})],
        [api("odd", takes(), route=3)],
    ],
)
async def test_nothing_is_proposed_that_would_be_a_guess(ask, routes):
    assert (await ask("bentoml", "propose", {"GET /schema.json": schema(*routes)})).proposal is None


def test_problems():
    def places(kind, own):
        return [place for place, _ in build("bentoml", kind, own).problems(kind)]

    assert places(Kind.INFER, {}) == [("path",), ("body",)]
    assert places(Kind.STREAM, {"path": "/words"}) == [("body",)]
    assert places(Kind.INFER, CALL) == places(Kind.INFER, {"path": "/x", "body": {}}) == places(Kind.HEALTH, {}) == []
