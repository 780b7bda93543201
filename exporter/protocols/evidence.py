"""What the shape of an answer says of the server that gave it. Pure; a status alone is never evidence."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from exporter.contracts import Response
from exporter.protocols import litserve_info
from exporter.protocols.mlflow import version_of
from exporter.protocols.reading import json_or_none
from exporter.protocols.text import label

#: Bytes of an answer that are looked at.
LOOK = 64 * 1024

#: What Ray's proxy says at its own routes when it takes no requests.
_RAY_WAITS = frozenset(
    {"Route table is not populated yet.", "No replicas are available yet.", "This node is being drained."}
)


class Clue(NamedTuple):
    """What an answer looks like.

    With a `protocol` and nothing to ask `then` it is settled. With `then`, that question comes next: what it settles
    takes the place of this; where it settles nothing, this protocol is it, or without one the search goes on.
    """

    #: The server's name, as labels have it.
    server: str = ""
    protocol: str = ""
    #: Probes to run; none: the protocol's default ones.
    probes: tuple[str, ...] = ()
    #: What to tell someone whose url is not the one to watch.
    advice: str = ""
    then: "Question | None" = None


#: Reads the answer to one question: None when it says nothing.
Reader = Callable[[Response], Clue | None]


class Question(NamedTuple):
    """A route, asked with GET, and who reads the answer."""

    route: str
    read: Reader


def json_of(response: Response) -> Any:
    """The JSON object or list of an answer, None for anything else."""
    return json_or_none(response.body, LOOK) if response.body.lstrip()[:1] in (b"{", b"[") else None


def _text(response: Response) -> str:
    return response.body[:LOOK].decode("utf-8", "replace")


def of_root(response: Response) -> Clue | None:
    """`GET /`."""
    text = _text(response)
    said = text.strip()
    if said == "Ollama is running":
        return Clue("ollama", "ollama")
    if said == "litserve running":
        return Clue("litserve", "litserve", then=INFO)
    if response.status == 404 and text.startswith("Path ") and "/-/routes" in text:
        return Clue("ray_serve", "ray_serve")
    value = json_of(response)
    if isinstance(value, dict):
        if value.get("type") == "MethodNotAllowedException" and value.get("code") == 405:
            return Clue("torchserve", "torchserve")
        if value == {"status": "alive"}:
            return Clue(then=V2)
    if re.search(r"<title>\s*BentoML (?:Prediction|Inference) Service", text):
        return Clue("bentoml", "bentoml")
    if any(name.startswith("x-litellm-") for name, _ in response.headers.items()) or "LiteLLM API" in text:
        return Clue("litellm", "litellm")
    if 300 <= response.status < 400 and response.headers.get("location").endswith("/docs"):
        return Clue(then=MODELS)
    return None


def of_v2(response: Response) -> Clue | None:
    """`GET /v2`."""
    value = json_of(response)
    if not isinstance(value, dict) or not isinstance(value.get("extensions"), list):
        return None
    name = value.get("name")
    if not isinstance(name, str):
        return None
    if name == "triton":
        return Clue("triton", "triton", then=Question("/v2/models/stats", _of_statistics))
    return Clue(label(name), "open_inference")


def _of_statistics(response: Response) -> Clue | None:
    """`GET /v2/models/stats` of what calls itself Triton: PyTriton lets nobody see it."""
    return Clue("pytriton", "triton") if response.status == 403 else None


def of_info(response: Response) -> Clue | None:
    """`GET /info`."""
    routes = litserve_info.routes(response.body)
    if any(route.startswith("/v1/") for route in routes):
        # It lists no models, and its health is all it says of readiness.
        return Clue("litserve", "openai", probes=("health", "metadata"))
    if routes:
        return Clue("litserve", "litserve")
    value = json_of(response)
    if isinstance(value, dict) and isinstance(value.get("model_id"), str):
        if "router" in value:
            return Clue("tgi", "tgi")
        if "max_client_batch_size" in value:
            return Clue("tei", "tei")
    return None


def of_listing(response: Response) -> Clue | None:
    """`GET /models`."""
    value = json_of(response)
    if not isinstance(value, dict):
        return None
    names = value.get("models")
    if isinstance(names, list) and names and all(isinstance(item, dict) and "modelName" in item for item in names):
        advice = "this is its management port: watch the inference port, with protocol torchserve"
        return Clue("torchserve", "http", advice=advice)
    data = value.get("data")
    if isinstance(data, list) and any(_is_infinity(item) for item in data):
        return Clue("infinity", "infinity")
    return None


def of_version(response: Response) -> Clue | None:
    """`GET /version`: a bare version, as MLflow answers and few others do. Its `/ping` has to agree."""
    if response.status == 200 and version_of(response.body) is not None:
        return Clue(then=Question("/ping", _of_mlflow_ping))
    return None


def _of_mlflow_ping(response: Response) -> Clue | None:
    """`GET /ping`, after a bare version: one line break and nothing else."""
    return Clue("mlflow", "mlflow") if response.status == 200 and response.body == b"\n" else None


def of_ping(response: Response) -> Clue | None:
    """`GET /ping`: nothing at all. The other route of SageMaker's contract has to be there."""
    if response.status == 200 and not response.body:
        return Clue(then=Question("/invocations", _of_invocations))
    return None


def _of_invocations(response: Response) -> Clue | None:
    """`GET /invocations`, after an empty `/ping`: it takes POST alone."""
    allowed = [method.strip() for method in response.headers.get("allow").upper().split(",")]
    posts = response.status == 405 and "POST" in allowed and "GET" not in allowed
    return Clue("sagemaker", "sagemaker") if posts else None


def of_routes(response: Response) -> Clue | None:
    """`GET /-/routes`."""
    value = json_of(response)
    routes = isinstance(value, dict) and bool(value) and all(_is_route(key, item) for key, item in value.items())
    if routes or (response.status == 503 and _text(response) in _RAY_WAITS):
        return Clue("ray_serve", "ray_serve")
    return None


def of_seldon(response: Response) -> Clue | None:
    """`GET /health/ping`."""
    if response.status == 200 and _text(response).strip() == "pong":
        return Clue("seldon", "seldon")
    return None


def _is_route(key: Any, item: Any) -> bool:
    return isinstance(key, str) and key.startswith("/") and isinstance(item, str)


def _is_infinity(item: Any) -> bool:
    return isinstance(item, dict) and (("stats" in item and "backend" in item) or item.get("owned_by") == "infinity")


V2 = Question("/v2", of_v2)
INFO = Question("/info", of_info)
MODELS = Question("/models", of_listing)
