import json
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from exporter.model.failure import Failure, Reason
from tests.protocols.scripted import FakeExchange

OPENAPI = '{"paths":{"/load_model":{},"/v1/chat/completions":{}}}'
NOT_FOUND = (404, '{"detail":"Not Found"}')
OK = ("health", "ready", "metadata")
LISTLESS = ("health", "metadata")


def listed(owner, **more):
    return 200, json.dumps({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, **more}]})


def v2(name):
    return 200, json.dumps({"name": name, "version": "1", "extensions": ["model_repository"]})


def litserve(*routes):
    return 200, json.dumps({"model": None, "server": {"devices": ["cpu"], "stream": dict.fromkeys(routes, True)}})


class Case(NamedTuple):
    """What a server answers to the GETs it knows, and what must come of it in how many questions."""

    answers: dict[str, Any]
    protocol: str
    server: str
    asked: int
    probes: tuple[str, ...] | None = OK
    more: dict[str, Any] = {}  # noqa: RUF012 - never written


TORCH = '{"code":405,"type":"MethodNotAllowedException","message":"Requested method is not allowed"}'
RAY = "Path '/' not found. Ping http://.../-/routes for available routes."
TF = (400, '{"error":"Malformed request: GET /v1/models"}')
#: vLLM's listing; NIM has it from the vLLM inside.
VLLM = listed("vllm", root="m", parent=None, max_model_len=8, permission=[])

