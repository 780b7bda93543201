"""/api/v1: what is known of the targets, as JSON for programs."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import hdrs, web

from exporter.ledger import Evaluated, Ledger, ProbeRecord, Replicas, TargetRecord
from exporter.model.cost import Balance
from exporter.model.result import Past
from exporter.model.state import State
from exporter.slices import unhurried
from exporter.web import drift, replicas, transcript
from exporter.web.answers import JSON, answer, problem
from exporter.web.connection import Patience, patience
from exporter.web.doors import Doors
from exporter.web.selection import Wanted, wanted
from exporter.web.words import STATES, stamp

#: Lists written at once; more wait.
AT_ONCE = 4
#: Targets in one answer, at most and where `?limit=` does not say.
MOST = 1000


class Api:
    """Answers under /api/v1. Instants are RFC 3339 in UTC, durations seconds; what is unknown is null."""

    def __init__(self, doors: Doors) -> None:
        self._ledger = doors.ledger
        self._places = asyncio.Semaphore(AT_ONCE)

    async def targets(self, request: web.Request) -> web.StreamResponse:
        """The targets that `?state=` and `?q=` leave, in the order they came to be watched, `?limit=` of them after
        `?cursor=`; written as they are read from the ledger.
        """
        asked, problems = _asked(request.query)
        if problems:
            return answer(400, {"error": "bad parameters", "problems": problems})
        response = web.StreamResponse(headers=JSON)
        if request.method != hdrs.METH_HEAD:
            async with self._places, patience() as reading:
                await self._write(request, response, asked, reading)
        return response

    async def _write(
        self, request: web.Request, response: web.StreamResponse, asked: "_Asked", reading: Patience
    ) -> None:
        found = await _found(self._ledger, asked)
        await response.prepare(request)
        head = json.dumps(
            {
                "total": found.states.total(),
                "found": found.matching,
                "states": dict(found.states),
                "budget": budget(self._ledger.own.balance),
                "next": found.next,
            }
        )
        parts, size, mark = [f'{head[:-1]}, "targets": ['], 0, ""
        async for record in unhurried(found.records):
            parts.append(mark + json.dumps(target(record, replicas.of(record, self._ledger))))
            size, mark = size + len(parts[-1]), ",\n"
            if size > 16 * 1024:
                with reading:
                    await response.write("".join(parts).encode())
                parts, size = [], 0
        with reading:
            await response.write("".join([*parts, "]}\n"]).encode())

    async def target(self, request: web.Request) -> web.Response:
        """One target, with its recent runs; of one that is several servers, how they are together and each of them."""
        name = request.match_info["target"]
        record, group = self._ledger.targets.get(name), self._ledger.groups.get(name)
        if record is not None:
            shown = target(record, replicas.of(record, self._ledger), recent=True)
        elif group is not None:
            shown = replicas.values(group)
            shown["replicas"] = [target(each, group) for each in group.members.values()]
        else:
            return problem(404, "no such target")
        return answer(200, shown)


@dataclass(frozen=True, slots=True)
class _Asked:
    wish: Wanted
    limit: int
    after: int


@dataclass(slots=True)
class _Found:
    """One page: `states` of all targets, `matching` how many the filter leaves; `next` is None on the last one."""

    states: Counter[State] = field(default_factory=Counter)
    matching: int = 0
    records: list[TargetRecord] = field(default_factory=list)
    next: str | None = None


def _asked(query: Mapping[str, str]) -> tuple[_Asked, list[str]]:
    problems: list[str] = []
    state, limit, cursor = query.get("state", ""), query.get("limit", str(MOST)), query.get("cursor", "0")
    if state and state not in STATES:
        problems.append(f"state: there is no {state[:60]!r}; allowed: {', '.join(STATES)}")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= MOST):
        problems.append(f"limit: {limit[:60]!r} is not a number from 1 to {MOST}")
        limit = "1"
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
        problems.append("cursor: not one that an answer had as `next`")
        cursor = "0"
    return _Asked(wanted(state, query.get("q", "")), int(limit), int(cursor)), problems


async def _found(ledger: Ledger, asked: _Asked) -> _Found:
    """The targets of one page. Their generation only goes up, so no page shows one twice, whatever comes and goes."""
    found, wish = _Found(), asked.wish
    async for record in unhurried(list(ledger)):
        found.states[record.state] += 1
        if wish.state not in (None, record.state) or not wish.matches(record):
            continue
        found.matching += 1
        if record.generation <= asked.after:
            continue
        if len(found.records) < asked.limit:
            found.records.append(record)
        elif found.next is None:
            found.next = str(found.records[-1].generation)
    return found


def target(record: TargetRecord, group: Replicas | None = None, *, recent: bool = False) -> dict[str, Any]:
    """One target as plain values; `recent` adds its probes' last runs, the failed ones apart, and what was seen of the
    last failure. `group` is that of a replica.
    """
    watched, verdict = record.target, record.verdict
    return {
        "name": watched.name,
        "group": watched.group or None,
        "address": watched.address or None,
        "odd": replicas.oddity(record, group) or None,
        "model": watched.model,
        "protocol": watched.protocol,
        "url": watched.endpoint.url,
        "labels": dict(watched.labels),
        "state": verdict.state,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "probe": verdict.probe,
        "verified": verdict.verified,
        "since": stamp(record.since),
        "info": dict(record.info),
        "metadata": {name: number if math.isfinite(number) else None for name, number in record.facts.items()},
        "metadata_changes": dict(record.metadata_changes),
        "certificate_not_after": stamp(record.certificate_not_after),
        "maintenance_until": stamp(record.rests_until),
        "budget": budget(record.balance),
        "evaluations": [_evaluation(name, evaluated) for name, evaluated in record.evaluations.items()],
        "probes": [_probe(name, probe, recent=recent) for name, probe in record.probes.items()],
    }


def budget(balance: Balance | None) -> dict[str, Any] | None:
    """Where a budget stands; None where there is none. A limit that it does not have is null."""
    if balance is None:
        return None
    return {
        "limit_tokens": balance.allowance.tokens,
        "remaining_tokens": balance.remaining_tokens,
        "limit_requests": balance.allowance.requests,
        "remaining_requests": balance.remaining_requests,
        "until": stamp(balance.until),
    }


def _probe(name: str, probe: ProbeRecord, *, recent: bool) -> dict[str, Any]:
    last = probe.last
    stream = last.observation.stream if last else None
    shown: dict[str, Any] = {
        "name": name,
        "kind": probe.job.kind,
        "status": last.status if last else None,
        "reason": last.reason if last else None,
        "tokens": dict(probe.tokens),
        "detail": last.detail if last else "",
        "last_run": stamp(probe.last_run_at),
        "last_success": stamp(probe.last_success_at),
        "next_run": stamp(probe.next_at),
        "interval_seconds": probe.interval,
        "timeout_seconds": probe.job.schedule.timeout,
        "duration_seconds": probe.last_duration,
        "phase_seconds": dict(probe.phases),
        "stamps": last.measurement.stamps if last else None,
        "server_seconds": dict(probe.server_seconds),
        "drift": drift.values(probe),
        "ttft_seconds": dict(stream.ttft) if stream else {},
        "stream_outcome": stream.outcome if stream else None,
        "output_tokens_per_second": probe.tokens_per_second,
        "http_status": probe.http_status,
        "runs": probe.runs,
        "successes": probe.successes,
        "failures": [
            {"status": status, "reason": reason, "count": count} for (status, reason), count in probe.failures.items()
        ],
        "skipped": dict(probe.skipped),
        "paused": [reason for reason, on in probe.paused.items() if on],
    }
    if recent:
        shown["recent"] = [
            {"at": stamp(at), "duration_seconds": None if math.isnan(seconds) else seconds}
            for at, seconds in probe.recent
        ]
        shown["recent_failures"] = [_failure(run) for run in probe.recent_failures]
        failed = probe.last_failure
        shown["last_failure_transcript"] = list(transcript.account(failed)) if failed is not None else []
    return shown


def _evaluation(name: str, evaluated: Evaluated) -> dict[str, Any]:
    score = evaluated.score
    return {
        "name": name,
        "metric": score.metric if score is not None else None,
        "score": score.value if score is not None else None,
        "threshold": score.threshold if score is not None else None,
        "below": score.below if score is not None else None,
        "coverage": score.coverage if score is not None else None,
        "dataset": score.dataset if score is not None else None,
        "last_run": stamp(evaluated.last_run_at),
        "examples": dict(evaluated.outcomes),
    }


def _failure(run: Past) -> dict[str, Any]:
    return {
        "at": stamp(run.at),
        "first_at": stamp(run.first_at),
        "count": run.count,
        "status": run.status,
        "reason": run.reason,
        "detail": run.detail,
        "duration_seconds": run.duration,
        "attempts": run.attempts,
        "http_status": run.http_status,
        "trace_id": run.trace_id,
    }
