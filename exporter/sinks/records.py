"""Records: what happened, as sinks pass it on. Made cheaply on the loop, written out in a sink's own thread."""

import json
import math
from collections.abc import Mapping
from random import getrandbits
from typing import Any

from exporter.contracts import Record
from exporter.model import plain
from exporter.model.result import Result
from exporter.model.state import State, StateChange
from exporter.model.target import Target
from exporter.sinks.shape import VERSION


def of_result(result: Result, state: State | None) -> Record:
    """The record of a run; its id is the run's trace id. `state` is that of the target after it."""
    return Record(
        "result", result.trace_id, result.at, result.job.target, lambda: _result(result, state),
        status=result.status, state=state, source=result,
    )  # fmt: skip


def of_change(change: StateChange, target: Target) -> Record:
    """The record of a change of state."""
    return Record(
        "state_change", new_id(), change.at, target, lambda: plain.change(change),
        state=change.verdict.state, source=change,
    )  # fmt: skip


def new_id() -> str:
    """An id for a record that has none by itself."""
    return f"{getrandbits(128):032x}"


def document(record: Record) -> dict[str, Any]:
    """A record as plain values, in the shape of `shape`."""
    target = record.target
    return {
        "version": VERSION,
        "type": record.type,
        "id": record.id,
        "at": round(record.at, 6),
        "target": target.title,
        "model": target.model,
        "labels": dict(target.labels),
        "address": target.address or None,
        "url": target.endpoint.url,
        **record.fields(),
    }


def line(record: Record) -> bytes:
    """A record as JSON in ASCII, so that no character in it ends a line, and a line feed. Numbers JSON does not have
    become null.
    """
    values = document(record)
    try:
        text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(values), allow_nan=False, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def _result(result: Result, state: State | None) -> dict[str, Any]:
    measured, seen = result.measurement, result.observation
    return {
        "probe": result.job.probe,
        "kind": result.job.kind,
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "state": state,
        "attempts": result.attempts,
        "failures": list(result.failures),
        "duration_seconds": measured.duration,
        "phases_seconds": dict(measured.phases),
        "http_status": measured.http_status,
        "response_bytes": measured.response_bytes,
        "certificate_not_after": measured.certificate_not_after,
        "trace_id": result.trace_id,
        "suspect": result.suspect,
        "stamps": measured.stamps,
        "stream": plain.stream(seen.stream),
        "tokens": plain.tokens(seen.tokens),
        "server_seconds": dict(seen.server_seconds),
        "info": dict(seen.info),
        "facts": dict(seen.facts),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