SERVERS = {
    "ollama": Case({"/": (200, "Ollama is running")}, "ollama", "ollama", 1),
    "litserve": Case(
        {"/": (200, "litserve running"), "/info": litserve("/predict")}, "litserve", "litserve", 2, LISTLESS
    ),
    "litserve, info hidden": Case({"/": (200, "litserve running")}, "litserve", "litserve", 2, LISTLESS),
    "litserve, OpenAI spec": Case(
        {"/": (200, "litserve running"), "/info": litserve("/v1/chat/completions")},
        "openai", "litserve", 2, LISTLESS,
    ),
    "litserve, root hidden": Case({"/info": litserve("/predict")}, "litserve", "litserve", 4, LISTLESS),
    "ray": Case({"/": (404, RAY)}, "ray_serve", "ray_serve", 1, ("health", "ready")),
    "ray, application at the root": Case(
        {"/": (500, "Internal Server Error"), "/-/routes": (200, '{"/":"app"}')}, "ray_serve", "ray_serve", 8,
        ("health", "ready"),
    ),
    "ray, application of the url": Case(
        {"/-/routes": (200, '{"/flowers":"flowers"}')}, "ray_serve", "ray_serve", 1, ("health", "ready"),
        {"path": "/flowers"},
    ),
    "ray, starting": Case(
        {"/-/routes": (503, "Route table is not populated yet.")}, "ray_serve", "ray_serve", 1, ("health", "ready"),
        {"path": "/flowers"},
    ),
    "torchserve": Case({"/": (405, TORCH)}, "torchserve", "torchserve", 1, None),
    "torchserve, management port": Case(
        {"/models": (200, '{"models":[{"modelName":"m","modelUrl":"m.mar"}]}')}, "http", "torchserve", 1, ("health",),
        {"port": 8081},
    ),
    "bentoml": Case({"/": (200, "<html><title>BentoML Prediction Service</title>")}, "bentoml", "bentoml", 1),
    "bentoml, new page": Case({"/": (200, "<title>BentoML Inference Service</title>")}, "bentoml", "bentoml", 1),
    "litellm": Case({"/": (200, "<title>LiteLLM API</title>")}, "litellm", "litellm", 1),
    "litellm, headers": Case({"/": (200, "hi", [("x-litellm-version", "1.80")])}, "litellm", "litellm", 1),
    "litellm, url of its API": Case(
        {"/v1/models": (*listed("openai"), [("x-litellm-version", "1.80")])}, "litellm", "litellm", 1, OK,
        {"path": "/v1"},
    ),
    "litellm, by its signs": Case(
        {"/v1/models": listed("openai"), "/health/liveliness": (200, '"I\'m alive!"')}, "litellm", "litellm", 8
    ),
    "vllm": Case({"/v1/models": VLLM, "/version": (200, '{"version":"0.29.0"}')}, "openai", "vllm", 3),
    "nim": Case({"/v1/models": VLLM, "/v1/metadata": (200, '{"version":"2.0","modelInfo":[]}')}, "openai", "nim", 4),
    "vllm, only its API": Case({"/v1/models": VLLM}, "openai", "", 4),
    "sglang": Case({"/v1/models": listed("sglang")}, "openai", "sglang", 2),
    "sglang, by its signs": Case(
        {"/v1/models": listed("me and you"), "/get_model_info": (200, '{"model_path":"m"}')}, "openai", "sglang", 5
    ),
    "llama.cpp": Case({"/v1/models": listed("llamacpp")}, "openai", "llama.cpp", 2),
    "llama-cpp-python": Case({"/v1/models": listed("me")}, "openai", "llama-cpp-python", 2),
    "transformers": Case(
        {"/v1/models": (200, '{"object":"list","data":[]}'), "/openapi.json": (200, OPENAPI)},
        "openai", "transformers", 4, LISTLESS,
    ),
    "transformers, which cannot list": Case(
        {"/v1/models": (500, "Internal Server Error"), "/openapi.json": (200, OPENAPI)},
        "openai", "transformers", 3, LISTLESS,
    ),
    "an OpenAI API": Case({"/v1/models": listed("acme")}, "openai", "", 9),
    "an OpenAI API of nothing": Case({"/v1/models": (200, '{"data":[]}')}, "openai", "", 9, LISTLESS),
    "hosted": Case(
        {"/v1/models": (*listed("acme"), [("openai-version", "2020-10-01")])}, "openai", "hosted", 1, OK,
        {"path": "/v1"},
    ),
    "ollama, by its listing": Case(
        {"/v1/models": listed("library"), "/api/version": (200, '{"version":"0.17.4"}')}, "ollama", "ollama", 3
    ),
    "ollama, url of its OpenAI API": Case(
        {"/": (200, "Ollama is running"), "/v1/models": listed("library")}, "openai", "ollama", 1, OK, {"path": "/v1"}
    ),
    "ollama, behind a gateway": Case({"/v1/models": listed("library")}, "openai", "ollama", 3),
    "tgi": Case({"/info": (200, '{"model_id":"m","router":"text-generation-router"}')}, "tgi", "tgi", 4, None),
    "tgi, by its listing": Case(
        {"/v1/models": listed("m", created=0), "/info": (200, '{"model_id":"m","router":"r"}')}, "tgi", "tgi", 3, None
    ),
    "tgi, behind a gateway": Case({"/v1/models": listed("m", created=0)}, "openai", "tgi", 3),
    "tei": Case({"/info": (200, '{"model_id":"m","max_client_batch_size":32}')}, "tei", "tei", 4, None),
    "infinity": Case(
        {"/": (307, "", [("location", "/docs")]), "/models": (200, '{"data":[{"stats":{},"backend":"torch"}]}')},
        "infinity", "infinity", 2,
    ),
    "infinity below a prefix": Case({"/v1/models": listed("infinity")}, "infinity", "infinity", 1, OK, {"path": "/v1"}),
    "triton": Case({"/v2": v2("triton"), "/v2/models/stats": (200, '{"model_stats":[]}')}, "triton", "triton", 4),
    "pytriton": Case({"/v2": v2("triton"), "/v2/models/stats": (403, "")}, "triton", "pytriton", 4),
    "mlserver": Case({"/v2": v2("mlserver")}, "open_inference", "mlserver", 3),
    "mlserver, url of its API": Case({"/v2": v2("mlserver")}, "open_inference", "mlserver", 1, OK, {"path": "/v2"}),
    "openvino": Case(
        {"/v1/models": TF, "/v2": v2("OpenVINO Model Server")}, "open_inference", "OpenVINO Model Server", 3
    ),
    "kserve": Case(
        {"/": (200, '{"status":"alive"}'), "/v2": v2("kserve"), "/v1/models": (200, '{"models":["m"]}')},
        "open_inference", "kserve", 2,
    ),
    "kserve, root hidden": Case(
        {"/v2": v2("kserve"), "/v1/models": (200, '{"models":["m"]}')}, "open_inference", "kserve", 3
    ),
    "kserve, v1 alone": Case({"/v1/models": (200, '{"models":["m"]}')}, "kserve_v1", "kserve", 3, None),
    "kserve, one model of v1": Case(
        {"/v1/models/m": (200, '{"name":"m","ready":true}')}, "kserve_v1", "kserve", 10, None, {"model": "m"}
    ),
    "tf_serving": Case({"/v1/models": TF}, "tf_serving", "tf_serving", 3, ("health",)),
    "tf_serving, its usual port and a model": Case(
        {"/v1/models": TF}, "tf_serving", "tf_serving", 2, OK, {"port": 8501, "model": "m"}
    ),
    "tf_serving, by its model": Case(
        {"/v1/models/m": (200, '{"model_version_status":[]}')}, "tf_serving", "tf_serving", 10, OK, {"model": "m"}
    ),
    "mlflow": Case({"/version": (200, "3.17.2"), "/ping": (200, "\n")}, "mlflow", "mlflow", 7, LISTLESS),
    "sagemaker": Case(
        {"/ping": (200, ""), "/invocations": (405, "", [("Allow", "POST, OPTIONS")])}, "sagemaker", "sagemaker", 8,
        ("health",),
    ),
    "seldon": Case({"/health/ping": (200, "pong")}, "seldon", "seldon", 9, None),
}  # fmt: skip

