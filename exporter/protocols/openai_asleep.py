"""Whether a canary would wake a model that its server has put to sleep or not loaded. Only GETs that wake nothing."""

from typing import Any

from exporter.contracts import Response
from exporter.model.failure import Asleep, Failure
from exporter.protocols import ollama_residency, openai_answer
from exporter.protocols.openai_servers import Server
from exporter.protocols.openai_visit import PATIENCE, Visit
from exporter.protocols.reading import json_or_none, string

#: Only vLLM's development mode has it.
_IS_SLEEPING = "/is_sleeping"


async def refuse(visit: Visit, server: Server, model: str) -> None:
    """Raise `Asleep` where a request to the model would wake it.

    A server that is too unwell to tell is asked all the same: that is what a canary is for.
    """
    match server.name:
        case "llama.cpp":
            detail = await _of_llama(visit, model)
        case "ollama":
            detail = await _of_ollama(visit, model)
        case "vllm":
            detail = await _of_vllm(visit)
        case _:
            return
    if detail:
        raise Asleep(detail)


async def _of_llama(visit: Visit, model: str) -> str:
    value = _object(await visit.aside("/props"))
    if value.get("is_sleeping") is True:
        return "the server sleeps"
    if value.get("role") != "router":
        return ""
    try:
        entry = openai_answer.lists(await visit.entries(PATIENCE), model)
    except Failure:
        return ""
    state = status_of(entry) if entry is not None else ""
    return f"the model is {state}" if state in ("sleeping", "unloaded") else ""


def status_of(entry: dict[str, Any]) -> str:
    """The state of a model behind llama.cpp's router, `""` where there is no router."""
    status = entry.get("status")
    return string(status.get("value")) if isinstance(status, dict) else ""


async def _of_ollama(visit: Visit, model: str) -> str:
    """Loaded models are in `/api/ps`. Where that route is hidden nobody can know, and it is left alone."""
    response = await visit.aside("/api/ps")
    if response is None or response.status >= 500:
        return ""
    residency = ollama_residency.find(response.body, response.headers, model)
    if response.status != 200 or not residency.told:
        return "it cannot be read whether the model is loaded"
    return "" if residency.loaded is not None else "the model is not loaded"


async def _of_vllm(visit: Visit) -> str:
    if visit.lacks(_IS_SLEEPING):
        return ""
    response = await visit.aside(_IS_SLEEPING)
    visit.lacks(_IS_SLEEPING, response)
    return "the engine sleeps" if _object(response).get("is_sleeping") is True else ""


def _object(response: Response | None) -> dict[str, Any]:
    """The JSON object of a good answer, an empty one for anything else."""
    if response is None or response.status != 200:
        return {}
    value = json_or_none(response.body)
    return value if isinstance(value, dict) else {}
