"""What `model-exporter probe --json` prints: one stable object. docs/cli.md shows its shape."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from exporter.model import plain
from exporter.model.failure import Status
from exporter.model.result import Result

if TYPE_CHECKING:
    from exporter.once import ProbeReport


def healthy(reports: "Sequence[ProbeReport]") -> bool:
    """Whether something was asked and every answer was good. A model that was left asleep is no bad answer."""
    results = [result for report in reports for result in report.results]
    return bool(results) and all(result.status is Status.HEALTHY for result in results)


def by_probe(reports: "Sequence[ProbeReport]") -> dict[str, list[Result]]:
    """Results of all rounds per probe, in the order they were first seen."""
    probes: dict[str, list[Result]] = {}
    for report in reports:
        for result in report.results:
            probes.setdefault(result.job.probe, []).append(result)
    return probes


def spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Minimum, median and maximum of those values that exist; None when none does."""
    known = [value for value in values if value is not None]
    return {"min": min(known), "median": median(known), "max": max(known)} if known else None


def first_token(result: Result) -> float | None:
    """Seconds to the first token of any channel."""
    stream = result.observation.stream
    return min(stream.ttft.values(), default=None) if stream else None


def speed(result: Result) -> float | None:
    """Output tokens per second."""
    stream = result.observation.stream
    return stream.output_tokens_per_second if stream else None


def document(reports: "Sequence[ProbeReport]") -> dict[str, Any]:
    """All rounds as one object of plain values."""
    last = reports[-1]
    info: dict[str, str] = {}
    facts: dict[str, float] = {}
    for result in last.results:
        info |= result.observation.info
        facts |= result.observation.facts
    found = last.detection
    return {
        "url": next((result.job.target.endpoint.url for result in last.results), ""),
        "healthy": healthy(reports),
        "detection": {
            "protocol": found.protocol,
            "server": found.server,
            "probes": list(found.probes),
            "why": found.why,
        }
        if found
        else None,
        "info": info,
        "facts": facts,
        "probes": [_probe(name, results) for name, results in by_probe(reports).items()],
    }


def _probe(name: str, results: Sequence[Result]) -> dict[str, Any]:
    ran = [result for result in results if not result.skipped]
    return {
        "probe": name,
        "kind": str(results[0].job.kind),
        "runs": [_run(result) for result in results],
        "summary": {
            "runs": len(ran),
            "healthy": sum(result.status is Status.HEALTHY for result in ran),
            "duration_seconds": spread([result.measurement.duration for result in ran]),
            "ttft_seconds": spread([first_token(result) for result in results]),
            "output_tokens_per_second": spread([speed(result) for result in results]),
        },
    }


def _run(result: Result) -> dict[str, Any]:
    measured, seen = result.measurement, result.observation
    return {
        "at": result.at,
        "status": result.outcome,
        "reason": str(result.reason) if result.reason else None,
        "detail": result.detail,
        "attempts": result.attempts,
        "failures": [str(reason) for reason in result.failures],
        "duration_seconds": measured.duration,
        "phases_seconds": dict(measured.phases),
        "http_status": measured.http_status,
        "response_bytes": measured.response_bytes,
        "address": measured.address,
        "certificate_not_after": measured.certificate_not_after,
        "trace_id": result.trace_id,
        "suspect": result.suspect,
        "stamps": str(measured.stamps),
        "answer": seen.answer,
        "stream": plain.stream(seen.stream),
        "server_seconds": {str(part): took for part, took in seen.server_seconds.items()},
        "tokens": plain.tokens(seen.tokens),
    }
