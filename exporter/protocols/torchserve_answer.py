"""What TorchServe's answers say: errors with a type of their own, and how a model stands.

Source: pytorch/serve, docs/management_api.md; errors are {"code", "type", "message"}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.contracts import Response
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer
from exporter.protocols.reading import json_or_none, parse, string
from exporter.protocols.text import label, quote


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands. `workers` holds the state of each, `free` the places left in its queue, `waiting` the
    requests in it, `batch` how many a worker takes at once; None is what is not told.
    """

    workers: tuple[str, ...]
    free: int | None
    waiting: int | None
    batch: int
    version: str
    runtime: str
    #: The description as it came.
    entry: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ready(self) -> int:
        """Workers that take requests."""
        return self.workers.count("READY")


def refuse(response: Response) -> None:
    """Raise the failure of an answer that is not 2xx, by TorchServe's own rules."""
    failure = judge(response)
    if failure is not None:
        raise failure


def judge(response: Response, model: str = "") -> Failure | None:
    """The failure of an answer, None for 2xx. A missing or wrong key is 400; a model it does not have is 404."""
    failure = answer.judge(response.status, response.headers, response.body)
    match failure, error_type(response.body):
        case None, _:
            return None
        case Failure(), "InvalidKeyException":
            return answer.because(failure, Reason.AUTH)
        case Failure(), "ModelNotFoundException" | "ModelVersionNotFoundException" if model:
            return answer.because(failure, Reason.MODEL_NOT_FOUND)
    return failure


def error_type(body: bytes) -> str:
    """The type of an error as TorchServe writes it, "" for anything else."""
    value = json_or_none(body, answer.LOOK)
    return string(value.get("type")) if isinstance(value, dict) and "code" in value else ""


def read(body: bytes) -> Standing:
    """How the first model of a description stands. Raises `Failure` (malformed)."""
    entries = parse(body)
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        raise Failure(Reason.MALFORMED, f"the management port describes no model: {answer.message(body)}")
    return _standing(entries[0])


def _standing(entry: Mapping[str, Any]) -> Standing:
    workers, queue = entry.get("workers"), entry.get("jobQueueStatus")
    known = [worker for worker in workers if isinstance(worker, dict)] if isinstance(workers, list) else []
    free, waiting = (
        queue.get(key) if isinstance(queue, dict) else None for key in ("remainingCapacity", "pendingRequests")
    )
    version, runtime, batch = entry.get("modelVersion"), entry.get("runtime"), entry.get("batchSize")
    return Standing(
        workers=tuple(quote(str(worker.get("status")), 40) for worker in known),
        free=free if isinstance(free, int) else None,
        waiting=waiting if isinstance(waiting, int) else None,
        batch=batch if isinstance(batch, int) and batch > 0 else 1,
        version=label(version) if isinstance(version, str) else "",
        runtime=label(runtime) if isinstance(runtime, str) else "",
        entry=entry,
    )
