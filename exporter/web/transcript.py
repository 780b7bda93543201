"""What a run did, for people, and what was said on the wire in one that failed: of a probe on demand (`debug=true`),
and of the last failure of each that is scheduled.
"""

from collections.abc import Iterator, Sequence

from exporter.model.failure import Status
from exporter.model.observation import Measurement
from exporter.model.result import Result
from exporter.web.words import REASONS, latency


def write(url: str, module: str, results: Sequence[Result], metrics: bytes) -> bytes:
    """A plain text account of `results`, then the metrics that would have been returned.

    What a model said is left out: it may echo what it was sent. Queries are, too: they may hold a key.
    """
    lines = [f"Probe of {url.partition('?')[0]}" + (f" with module {module}" if module else ""), ""]
    for result in results:
        lines += [*account(result), ""]
    lines += ["Metrics that would have been returned:", ""]
    return "\n".join(lines).encode() + b"\n" + metrics


def account(result: Result) -> Iterator[str]:
    """What one run did, line by line, and of one that failed what was said; what the model said is left out."""
    seen, job = result.observation, result.job
    healthy = result.status is Status.HEALTHY
    yield f"{job.probe} ({job.kind}): {result.outcome}" + ("" if healthy or result.reason is None else
        f", {result.reason}: {REASONS[result.reason]}")  # fmt: skip
    if result.detail:
        yield f"  detail: {_line(result.detail)}"
    yield f"  attempts: {result.attempts}, timeout {latency(job.schedule.timeout)}, trace id {result.trace_id or '-'}"
    yield from _measured(result.measurement)
    if job.target.endpoint.kernel_stamps:
        yield f"  timestamps: {result.measurement.stamps}"
    if (stream := seen.stream) is not None:
        first = ", ".join(f"{channel} {latency(seconds)}" for channel, seconds in stream.ttft.items())
        yield f"  stream: {stream.outcome}, first token {first or 'none'}, {stream.token_events} token events"
    if seen.server_seconds:
        told = ", ".join(f"{part} {latency(seconds)}" for part, seconds in seen.server_seconds.items())
        yield f"  by the server's account: {told}"
    for key, value in seen.info.items():
        yield f"  {key}: {_line(value)}"
    for key, number in seen.facts.items():
        yield f"  {key}: {number:g}"
    if (found := seen.detected) is not None:
        yield f"  detected: {found.protocol}, {_line(found.why)}"
    if result.wire:
        yield "  on the wire (* we, > sent, < received, | body), milliseconds since the attempt began:"
        yield from (f"  {line}" for line in result.wire.splitlines())


def _measured(measured: Measurement) -> Iterator[str]:
    if measured.address:
        yield f"  address: {_line(measured.address)}"
    if measured.http_status is not None:
        yield f"  HTTP status: {measured.http_status}, body of {measured.response_bytes or 0} bytes"
    if measured.duration is not None:
        phases = ", ".join(f"{phase} {latency(seconds)}" for phase, seconds in measured.phases.items())
        yield f"  took: {latency(measured.duration)}" + (f" ({phases})" if phases else "")


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)[:300]
