"""Protocols against small servers on loopback, through the real transport."""

import asyncio
import json
import time

import pytest
from aiohttp import web

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.stream import Channel, Outcome, Tokens
from exporter.transport import Transport
from tests.protocols.scripted import build

pytestmark = pytest.mark.slow


@pytest.fixture
async def transport():
    transport = Transport(user_agent="test")
    yield transport
    await transport.close()


@pytest.fixture
def probe(aiohttp_server, transport):
    """`await probe(app, protocol, kind, own, ...)`: one attempt; returns the observation, a raised failure included."""
    servers = {}

    async def run(app, name, kind, own=None, *, timeout=30.0, path="", memory=None, max_body=10_000_000, **more):
        server = servers.get(app) or await aiohttp_server(app)
        servers[app] = server
        endpoint = Endpoint("http", "127.0.0.1", server.port, path, max_body=max_body)
        memory = {} if memory is None else memory
        deadline = time.perf_counter() + timeout
        exchange = transport.exchange(endpoint, deadline=deadline, trace_id="0" * 31 + "1", memory=memory)
        try:
            return await getattr(build(name, Kind(kind), own, path=path, **more), kind)(exchange)
        except Failure as failure:
            return Observation(failure=failure)
        finally:
            await exchange.close()

    return run


def app_of(**routes):
    """`GET_v2_health_live=handler` is `GET /v2/health/live`; a value that is not callable is answered as JSON."""
    app = web.Application()
    for name, answer in routes.items():
        method, _, path = name.partition("_")

        async def handler(request, answer=answer):
            return await answer(request) if callable(answer) else web.json_response(answer)

        app.router.add_route(method, "/" + path.replace("_", "/"), handler)
    return app


def streaming(*parts, kind="text/event-stream"):
    """A handler that writes bytes, waits numbers of seconds, and with None aborts the connection."""

    async def handler(request):
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        for part in parts:
            if part is None:
                request.transport.abort()
                return response
            if isinstance(part, bytes):
                await response.write(part)
            else:
                await asyncio.sleep(part)
        return response

    return handler


def sse(*values):
    return b"".join(f"data: {v if isinstance(v, str) else json.dumps(v)}\n\n".encode() for v in values)


def chunk(content=None, finish=None):
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


async def test_open_inference(probe):
    async def infer(request):
        asked = await request.json()
        output = {"name": "y", "shape": [2], "datatype": "FP32", "data": [x * 2 for x in asked["inputs"][0]["data"]]}
        return web.json_response({"model_name": "m", "model_version": "7", "outputs": [output]})

    app = app_of(
        GET_v2={"name": "fake", "version": "1", "extensions": []},
        GET_v2_health_live={},
        GET_v2_models_m={"name": "m", "versions": ["7"], "platform": "p"},
        GET_v2_models_m_ready={"ready": True},
        POST_v2_models_m_infer=infer,
    )
    for kind in ("health", "ready", "metadata"):
        assert (await probe(app, "open_inference", kind, model="m")).failure is None
    inputs = [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]
    own = {"inputs": inputs, "expect": {"outputs": [{"name": "y", "data": [2, 4]}]}}
    assert (await probe(app, "open_inference", "infer", own, model="m")).failure is None
    own["expect"]["outputs"][0]["data"] = [2, 5]
    assert (await probe(app, "open_inference", "infer", own, model="m")).failure.reason is Reason.EXPECTATION
    assert (await probe(app, "open_inference", "ready", model="n")).failure.reason is Reason.MODEL_NOT_FOUND
    found = await probe(app, "auto", "detect")
    assert (found.detected.protocol, found.detected.server) == ("open_inference", "fake")


async def test_a_large_answer_is_judged_where_there_is_room_for_it(probe):
    data = [0.5] * 1_000_000
    body = json.dumps({"model_name": "m", "outputs": [{"name": "y", "data": data}]}).encode()

    async def infer(_):
        return web.Response(body=body, content_type="application/json")

    own = {"body": {}, "expect": {"outputs": [{"name": "y", "data": [0.5]}]}}
    app = app_of(POST_v2_models_m_infer=infer)
    found = await probe(app, "open_inference", "infer", own, model="m", timeout=30, max_body=40_000_000)
    assert found.failure.detail == "output y: data has 1000000 elements, expected 1"
    found = await probe(app, "open_inference", "infer", own, model="m", timeout=30)
    assert found.failure.reason is Reason.TOO_LARGE
    assert found.failure.detail == "the body is JSON of more parts than 28 MB of memory hold"


async def test_a_stream_cut_anywhere(probe):
    whole = sse(chunk(""), chunk("Grüße"), chunk("!"), chunk(finish="stop"), USAGE, "[DONE]")
    parts = [whole[at : at + 7] for at in range(0, len(whole), 7)]
    own = {"expect": {"equals": "Grüße!"}}
    found = await probe(app_of(POST_v1_chat_completions=streaming(*parts, 60)), "openai", "stream", own)
    assert found.failure is None  # and we did not wait for the end of the connection
    assert found.stream.outcome is Outcome.COMPLETE
    assert found.tokens == Tokens(input=3, output=2)


