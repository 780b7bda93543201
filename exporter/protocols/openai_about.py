"""What each server of the OpenAI API tells of itself and its model, beside the listing of models. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.protocols import huggingface, litserve_info
from exporter.protocols.openai_evidence import server_of
from exporter.protocols.reading import count, parse_object, string
from exporter.protocols.text import label

#: Labels, and numbers.
Told = tuple[dict[str, str], dict[str, float]]


@dataclass(frozen=True, slots=True)
class About:
    """One question: routes by which one and the same answer comes (newest first), and who reads it.

    `read` raises `Failure` (malformed) for an answer of another shape.
    """

    routes: tuple[str, ...]
    read: Callable[[bytes], Told]


def of_entry(entry: Mapping[str, Any]) -> Told:
    """What a listed model's entry tells."""
    info = {"model_id": label(string(entry.get("root")) or entry["id"])}
    if server := server_of(entry):
        info["server"] = server
    meta = entry.get("meta")
    trained = meta.get("n_ctx_train") if isinstance(meta, dict) else None
    length = count(entry.get("max_model_len", entry.get("context_length", trained)))
    return info, {} if length is None else {"max_model_len": float(length)}


def _labels(**keys: str) -> Callable[[bytes], Told]:
    """Reads texts: label=key of the answer."""
    return lambda body: (_texts(parse_object(body), keys), {})


def _texts(value: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, str]:
    return {name: label(text) for name, key in keys.items() if (text := string(value.get(key)))}


def _props(body: bytes) -> Told:
    value = parse_object(body)
    settings = value.get("default_generation_settings")
    length = count(settings.get("n_ctx")) if isinstance(settings, dict) else None
    numbers = {"max_model_len": length, "total_slots": count(value.get("total_slots"))}
    facts = {name: float(number) for name, number in numbers.items() if number is not None}
    return _texts(value, {"server_version": "build_info"}), facts


def _metadata(body: bytes) -> Told:
    """NIM: `modelInfo` names what it has loaded, such as `nvidia/nim/llama-3.1-8b-instruct:hf-8c22764`."""
    value = parse_object(body)
    info = _texts(value, {"server_version": "version"})
    models = value.get("modelInfo")
    first = models[0] if isinstance(models, list) and models else None
    if isinstance(first, dict) and (name := string(first.get("shortName")) or string(first.get("modelUrl"))):
        info["model_version"] = label(name)
    return info, {}


VLLM = (About(("/version",), _labels(server_version="version")),)
OLLAMA = (About(("/api/version",), _labels(server_version="version")),)
SGLANG = (
    About(("/model_info", "/get_model_info"), _labels(model_id="model_path", model_version="weight_version")),
    About(("/server_info", "/get_server_info"), _labels(server_version="version")),
)
LLAMA_CPP = (About(("/props",), _props),)
NIM = (About(("/v1/metadata",), _metadata), About(("/v1/version",), _labels(server_version="release")))
TGI = (About(("/info",), lambda body: huggingface.described(body, "max_total_tokens")),)
LITELLM = (About(("/health/readiness",), _labels(server_version="litellm_version")),)
LITSERVE = (About(("/info",), lambda body: (litserve_info.describe(body), {})),)