#: Paths that make some server infer, or that change something.
FORBIDDEN = ("/health", "/v1/health", "/health_generate", "/generate", "/predict", "/readyz", "/health/status")


class Deaf(FakeExchange):
    """A server that knows these paths and no other; every question is checked."""

    def __init__(self, answers, missing=NOT_FOUND, **more):
        super().__init__({f"GET {path}": answer for path, answer in answers.items()}, **more)
        self.missing = missing

    def _find(self, method, path, headers, body):
        assert method == "GET"
        assert path not in FORBIDDEN
        assert body is None
        self.answers.setdefault(f"GET {path}", self.missing)
        return super()._find(method, path, headers, body)


@pytest.mark.parametrize("case", SERVERS.values(), ids=SERVERS)
async def test_a_server_is_known_by_what_it_answers(ask, case):
    fake = Deaf(case.answers)
    found = await ask("auto", "detect", fake, **case.more)
    assert found.failure is None
    assert (found.detected.protocol, found.detected.server) == (case.protocol, case.server)
    assert len(fake.asked) == case.asked
    assert set(fake.timeouts) == {2.0}
    if case.probes is not None:
        assert found.detected.probes == case.probes
    assert found.detected.probes
    assert not {"infer", "stream"} & set(found.detected.probes)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ollama", "/ answers as Ollama does"),
        ("kserve, v1 alone", "/v1/models answers as KServe does"),
        ("kserve", "/v2 answers as KServe does"),
        ("vllm", "/v1/models answers as vLLM does"),
        ("an OpenAI API", "/v1/models answers as an OpenAI-compatible server does"),
        ("pytriton", "/v2/models/stats answers as PyTriton does"),
        ("tf_serving", "/v1/models answers as TensorFlow Serving does; name a model to ask ready and metadata"),
        ("torchserve, management port", "looks like TorchServe, watched as http; this is its management port: watch "
                                        "the inference port, with protocol torchserve"),
    ],
)  # fmt: skip
async def test_it_says_why(ask, name, why):
    case = SERVERS[name]
    assert (await ask("auto", "detect", Deaf(case.answers), **case.more)).detected.why == why


