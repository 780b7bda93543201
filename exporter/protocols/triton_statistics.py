"""Triton's statistics of a model, read. Pure.

Source: triton-inference-server/server, docs/protocol/extension_statistics.md. Times are nanoseconds over all requests.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.model.load import Load, Spent
from exporter.model.observation import Part
from exporter.protocols.reading import count, parse_object

#: The parts of its account, and what of it they are.
_PARTS: Mapping[Part, tuple[str, ...]] = {
    Part.QUEUE: ("queue",),
    Part.COMPUTE: ("compute_input", "compute_infer", "compute_output"),
}


def read(body: bytes) -> Load:
    """Work that was done, and what it took, over the versions of a model. Raises `Failure` (malformed)."""
    stats = parse_object(body).get("model_stats")
    if not isinstance(stats, list):
        raise Failure(Reason.MALFORMED, "the statistics have no model_stats")
    entries = [entry for entry in stats if isinstance(entry, dict)]
    moved = [number for entry in entries for number in _counters(entry)]
    return Load(progress=float(sum(moved)) if moved else None, spent=_spent(entries))


def _counters(entry: Mapping[str, Any]) -> Iterator[int]:
    """Every counter that moves with work: inferences, batches, requests, and answers of decoupled models."""
    responses = entry.get("response_stats")
    blocks = [entry.get("inference_stats"), *(responses.values() if isinstance(responses, dict) else ())]
    found = [entry.get("inference_count"), entry.get("execution_count")]
    found += [_of(block, key, "count") for block in blocks for key in ("success", "fail")]
    yield from (number for number in map(count, found) if number is not None)


def _spent(entries: list[dict[str, Any]]) -> Spent | None:
    """What all requests took; None where some version does not account for them."""
    requests, seconds = 0, dict.fromkeys(_PARTS, 0.0)
    for entry in entries:
        block = entry.get("inference_stats")
        ended = [count(_of(block, key, "count")) for key in ("success", "fail")]
        if ended[0] is None:
            return None
        requests += sum(number or 0 for number in ended)
        for part, keys in _PARTS.items():
            for key in keys:
                took = _of(block, key, "ns")
                if not isinstance(took, int) or took < 0:
                    return None
                seconds[part] += took * 1e-9
    return Spent(requests, seconds) if entries else None


def _of(block: Any, key: str, name: str) -> Any:
    part = block.get(key) if isinstance(block, dict) else None
    return part.get(name) if isinstance(part, dict) else None
