"""What the shape of an answer says of the server that gave it. Pure; a status alone is never evidence."""

import re
from typing import Any, NamedTuple

from exporter.contracts import Response
from exporter.model.failure import Failure
from exporter.protocols import openai_answer
from exporter.protocols.mlflow import version_of
from exporter.protocols.reading import parse
from exporter.protocols.text import label

#: Bytes of an answer that are looked at.
LOOK = 64 * 1024


class Clue(NamedTuple):
    """What an answer looks like. `advice`: what to tell someone whose server this version has no protocol for."""

    server: str
    protocol: str = ""
    advice: str = ""
    #: The answer settles it; otherwise another question may find a protocol this server speaks too.
    final: bool = True
    #: Only together with the answer to this further question.
    then: str = ""
    #: Probes to run; none: the protocol's default ones.
    probes: tuple[str, ...] = ()


def _json(response: Response) -> Any:
    if len(response.body) > LOOK or response.body.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return parse(response.body)
    except Failure:
        return None


def _text(response: Response) -> str:
    return response.body[:LOOK].decode("utf-8", "replace")


def of_root(response: Response) -> Clue | None:
    """`GET /`."""
    text = _text(response)
    said = text.strip()
    if said == "Ollama is running":
        return Clue("ollama", advice="its OpenAI routes below /v1 can be watched with protocol openai", final=False)
    if said == "litserve running":
        return Clue("litserve", final=False)
    if response.status == 404 and "/-/routes" in text and text.startswith("Path "):
        return Clue("ray_serve", advice="give the url the path /-/healthz")
    value = _json(response)
    if isinstance(value, dict) and value.get("type") == "MethodNotAllowedException" and value.get("code") == 405:
        return Clue("torchserve", advice="give the url the path /ping")
    if re.search(r"<title>\s*BentoML Prediction Service", text):
        return Clue("bentoml", advice="give the url the path /livez")
    if any(name.startswith("x-litellm-") for name, _ in response.headers.items()) or "LiteLLM API" in text:
        return Clue("litellm", "openai")
    return None


def of_models(response: Response) -> Clue | None:
    """`GET /v1/models`."""
    value = _json(response)
    if not isinstance(value, dict):
        return None
    data = value.get("data")
    if openai_answer.is_listing(data):
        if not data:  # a server that lists no model cannot say that one is ready
            return Clue("", "openai", probes=("health", "metadata"))
        return Clue(openai_answer.server_of(data[0]), "openai")
    names = value.get("models")
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return Clue("kserve", advice="give the url the path /v1/models/MODEL", final=False)
    if value.get("error") == "Malformed request: GET /v1/models":
        return Clue("tf_serving", advice="give the url the path /v1/models/MODEL")
    return None


def of_v2(response: Response) -> Clue | None:
    """`GET /v2`."""
    value = _json(response)
    if isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("extensions"), list):
        return Clue(label(value["name"]), "open_inference")
    return None


def of_info(response: Response) -> Clue | None:
    """`GET /info`."""
    routes = openai_answer.litserve_routes(response.body)
    if any(route.startswith("/v1/") for route in routes):
        # It lists no models, and its health is all it says of readiness.
        return Clue("litserve", "openai", probes=("health", "metadata"))
    if routes:
        return Clue("litserve")
    value = _json(response)
    if isinstance(value, dict) and isinstance(value.get("model_id"), str):
        if "router" in value:
            return Clue("tgi")
        if "max_client_batch_size" in value:
            return Clue("tei")
    return None


def of_listing(response: Response) -> Clue | None:
    """`GET /models`."""
    value = _json(response)
    if not isinstance(value, dict):
        return None
    names = value.get("models")
    if isinstance(names, list) and names and all(isinstance(item, dict) and "modelName" in item for item in names):
        return Clue("torchserve", advice="this is its management port: use the inference port, path /ping")
    data = value.get("data")
    if isinstance(data, list) and any(_is_infinity(item) for item in data):
        return Clue("infinity")
    return None


def of_version(response: Response) -> Clue | None:
    """`GET /version`: a bare version, as MLflow answers and few others do. Its `/ping` has to agree."""
    if response.status == 200 and version_of(response.body) is not None:
        return Clue("mlflow", then="/ping")
    return None


def of_ping(response: Response) -> Clue | None:
    """`GET /ping`, after `of_version`: one line break and nothing else."""
    return Clue("mlflow", "mlflow") if response.status == 200 and response.body == b"\n" else None


def of_routes(response: Response) -> Clue | None:
    """`GET /-/routes`."""
    value = _json(response)
    if isinstance(value, dict) and value and all(_is_route(key, item) for key, item in value.items()):
        return Clue("ray_serve", advice="give the url the path /-/healthz")
    return None


def of_seldon(response: Response) -> Clue | None:
    """`GET /health/ping`."""
    if response.status == 200 and _text(response).strip() == "pong":
        return Clue("seldon", advice="give the url the path /health/ping")
    return None


def of_model(response: Response) -> Clue | None:
    """`GET /v1/models/MODEL`."""
    value = _json(response)
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("model_version_status"), list):
        return Clue("tf_serving", advice="give the url the path /v1/models/MODEL")
    if isinstance(value.get("name"), str) and isinstance(value.get("ready"), bool):
        return Clue("kserve", advice="give the url the path /v1/models/MODEL")
    return None


def _is_route(key: Any, item: Any) -> bool:
    return isinstance(key, str) and key.startswith("/") and isinstance(item, str)


def _is_infinity(item: Any) -> bool:
    return isinstance(item, dict) and (("stats" in item and "backend" in item) or item.get("owned_by") == "infinity")
