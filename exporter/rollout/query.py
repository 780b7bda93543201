"""The gate as the running exporter answers it: the parameters of a request in, a status and a JSON text out."""

import json
import time
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches
from math import inf, isfinite
from typing import Any

from exporter.ledger import RECENT, TargetRecord
from exporter.model.job import Kind
from exporter.model.target import MAX_ADDRESSES, Target
from exporter.rollout.standing import Obstacle
from exporter.rollout.terms import Terms
from exporter.rollout.verdict import Tally, written
from exporter.settings import parse_duration, shown

#: Values of a label that are named where none fits.
_NAMED = 10

Query = Sequence[tuple[str, str]]


async def answer(
    query: Query,
    records: AsyncIterable[TargetRecord],
    *,
    unread: Callable[[], Iterable[Target]] = tuple,
    ask: Callable[[str, str], object] = lambda target, probe: None,
) -> tuple[int, str]:
    """200 where all that is meant is good, 503 with the same body where something is not, 400 where the question makes
    no sense: a parameter that is not understood, a selection that nothing fits.

    `unread` gives what stands for targets that are still to be found. `ask` is told the probe of a target, by their
    names, that should tell soon whether it serves the wanted version by now.
    """
    terms, since, problems = read(query)
    if problems:
        return _refused(problems)
    tally, blocking = Tally(terms, since), list[str]()
    known: dict[str, set[str]] = {key: set() for key, _ in terms.select}
    async for record in records:
        standing = tally.add(record)
        if standing is None:
            for key, values in known.items():
                if len(values) <= _NAMED and (value := record.target.trait(key)):
                    values.add(value)
        elif not standing.good:
            blocking.append(json.dumps(written(standing)))
            if standing.reason is Obstacle.VERSION:
                for name in _old_news(record):
                    ask(record.target.name, name)
    judged = tally.judged
    verdict = tally.verdict(unread())
    if verdict.problem:
        return _refused([f"select: {verdict.problem}", *_known(known)] if not verdict.standings else [verdict.problem])
    blocking += (json.dumps(written(standing)) for standing in verdict.standings[judged:])
    ready = not blocking
    head = json.dumps({"ready": ready, "targets": len(verdict.standings)})
    return 200 if ready else 503, f'{head[:-1]}, "blocking": [{", ".join(blocking)}]}}\n'


def read(query: Query) -> tuple[Terms, float, list[str]]:
    """What is asked for, since when, and everything that is wrong with the question."""
    problems: list[str] = []
    given: dict[str, Any] = {}
    select: list[tuple[str, str]] = []
    for name, text in query:
        if name == "select":
            key, equals, value = text.partition("=")
            if not equals or not key:
                problems.append(f"select: found {shown(text)}; allowed: label=value, such as select=team=chat")
            select.append((key, value))
        elif name in given:
            problems.append(f"{name}: given twice; only select may be")
        elif name in _READ:
            try:
                given[name] = _READ[name](text)
            except (ValueError, OverflowError) as error:
                given[name] = None
                problems.append(f"{name}: found {shown(text)}; allowed: {error}")
        else:
            close = get_close_matches(name, ["select", *_READ], n=1)
            meant = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(['select', *_READ])}"
            problems.append(f"{name[:60]}: unknown parameter; {meant}")
    if problems:
        return Terms(), -inf, problems
    since = given.pop("since", -inf)
    return Terms(select=tuple(select), **given), since, []


def _whole(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise ValueError(f"a number from 1 to {most}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise ValueError("a duration such as 500ms or 2s")
    return seconds


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _version(text: str) -> str:
    if not text:
        raise ValueError("the version as the server tells it; without the parameter, any")
    return text


def _instant(text: str) -> float:
    try:
        at = float(text)
    except ValueError:
        try:
            # An unescaped + is a blank by the time it gets here.
            read = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            read = None
        at = read.timestamp() if read is not None and read.tzinfo is not None else inf
    if not isfinite(at):
        raise ValueError("Unix seconds, or RFC 3339 with a zone such as 2026-02-03T04:05:06Z")
    return at


_READ: dict[str, Callable[[str], Any]] = {
    "consecutive": _whole(RECENT),
    "version": _version,
    "min_addresses": _whole(MAX_ADDRESSES),
    "max_duration": _seconds,
    "max_ttft": _seconds,
    "evaluate": _flag,
    "since": _instant,
}


def _old_news(record: TargetRecord) -> Iterable[str]:
    """The metadata probes of a target that have not just been asked."""
    for name, probe in record.probes.items():
        if probe.job.kind is Kind.METADATA and time.time() - (probe.last_run_at or 0.0) >= probe.job.schedule.recheck:
            yield name


def _known(known: dict[str, set[str]]) -> list[str]:
    """What could have been selected."""
    return [
        f"{key}: {'known are ' + ', '.join(sorted(values)[:_NAMED]) if values else 'no target has this'}"
        for key, values in known.items()
    ]


def _refused(problems: Sequence[str]) -> tuple[int, str]:
    return 400, json.dumps({"ready": False, "error": "bad parameters", "problems": problems}) + "\n"