async def test_times_are_those_of_the_tokens(probe):
    handler = streaming(sse(chunk("")), 0.2, sse(chunk("a")), 0.1, sse(chunk("b")), sse(chunk(finish="stop"), "[DONE]"))
    found = await probe(app_of(POST_v1_chat_completions=handler), "openai", "stream")
    assert found.stream.ttft[Channel.CONTENT] >= 0.19
    assert found.stream.ttft[Channel.CONTENT] < found.stream.duration
    assert sum(found.stream.gaps) >= 0.09


@pytest.mark.parametrize(
    ("parts", "own", "outcome", "reason"),
    [
        ([sse(chunk("a")), 60], {"idle_timeout": "50ms"}, Outcome.STALLED, Reason.STALLED),
        ([b": x\n\n", 60], {"first_token_timeout": "50ms"}, Outcome.TIMEOUT, Reason.TIMEOUT_FIRST_TOKEN),
        ([sse(chunk("a")), 0.01, None], {}, Outcome.DISCONNECTED, None),
        ([sse(chunk("a"))], {}, Outcome.NO_FINISH_REASON, Reason.INCOMPLETE),
        ([sse(chunk("a"), chunk(finish="length"))], {}, Outcome.LENGTH, None),
        ([sse(chunk("a"), {"error": {"message": "out of memory"}})], {}, Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ([sse("{")], {}, Outcome.MALFORMED, Reason.MALFORMED),
        ([sse(*map(chunk, map(str, range(20_000)))), sse(chunk(finish="stop"), "[DONE]")], {}, Outcome.COMPLETE, None),
    ],
)
async def test_outcomes_over_the_wire(probe, parts, own, outcome, reason):
    found = await probe(app_of(POST_v1_chat_completions=streaming(*parts)), "openai", "stream", own, timeout=90)
    assert found.stream.outcome is outcome
    if outcome is Outcome.DISCONNECTED:
        assert found.failure.reason in (Reason.RESET, Reason.TRUNCATED)
    else:
        assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize(
    ("script", "outcome", "busy"),
    [
        ([0.05, sse(chunk("a"))] * 40, Outcome.TIMEOUT, True),
        ([60], None, False),
        ([b": x\n\n", 60], Outcome.TIMEOUT, False),
    ],
)
async def test_the_timeout(probe, script, outcome, busy):
    handler = streaming(*script)
    if outcome is None:

        async def handler(_):
            await asyncio.sleep(60)

    found = await probe(app_of(POST_v1_chat_completions=handler), "openai", "stream", timeout=0.5)
    assert (found.stream and found.stream.outcome) is outcome
    assert found.failure.reason in (Reason.TIMEOUT, Reason.TIMEOUT_FIRST_TOKEN)
    assert found.failure.busy is busy


async def test_openai_cheap_probes_and_detection(probe):
    app = app_of(GET_v1_models={"object": "list", "data": [{"id": "m", "owned_by": "llamacpp"}]})
    for kind in ("health", "ready", "metadata"):
        assert (await probe(app, "openai", kind, model="m")).failure is None
        assert (await probe(app, "openai", kind, model="m", path="/v1")).failure is None
    assert (await probe(app, "openai", "ready", model="n")).failure.reason is Reason.MODEL_NOT_FOUND
    found = await probe(app, "auto", "detect", path="/v1")
    assert (found.detected.protocol, found.detected.server) == ("openai", "llama.cpp")


async def test_mlflow(probe):
    async def text(body):
        return web.Response(text=body, content_type="application/json")

    app = app_of(
        GET_version=lambda _: text("3.17.2"), GET_ping=lambda _: text("\n"), POST_invocations={"predictions": [0]}
    )
    assert (await probe(app, "auto", "detect")).detected.protocol == "mlflow"
    assert (await probe(app, "mlflow", "metadata")).info["server_version"] == "3.17.2"
    own = {"inputs": [[1]], "expect": {"predictions": [0]}}
    assert (await probe(app, "mlflow", "infer", own)).failure is None


async def test_http_raw_chunks(probe):
    app = app_of(GET_gen=streaming(b"ab", 0.05, b"cd", kind="application/octet-stream"))
    found = await probe(app, "http", "stream", {"expect": {"equals": "abcd"}}, path="/gen")
    assert found.failure is None
    assert found.stream.token_events == 2


async def test_a_header_of_a_probe_reaches_the_server(probe, monkeypatch):
    monkeypatch.setenv("KEY_OF_TEST", "s3cr3t")

    async def check(request):
        return web.Response(status=200 if request.headers.get("X-Key") == "s3cr3t" else 401)

    own = {"headers": {"X-Key": {"env": "KEY_OF_TEST"}}}
    assert (await probe(app_of(GET_health=check), "http", "health", own)).failure is None


async def test_detection_follows_no_redirect_and_waits_two_seconds(probe):
    asked = []

    async def slow(request):
        asked.append(request.path)
        await asyncio.sleep(60)

    async def away(request):
        asked.append(request.path)
        raise web.HTTPFound("/elsewhere")

    started = time.perf_counter()
    found = await probe(app_of(GET_=away, GET_v1_models=slow, GET_v2=away), "auto", "detect", timeout=10)
    assert found.detected.protocol == "http"
    assert time.perf_counter() - started >= 1.9
    assert asked == ["/", "/v1/models", "/v2"]
