"""What `model-exporter probe` tells a person."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exporter.cli.probe_json import by_probe, first_token, speed, spread
from exporter.cli.sheet import Sheet, Table
from exporter.cli.words import ADVICE, clean, count, number, seconds
from exporter.model.failure import Reason, Status
from exporter.model.observation import PHASES, Detection
from exporter.model.result import Result
from exporter.model.stream import StreamSummary

if TYPE_CHECKING:
    from exporter.once import ProbeReport

_PHASE_NAMES = {"dns": "dns", "connect": "connect", "tls": "tls", "first_byte": "first byte", "transfer": "transfer"}


def tell(out: Sheet, reports: "Sequence[ProbeReport]") -> None:
    """The whole report: what the server is, the figures, what was said, what the model is."""
    results = reports[-1].results
    out.line(_headline(reports[-1].detection, results), strong=True)
    if found := reports[-1].detection:
        out.line(f"  because {clean(found.why)}")
    out.line()
    if not results:
        out.line("Nothing was asked: this server offers none of these probes.")
        return
    out.table(_figures(results) if len(reports) == 1 else _summary(reports))
    words = _words(results) if len(reports) == 1 else _failures(reports)
    if words:
        out.line()
        out.pairs(words)
    if known := _model(results):
        out.line()
        out.line("The model", strong=True)
        out.pairs(known)


def _headline(found: Detection | None, results: Sequence[Result]) -> str:
    where = next((result.job.target.endpoint.url for result in results), "")
    if found is None:
        protocol = next((result.job.target.protocol for result in results), "auto")
        return f"{where}: it does not show what it is" if protocol == "auto" else f"{where}, asked as {protocol}"
    server = f" ({clean(found.server, 60)})" if found.server and found.server != found.protocol else ""
    return f"{where} is {found.protocol}{server}"


def _figures(results: Sequence[Result]) -> Table:
    names = ("probe", "status", "total", *(_PHASE_NAMES[phase] for phase in PHASES))
    rows = [
        (
            result.job.probe,
            result.outcome,
            seconds(result.measurement.duration),
            *(seconds(result.measurement.phases.get(phase)) for phase in PHASES),
        )
        for result in results
    ]
    return Table(names, rows, right=frozenset(names[2:])).without_empty()


def _summary(reports: "Sequence[ProbeReport]") -> Table:
    rows = []
    for name, results in by_probe(reports).items():
        ran = [result for result in results if not result.skipped]
        good = sum(result.status is Status.HEALTHY for result in ran)
        healthy = f"{good}/{len(ran)}" if ran else results[-1].outcome
        rows.append(_spread_row(name, healthy, [result.measurement.duration for result in ran]))
        if any(first_token(result) is not None for result in results):
            rows.append(_spread_row("  first token", "", [first_token(result) for result in results]))
        rates = spread([speed(result) for result in results])
        if rates:
            rows.append(("  tokens/s", "", *(number(round(rates[key], 1)) for key in ("min", "median", "max"))))
    names = ("probe", "healthy", "min", "median", "max")
    return Table(names, rows, right=frozenset(names[1:]))


def _spread_row(name: str, good: str, values: Sequence[float | None]) -> tuple[str, ...]:
    found = spread(values)
    if found is None:
        return (name, good, "", "", "")
    return (name, good, seconds(found["min"]), seconds(found["median"]), seconds(found["max"]))


def _words(results: Sequence[Result]) -> list[tuple[str, str]]:
    """What each run found, in words; further lines of a probe have an empty name. Advice is given once."""
    rows: list[tuple[str, str]] = []
    advised: set[Reason] = set()
    for result in results:
        lines = _said(result)
        if result.reason and result.reason not in advised:
            advised.add(result.reason)
            lines.insert(1, ADVICE[result.reason])
        rows += [(result.job.probe if not at else "", line) for at, line in enumerate(lines)]
    return rows


def _said(result: Result) -> list[str]:
    measured, seen = result.measurement, result.observation
    lines = []
    if result.skipped:
        lines.append(f"not asked, its model is {result.skipped}: {clean(result.detail)}".rstrip(": "))
    elif result.status is Status.HEALTHY:
        status = f"answered {measured.http_status}" if measured.http_status else "answered"
        lines.append(f"{status}{_attempts(result)}")
    else:
        reason = result.reason or Reason.INTERNAL
        detail = clean(result.detail)
        lines.append(f"{reason}: {detail}{_attempts(result)}" if detail else f"{reason}{_attempts(result)}")
    if seen.stream:
        lines += _stream(seen.stream)
    if seen.tokens:
        parts = [
            f"{many} {name}"
            for name, many in (
                ("input", seen.tokens.input),
                ("cached input", seen.tokens.cached),
                ("output", seen.tokens.output),
                ("reasoning", seen.tokens.reasoning),
            )
            if many
        ]
        lines.append(f"tokens: {', '.join(parts)}")
    if seen.server_seconds:
        told = ", ".join(f"{part} {seconds(took)}" for part, took in seen.server_seconds.items())
        lines.append(f"by the server's account: {told}")
    if seen.answer:
        lines.append(f"it said: {clean(seen.answer, 160)}")
    if result.job.target.endpoint.kernel_stamps:
        lines.append(f"timestamps: {measured.stamps}")
    if result.suspect:
        lines.append("this machine was busy meanwhile: do not trust the figures of this run")
    return lines


def _attempts(result: Result) -> str:
    if result.attempts < 2:
        return ""
    failed = ", ".join(dict.fromkeys(str(reason) for reason in result.failures if reason is not result.reason))
    return f" after {count(result.attempts, 'attempt')}" + (f" (before that: {failed})" if failed else "")


def _stream(stream: StreamSummary) -> list[str]:
    firsts = [
        f"first token after {seconds(value)}"
        if channel == "content"
        else f"first {channel} token after {seconds(value)}"
        for channel, value in sorted(stream.ttft.items(), key=lambda item: item[1])
    ]
    rate = stream.output_tokens_per_second
    paces = [f"{number(round(rate, 1))} tokens/s"] if rate else []
    if stream.max_gap is not None:
        paces.append(f"longest silence {seconds(stream.max_gap)}")
    lines = [", ".join(firsts + paces)] if firsts or paces else []
    return [*lines, f"the stream: {str(stream.outcome).replace('_', ' ')}, {count(stream.token_events, 'token event')}"]


def _failures(reports: "Sequence[ProbeReport]") -> list[tuple[str, str]]:
    """Per probe, how often which reason, with one example."""
    rows = []
    for name, results in by_probe(reports).items():
        bad: dict[Reason, list[Result]] = {}
        for result in results:
            if result.status is not Status.HEALTHY:
                bad.setdefault(result.reason or Reason.INTERNAL, []).append(result)
        for reason, some in bad.items():
            rows.append((name, f"{len(some)}x {reason}: {clean(some[-1].detail)}".rstrip(": ")))
            rows.append(("", ADVICE[reason]))
    return rows


def _model(results: Sequence[Result]) -> list[tuple[str, str]]:
    """What the server told of itself and its model, and when its certificate ends."""
    known: dict[str, str] = {}
    for result in results:
        known |= {key: clean(value) for key, value in result.observation.info.items() if value}
        known |= {key: number(value) for key, value in result.observation.facts.items()}
        if (ends := result.measurement.certificate_not_after) is not None:
            known["certificate until"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ends))
    return list(known.items())
