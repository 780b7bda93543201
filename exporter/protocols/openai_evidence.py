"""Who is behind an OpenAI API, from the shape of what it answers. Pure; a status alone is never evidence.

Sources: the servers' own code or documentation, what `owned_by` of their listings says, and headers of hosted APIs.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from exporter.contracts import Headers, Response
from exporter.protocols import litserve_info
from exporter.protocols.reading import json_or_none

#: Bytes of an answer that are looked at.
LOOK = 256 * 1024

#: What `owned_by` of a listed model says of the server.
OWNERS: Mapping[str, str] = MappingProxyType(
    {
        "vllm": "vllm",
        "sglang": "sglang",
        "llamacpp": "llama.cpp",
        "me": "llama-cpp-python",
        "library": "ollama",
        "infinity": "infinity",
    }
)

#: Headers that these put on every answer.
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "x-litellm-version": "litellm",
        "x-litellm-call-id": "litellm",
        "openai-version": "hosted",
        "x-ms-region": "hosted",
        "apim-request-id": "hosted",
    }
)

#: Reads one answer: the server's name, `""` when it tells nothing.
Sign = Callable[[Response], str]


def of_headers(headers: Headers) -> str:
    """The server that says itself in the headers of any answer."""
    return next((name for header, name in _HEADERS.items() if headers.get(header)), "")


def of_listing(headers: Headers, entries: list[dict[str, Any]]) -> str:
    """The server behind an answer to `GET /v1/models`. An owner says more than what a hosted API has in front of it."""
    told = of_headers(headers)
    owner = server_of(entries[0]) if entries else ""
    return told if told == "litellm" or not owner else owner


def server_of(entry: Mapping[str, Any]) -> str:
    """The server a listed model was served by, `""` when the entry does not tell."""
    owner = entry.get("owned_by")
    known = OWNERS.get(owner, "") if isinstance(owner, str) else ""
    if not known and "max_model_len" in entry and "root" in entry and "permission" in entry:
        return "vllm"
    # Text Generation Inference has the model own itself, and no date.
    return known or ("tgi" if owner == entry.get("id") and entry.get("created") == 0 else "")


def _version(response: Response) -> str:
    value = _json(response)
    return "vllm" if isinstance(value, dict) and isinstance(value.get("version"), str) else ""


def _metadata(response: Response) -> str:
    value = _json(response)
    return "nim" if isinstance(value, dict) and isinstance(value.get("modelInfo"), list) else ""


def _model_info(response: Response) -> str:
    value = _json(response)
    return "sglang" if isinstance(value, dict) and isinstance(value.get("model_path"), str) else ""


def _props(response: Response) -> str:
    value = _json(response)
    known = isinstance(value, dict) and ("total_slots" in value or value.get("role") == "router")
    return "llama.cpp" if known else ""


def _info(response: Response) -> str:
    if any(route.startswith("/v1/") for route in litserve_info.routes(response.body)):
        return "litserve"
    value = _json(response)
    return "tgi" if isinstance(value, dict) and "router" in value and isinstance(value.get("model_id"), str) else ""


def _liveliness(response: Response) -> str:
    return "litellm" if b"I'm alive!" in response.body[:64] else ""


def _openapi(response: Response) -> str:
    value = _json(response)
    paths = value.get("paths") if isinstance(value, dict) else None
    known = isinstance(paths, dict) and "/load_model" in paths and "/v1/chat/completions" in paths
    return "transformers" if known else ""


def _json(response: Response) -> Any:
    return json_or_none(response.body, LOOK) if response.body.lstrip()[:1] == b"{" else None


#: A model that vLLM owns may be served by vLLM, by NIM with vLLM inside, or by a gateway that shows only `/v1`.
OF_VLLM: tuple[tuple[str, Sign], ...] = (("/version", _version), ("/v1/metadata", _metadata))
#: Where there is no listing.
OF_NO_LISTING: tuple[tuple[str, Sign], ...] = (("/info", _info), ("/openapi.json", _openapi))
#: Where the listing tells nothing. LiteLLM's `/health` would call every model behind it: no other sign is asked for.
OF_ANY: tuple[tuple[str, Sign], ...] = (
    ("/v1/metadata", _metadata),
    ("/model_info", _model_info),
    ("/get_model_info", _model_info),
    ("/props", _props),
    ("/info", _info),
    ("/health/liveliness", _liveliness),
)