@pytest.mark.parametrize(
    "answer",
    [(200, "ok"), (200, "OK\n"), (200, "<html>hello</html>"), (200, "{}"), (200, "[]"), (200, '{"status":"ok"}'),
     (200, "\n"), (200, ""), NOT_FOUND, (404, "default backend - 404"), (404, "<html>404 Not Found</html>"),
     (302, "", [("location", "https://login.example.org/")]), (307, "", [("location", "/docs")]),
     (405, "", [("allow", "POST")]), (405, '{"detail":"Method Not Allowed"}', [("allow", "POST")]),
     (200, '{"version":"1.2.3"}'), (200, '{"name":"app"}'), (200, '{"model_id":"m"}'), (200, '{"status":"alive"}')],
)  # fmt: skip
async def test_who_answers_the_same_to_everything_is_http(ask, answer):
    fake = Deaf({}, answer)
    found = (await ask("auto", "detect", fake, model="m")).detected
    assert (found.protocol, found.server, found.probes) == ("http", "", ("health",))
    assert "/v1/models" in found.why
    assert len(fake.asked) == 10


@pytest.mark.parametrize(
    "answers",
    [
        {"/version": (200, "3.17.2"), "/ping": (200, "ok")},
        {"/version": (200, "3.17.2"), "/ping": (200, "")},
        {"/version": (200, "3.17.2"), "/ping": (404, "\n")},
        {"/ping": (200, "\n")},
        {"/ping": (200, ""), "/invocations": (200, "")},
        {"/ping": (200, ""), "/invocations": (404, "")},
        {"/ping": (200, ""), "/invocations": (405, "", [("allow", "GET, POST")])},
        {"/ping": (200, ""), "/invocations": (405, "", [("allow", "PUT")])},
        {"/-/routes": (200, "{}")},
        {"/-/routes": (200, '{"paths":{}}')},
        {"/health/ping": (200, '{"ping":"pong"}')},
        {"/v2": (200, '{"name":"registry"}')},
        {"/models": (200, '{"models":[]}')},
        {"/models": (200, '{"data":[{"id":"m"}]}')},
        {"/v1/models": (200, '{"models":[{"name":"m"}]}')},
        {"/": (405, '{"code":405,"type":"Other"}')},
        {"/": (200, "Path '/' not found. Ping http://.../-/routes")},
        {"/": (200, "<title>About BentoML Prediction Service</title>")},
    ],
)
async def test_near_misses(ask, answers):
    assert (await ask("auto", "detect", Deaf(answers))).detected.protocol == "http"


async def test_a_host_may_forbid_a_probe(ask):
    class Cloud(Deaf):
        async def request(self, *args, **more):
            return replace(await super().request(*args, **more), url="https://flowers.bentoml.ai/")

    found = (await ask("auto", "detect", Cloud(SERVERS["bentoml"].answers))).detected
    assert (found.protocol, found.probes) == ("bentoml", LISTLESS)


async def test_a_named_model_is_asked_for_last(ask):
    fake = Deaf({})
    await ask("auto", "detect", fake, model="a/b")
    assert (fake.asked[0], fake.asked[-1]) == ("GET /", "GET /v1/models/a%2Fb")
    assert len(fake.asked) == 10


@pytest.mark.parametrize(
    ("more", "first", "second"),
    [
        ({"path": "/v1"}, "GET /v1/models", "GET /"),
        ({"path": "/openai/v1", "query": "k=1"}, "GET /openai/v1/models?k=1", "GET /openai?k=1"),
        ({"path": "/v2"}, "GET /v2", "GET /"),
        ({"path": "/app"}, "GET /-/routes", "GET /app"),
        ({"port": 8501}, "GET /v1/models", "GET /"),
        ({"port": 8081}, "GET /models", "GET /"),
        ({"port": 11434}, "GET /", "GET /v1/models"),
        ({"port": 8081, "path": "/v1"}, "GET /v1/models", "GET /"),
    ],
)
async def test_the_url_is_a_prefix_and_a_hint(ask, more, first, second):
    fake = Deaf({})
    await ask("auto", "detect", fake, **more)
    assert fake.asked[:2] == [first, second]
    assert len(fake.asked) == 9


