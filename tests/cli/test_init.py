"""`init` against servers that answer as real ones do."""

import json
from typing import Any

import pytest
import yaml
from click.testing import Result

from exporter import once
from exporter.cli.init import MOST_TARGETS
from tests.cli.conftest import Invoke
from tests.support.fake import Fake, Reply, Request

pytestmark = pytest.mark.slow

SCHEMA = {
    "name": "Summary",
    "routes": [
        {
            "name": "sum",
            "route": "/sum",
            "input": {"properties": {"text": {"type": "string"}}, "required": ["text"]},
            "output": {"type": "string"},
        }
    ],
}


class Server:
    """Answers from a table of `METHOD path`; a value that is no text is answered as JSON."""

    def __init__(self, **more: Any) -> None:
        self.answers: dict[str, Any] = more

    def __call__(self, request: Request) -> Reply:
        found = self.answers.get(f"{request.method} {request.path}", (404, "Not Found"))
        if isinstance(found, tuple):
            return found[0], found[1]
        text = found if isinstance(found, str) else json.dumps(found)
        return 200, text, {"Content-Type": "text/plain" if isinstance(found, str) else "application/json"}


def bento(schema: Any, **more: Any) -> Server:
    page = "<title>BentoML Prediction Service</title>"
    return Server(**{"GET /": page, "GET /livez": "\n", "GET /readyz": "\n", "GET /schema.json": schema, **more})


def listing(*names: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "owned_by": "me"} for name in names]}


def read(result: Result) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = yaml.safe_load(result.stdout)["targets"]
    return targets


def asked(fake: Fake) -> list[str]:
    return [f"{request.method} {request.path}" for request in fake.requests]


def test_a_canary_is_proposed_by_what_the_server_tells_and_tried_once(invoke: Invoke) -> None:
    with Fake(bento(SCHEMA, **{"POST /sum": '"a sum"'})) as fake:
        result = invoke(["init", fake.url])
    (target,) = read(result)
    assert result.exit_code == 0
    assert (target["protocol"], list(target["probes"])) == ("bentoml", ["health", "ready", "metadata", "infer"])
    assert target["probes"]["infer"] == {"interval": "1m", "path": "/sum", "body": {"text": "text"}}
    assert "The real question: " in result.stdout
    assert asked(fake).count("POST /sum") == 1
    assert [request.body for request in fake.requests if request.method == "POST"] == [b'{"text":"text"}']


def test_a_canary_that_the_server_refuses_is_a_comment(invoke: Invoke) -> None:
    with Fake(bento(SCHEMA, **{"POST /sum": (400, '{"error":"too short"}')})) as fake:
        result = invoke(["init", fake.url])
    assert "infer" not in read(result)[0]["probes"]
    assert "# Left out, for when it was tried: http_status: HTTP 400: too short" in result.stdout
    assert '      # infer:\n      #   interval: 1m\n      #   path: "/sum"\n' in result.stdout


def test_a_canary_that_nobody_can_guess_is_not_tried(invoke: Invoke) -> None:
    several = {**SCHEMA, "routes": [*SCHEMA["routes"], {"name": "wipe", "route": "/wipe", "input": {}}]}
    with Fake(bento(several)) as fake:
        result = invoke(["init", fake.url])
    assert list(read(result)[0]["probes"]) == ["health", "ready", "metadata"]
    assert "# The real question is missing: add infer or stream with" in result.stdout
    assert not [request for request in fake.requests if request.method == "POST"]


def test_what_a_server_tells_that_no_config_can_hold_is_not_proposed(invoke: Invoke) -> None:
    odd = {**SCHEMA, "routes": [{**SCHEMA["routes"][0], "route": "no path\n- {}"}]}
    with Fake(bento(odd)) as fake:
        result = invoke(["init", fake.url])
    assert result.exit_code == 0
    assert list(read(result)[0]["probes"]) == ["health", "ready", "metadata"]


def test_a_target_for_each_of_a_few_models_and_a_word_of_the_others(invoke: Invoke) -> None:
    names = [f"model-{number}" for number in range(MOST_TARGETS + 2)]
    chat = (400, '{"error":{"message":"no"}}')
    with Fake(Server(**{"GET /v1/models": listing(*names), "POST /v1/chat/completions": chat})) as fake:
        result = invoke(["init", fake.url])
    assert [target["model"] for target in read(result)] == names[:MOST_TARGETS]
    assert [target["name"] for target in read(result)] == names[:MOST_TARGETS]
    assert result.stdout.count(", ".join(names[MOST_TARGETS:])) == 1
    sent = [json.loads(request.body)["model"] for request in fake.requests if request.method == "POST"]
    assert sorted(set(sent)) == names[:MOST_TARGETS]


def test_a_server_that_is_not_recognised_is_exit_code_1(invoke: Invoke) -> None:
    with Fake(lambda request: (500, "no")) as fake:
        result = invoke(["init", fake.url, fake.url])
    assert result.exit_code == 1
    assert read(result) == [{"name": fake.url.removeprefix("http://"), "url": fake.url, "protocol": "auto"}]
    assert result.stderr.startswith(f"Not recognised: {fake.url}: http_status: HTTP 500")


@pytest.mark.parametrize("answer", [[], {}, {"data": None}, "not JSON", (500, ""), listing()])
async def test_no_list_means_no_models(answer: Any) -> None:
    with Fake(Server(**{"GET /v1/models": answer})) as fake:
        assert await once.catalogue(fake.url, "openai") == ()


async def test_a_list_that_is_not_offered_is_not_asked_for() -> None:
    with Fake(Server()) as fake:
        assert await once.catalogue(fake.url, "mlflow") == ()
        assert await once.propose(fake.url, "http") is None
        assert await once.propose(fake.url, "tf_serving") is None  # it would need a model
    assert not fake.requests


async def test_a_list() -> None:
    with Fake(Server(**{"GET /v1/models": listing("a", "b", "a", "\x1b[2J")})) as fake:
        assert await once.catalogue(fake.url, "openai") == ("a", "b")
