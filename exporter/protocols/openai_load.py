"""Where servers of the OpenAI API tell their load, and how it is read. Pure.

vLLM, NIM and SGLang tell it on `/metrics` (SGLang only with `--enable-metrics`), with the counter that moves as long as
an engine works; several engines each have a series of their own. llama.cpp tells which of its slots are at work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exporter.model.load import Load
from exporter.protocols.reading import count, parse
from exporter.protocols.samples import sums


@dataclass(frozen=True, slots=True)
class Source:
    """A route, and who reads its answer: None where that does not tell. `read` raises `Failure` (malformed)."""

    route: str
    read: Callable[[bytes], Load | None]
    #: Whether one server may hold many models, so that the route needs to be told which.
    of_model: bool = False


def _metrics(
    running: tuple[str, ...], waiting: tuple[str, ...], progress: tuple[str, ...]
) -> Callable[[bytes], Load | None]:
    """Reads a page of metrics; of several names the first that is there counts."""
    names = (*running, *waiting, *progress)

    def read(body: bytes) -> Load | None:
        found = sums(body, names)
        load = Load(
            running=next((found[name] for name in running if name in found), None),
            waiting=next((found[name] for name in waiting if name in found), None),
            progress=next((found[name] for name in progress if name in found), None),
        )
        return None if load.running is None and load.waiting is None else load

    return read


def _loads(body: bytes) -> Load | None:
    """SGLang: one entry for each data-parallel rank. Older versions count running and waiting together."""
    value = parse(body)
    ranks = value.get("loads") if isinstance(value, dict) else value
    if not isinstance(ranks, list) or not ranks or not all(isinstance(rank, dict) for rank in ranks):
        return None
    waiting = _sum(ranks, "num_waiting_reqs")
    running = _sum(ranks, "num_running_reqs")
    if running is None and (together := _sum(ranks, "num_reqs")) is not None:
        running = max(0.0, together - (waiting or 0.0))
    return Load(running=running, waiting=waiting, capacity=_sum(ranks, "max_running_requests") or None)


def _slots(body: bytes) -> Load | None:
    """llama.cpp: one entry for each slot. What waits for one is not told here."""
    slots = parse(body)
    if not isinstance(slots, list) or not slots or not all(isinstance(slot, dict) for slot in slots):
        return None
    running = sum(1 for slot in slots if slot.get("is_processing") is True)
    # A slot counts anew for each task, so a task's number moves the sum as well.
    progress = sum(_decoded(slot) + (count(slot.get("id_task")) or 0) for slot in slots)
    return Load(running=running, capacity=len(slots), progress=progress)


def _decoded(slot: dict[str, Any]) -> int:
    told = slot.get("next_token")
    first = told[0] if isinstance(told, list) and told else told
    return (count(first.get("n_decoded")) or 0) if isinstance(first, dict) else 0


def _sum(ranks: list[dict[str, Any]], key: str) -> float | None:
    found = [number for rank in ranks if (number := count(rank.get(key))) is not None]
    return float(sum(found)) if found else None


_VLLM = _metrics(
    ("vllm:num_requests_running", "num_requests_running"),
    ("vllm:num_requests_waiting", "num_requests_waiting"),
    ("vllm:iteration_tokens_total_sum", "vllm:generation_tokens_total", "generation_tokens_total"),
)

VLLM = (Source("/metrics", _VLLM),)
NIM = (Source("/v1/metrics", _VLLM),)
SGLANG = (
    Source(
        "/metrics",
        _metrics(("sglang:num_running_reqs",), ("sglang:num_queue_reqs",), ("sglang:generation_tokens_total",)),
    ),
    Source("/v1/loads", _loads),
    Source("/get_load", _loads),
)
LLAMA_CPP = (
    Source("/slots", _slots, of_model=True),
    Source(
        "/metrics",
        _metrics(
            ("llamacpp:requests_processing",), ("llamacpp:requests_deferred",), ("llamacpp:tokens_predicted_total",)
        ),
        of_model=True,
    ),
)