@pytest.mark.parametrize("answer", [(401, ""), (403, "")])
async def test_no_access_decides_nothing(ask, answer):
    assert (await ask("auto", "detect", Deaf({}, answer))).failure.reason is Reason.AUTH
    found = await ask("auto", "detect", Deaf({"/v1/models": answer, "/": (200, "hello")}))
    assert found.failure.reason is Reason.AUTH


@pytest.mark.parametrize(
    ("status", "reason"), [(503, Reason.HTTP_STATUS), (500, Reason.HTTP_STATUS), (429, Reason.RATE_LIMITED)]
)
async def test_a_server_that_is_not_well_decides_nothing(ask, status, reason):
    for route in ("/v1/models", "/-/routes"):
        found = await ask("auto", "detect", Deaf({route: (status, "upstream connect error")}))
        assert found.failure.reason is reason
        assert found.detected is None


@pytest.mark.parametrize(
    "reason", [Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT, Reason.TLS_EXPIRED]
)
async def test_an_unreachable_server_is_asked_once(ask, reason):
    fake = Deaf({"/": Failure(reason)})
    assert (await ask("auto", "detect", fake)).failure.reason is reason
    assert len(fake.asked) == 1


async def test_one_silent_route_is_passed_over(ask):
    fake = Deaf({"/": Failure(Reason.TIMEOUT), "/v1/models": listed("llamacpp")})
    assert (await ask("auto", "detect", fake)).detected.protocol == "openai"
    fake = Deaf({"/": Failure(Reason.TIMEOUT), "/v2": Failure(Reason.RESET), "/info": (200, "")})
    assert (await ask("auto", "detect", fake)).detected.protocol == "http"
    # A hung application at the root of Ray Serve.
    fake = Deaf({"/": Failure(Reason.TIMEOUT), "/-/routes": (200, '{"/":"app"}')})
    assert (await ask("auto", "detect", fake)).detected.protocol == "ray_serve"


async def test_two_silent_routes_in_a_row_decide_nothing(ask):
    fake = Deaf({"/": Failure(Reason.TIMEOUT), "/v1/models": Failure(Reason.DISCONNECTED)})
    assert (await ask("auto", "detect", fake)).failure.reason is Reason.DISCONNECTED
    assert len(fake.asked) == 2


async def test_the_deadline_decides_nothing(ask):
    fake = Deaf({"/": Failure(Reason.TIMEOUT)}, timeout=2)
    assert (await ask("auto", "detect", fake)).failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"data":' * 9000, b'{"data":[{"id":1}]}', b'{"data":[[]]}', b'{"name":{},"extensions":[]}',
     b'{"model":1,"server":{"devices":1}}', b'{"models":[{}]}', b'{"data":NaN}', b"\xff" * 100, b"{" * 200_000,
     b'{"models":["m",3]}', b'{"error":{"error":1}}', b'{"type":["MethodNotAllowedException"],"code":405}',
     json.dumps({"model": None, "server": {"devices": [], "stream": {}}}).encode()],
    ids=lambda body: repr(body[:16]),
)  # fmt: skip
async def test_hostile_shapes_are_no_evidence(ask, body):
    assert (await ask("auto", "detect", Deaf({}, (200, body)))).detected.protocol == "http"


async def test_a_name_from_a_server_is_made_safe(ask):
    found = (await ask("auto", "detect", Deaf({"/v2": v2("x\n\x1b[2J" + "y" * 500)}))).detected
    assert found.protocol == "open_inference"
    assert len(found.server) <= 128
    assert found.server.isprintable()
