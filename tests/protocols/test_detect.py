import json

import pytest

from exporter.model.failure import Failure, Reason
from tests.protocols.scripted import FakeExchange

LIST = '{"object":"list","data":[{"id":"m","owned_by":"vllm"}]}'
LITSERVE = '{"model":null,"server":{"devices":["cpu"],"stream":{"%s":true}}}'
TRITON = '{"name":"triton","version":"2.51","extensions":["classification"]}'
THREE = ("health", "ready", "metadata")


@pytest.mark.parametrize(
    ("answers", "protocol", "server", "probes"),
    [
        ({"GET /v1/models": (200, LIST)}, "openai", "vllm", THREE),
        ({"GET /v1/models": (200, '{"data":[{"id":"m"}]}')}, "openai", "", THREE),
        ({"GET /v1/models": (200, '{"data":[]}')}, "openai", "", ("health", "metadata")),
        ({"GET /": (200, "Ollama is running"), "GET /v1/models": (200, '{"data":[]}')}, "openai", "ollama", None),
        ({"GET /v2": (200, TRITON)}, "open_inference", "triton", THREE),
        ({"GET /v1/models": (200, '{"models":["m"]}'), "GET /v2": (200, TRITON)}, "open_inference", "triton", THREE),
        ({"GET /version": (200, "3.17.2"), "GET /ping": (200, "\n")}, "mlflow", "mlflow", ("health", "metadata")),
        ({"GET /": (200, "litserve running"), "GET /info": (200, LITSERVE % "/v1/chat/completions")}, "openai",
         "litserve", ("health", "metadata")),
        ({"GET /": (200, "<title>LiteLLM API</title>"), "GET /v1/models": (401, "")}, "openai", "litellm", THREE),
    ],
)  # fmt: skip
async def test_what_this_version_speaks(ask, answers, protocol, server, probes):
    found = (await ask("auto", "detect", answers)).detected
    assert (found.protocol, found.server) == (protocol, server)
    assert probes is None or found.probes == probes


@pytest.mark.parametrize(
    ("answers", "server", "name"),
    [
        ({"GET /": (200, "Ollama is running")}, "ollama", "Ollama"),
        ({"GET /": (200, "litserve running"), "GET /info": (200, LITSERVE % "/predict")}, "litserve", "LitServe"),
        ({"GET /": (404, "Path '/' not found. Ping http://127.0.0.1/-/routes for it")}, "ray_serve", "Ray Serve"),
        ({"GET /-/routes": (200, '{"/app":"app"}')}, "ray_serve", "Ray Serve"),
        ({"GET /": (405, '{"code":405,"type":"MethodNotAllowedException"}')}, "torchserve", "TorchServe"),
        ({"GET /models": (200, '{"models":[{"modelName":"m"}]}')}, "torchserve", "TorchServe"),
        ({"GET /": (200, "<title>BentoML Prediction Service</title>")}, "bentoml", "BentoML"),
        ({"GET /v1/models": (200, '{"models":["m"]}')}, "kserve", "KServe"),
        ({"GET /v1/models": (400, '{"error":"Malformed request: GET /v1/models"}')}, "tf_serving", "TensorFlow"),
        ({"GET /info": (200, '{"model_id":"m","router":"r"}')}, "tgi", "Text Generation"),
        ({"GET /info": (200, '{"model_id":"m","max_client_batch_size":1}')}, "tei", "Text Embeddings"),
        ({"GET /models": (200, '{"data":[{"id":"m","stats":{},"backend":"torch"}]}')}, "infinity", "infinity"),
        ({"GET /health/ping": (200, "pong")}, "seldon", "Seldon"),
    ],
)
async def test_what_only_looks_like_another_server_is_watched_as_http(ask, answers, server, name):
    found = (await ask("auto", "detect", answers)).detected
    assert (found.protocol, found.server, found.probes) == ("http", server, ("health",))
    assert f"looks like {name}" in found.why
    assert "as http" in found.why


@pytest.mark.parametrize(
    "answer",
    [(200, "ok"), (200, "<html>hello</html>"), (200, "{}"), (200, "[]"), (200, '{"status":"ok"}'), (200, "\n"),
     (404, '{"detail":"Not Found"}'), (302, ""), (200, '{"version":"1.2.3"}')],
)  # fmt: skip
async def test_a_catch_all_is_http(ask, answer):
    class Same(FakeExchange):
        def _find(self, method, path, headers, body):
            super()._find(method, path, headers, body)
            return answer

    fake = Same({})
    found = (await ask("auto", "detect", fake)).detected
    assert (found.protocol, found.server) == ("http", "")
    assert "/v1/models" in found.why


@pytest.mark.parametrize("ping", [(200, "ok"), (200, ""), (404, "\n")])
async def test_a_version_alone_is_not_mlflow(ask, ping):
    found = (await ask("auto", "detect", {"GET /version": (200, "3.17.2"), "GET /ping": ping})).detected
    assert found.protocol == "http"


async def test_manners(ask):
    fake = FakeExchange({"GET /version": (200, "1.2.3")})
    await ask("auto", "detect", fake, model="m")
    assert len(fake.asked) == 10
    assert all(asked.startswith("GET /") for asked in fake.asked)
    assert "GET /health" not in fake.asked
    assert set(fake.timeouts) == {2.0}
    assert fake.asked[0] == "GET /"
    assert fake.asked[-1] == "GET /v1/models/m"


@pytest.mark.parametrize(
    ("path", "query", "first", "second"),
    [
        ("/v1", "", "GET /v1/models", "GET /"),
        ("/openai/v1", "k=1", "GET /openai/v1/models?k=1", "GET /openai?k=1"),
        ("/v2", "", "GET /v2", "GET /"),
        ("/app", "", "GET /app", "GET /app/v1/models"),
    ],
)
async def test_the_url_is_a_prefix_and_a_hint(ask, path, query, first, second):
    fake = FakeExchange({})
    await ask("auto", "detect", fake, path=path, query=query)
    assert fake.asked[:2] == [first, second]


@pytest.mark.parametrize("answer", [(401, ""), (403, "")])
async def test_no_access_decides_nothing(ask, answer):
    routes = ("/", "/v1/models", "/v2", "/info", "/models", "/version", "/-/routes", "/health/ping")
    found = await ask("auto", "detect", {f"GET {route}": answer for route in routes})
    assert found.failure.reason is Reason.AUTH
    found = await ask("auto", "detect", {"GET /v1/models": answer, "GET /": (200, "hello")})
    assert found.failure.reason is Reason.AUTH


@pytest.mark.parametrize(
    ("status", "reason"), [(503, Reason.HTTP_STATUS), (500, Reason.HTTP_STATUS), (429, Reason.RATE_LIMITED)]
)
async def test_a_server_that_is_not_well_decides_nothing(ask, status, reason):
    found = await ask("auto", "detect", {"GET /v1/models": (status, "")})
    assert found.failure.reason is reason
    assert found.detected is None


@pytest.mark.parametrize(
    "reason", [Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT, Reason.TLS_EXPIRED]
)
async def test_an_unreachable_server_is_asked_once(ask, reason):
    fake = FakeExchange({"GET /": Failure(reason)})
    assert (await ask("auto", "detect", fake)).failure.reason is reason
    assert len(fake.asked) == 1


async def test_one_silent_route_is_passed_over(ask):
    fake = FakeExchange({"GET /": Failure(Reason.TIMEOUT), "GET /v1/models": (200, LIST)})
    assert (await ask("auto", "detect", fake)).detected.protocol == "openai"
    fake = FakeExchange({"GET /": Failure(Reason.TIMEOUT), "GET /v2": Failure(Reason.RESET), "GET /info": (200, "")})
    assert (await ask("auto", "detect", fake)).detected.protocol == "http"


async def test_two_silent_routes_in_a_row_decide_nothing(ask):
    fake = FakeExchange({"GET /": Failure(Reason.TIMEOUT), "GET /v1/models": Failure(Reason.DISCONNECTED)})
    assert (await ask("auto", "detect", fake)).failure.reason is Reason.DISCONNECTED
    assert len(fake.asked) == 2


async def test_the_deadline_decides_nothing(ask):
    fake = FakeExchange({"GET /": Failure(Reason.TIMEOUT)}, timeout=2)
    assert (await ask("auto", "detect", fake)).failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"data":' * 9000, b'{"data":[{"id":1}]}', b'{"data":[[]]}', b'{"name":{},"extensions":[]}',
     b'{"model":1,"server":{"devices":1}}', b'{"models":[{}]}', b'{"data":NaN}', b"\xff" * 100, b"{" * 200_000,
     json.dumps({"model": None, "server": {"devices": [], "stream": {}}}).encode()],
    ids=lambda body: repr(body[:16]),
)  # fmt: skip
async def test_hostile_shapes_are_no_evidence(ask, body):
    class Same(FakeExchange):
        def _find(self, method, path, headers, asked):
            super()._find(method, path, headers, asked)
            return (200, body)

    assert (await ask("auto", "detect", Same({}))).detected.protocol == "http"
