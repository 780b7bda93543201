"""/api/v1: what is known of the targets, as JSON for programs."""

import asyncio
import json
import math
from typing import Any

from aiohttp import hdrs, web

from exporter.ledger import ProbeRecord, Replicas, TargetRecord
from exporter.model.cost import Balance
from exporter.model.result import Past
from exporter.web import drift, replicas
from exporter.web.connection import patience
from exporter.web.doors import Doors
from exporter.web.selection import select, wanted
from exporter.web.slices import unhurried
from exporter.web.words import stamp

#: Lists written at once; more wait.
AT_ONCE = 4
_JSON = {hdrs.CONTENT_TYPE: "application/json; charset=utf-8"}


class Api:
    """Answers under /api/v1. Instants are RFC 3339 in UTC, durations seconds; what is unknown is null."""

    def __init__(self, doors: Doors) -> None:
        self._ledger = doors.ledger
        self._places = asyncio.Semaphore(AT_ONCE)

    async def targets(self, request: web.Request) -> web.StreamResponse:
        """All targets, or those that `?state=` and `?q=` leave, written as they are read from the ledger."""
        response = web.StreamResponse(headers=_JSON)
        if request.method != hdrs.METH_HEAD:
            async with self._places, patience():
                await self._write(request, response)
        return response

    async def _write(self, request: web.Request, response: web.StreamResponse) -> None:
        chosen = await select(self._ledger, wanted(request.query.get("state", ""), request.query.get("q", "")))
        await response.prepare(request)
        states = {state: chosen.counts[state] for state in chosen.counts}
        total, balance = chosen.counts.total(), budget(self._ledger.own.balance)
        head = json.dumps({"total": total, "states": states, "budget": balance})
        parts, size, mark = [f'{head[:-1]}, "targets": ['], 0, ""
        async for record in unhurried(chosen.records):
            parts.append(mark + json.dumps(target(record, replicas.of(record, self._ledger))))
            size, mark = size + len(parts[-1]), ",\n"
            if size > 16 * 1024:
                await response.write("".join(parts).encode())
                parts, size = [], 0
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
            return web.Response(status=404, text='{"error": "no such target"}\n', headers=_JSON)
        return web.Response(text=json.dumps(shown) + "\n", headers=_JSON)


def target(record: TargetRecord, group: Replicas | None = None, *, recent: bool = False) -> dict[str, Any]:
    """One target as plain values; `recent` adds its probes' last runs, the failed ones apart. `group` is that of a
    replica.
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
        "detail": last.detail if last else "",
        "last_run": stamp(probe.last_run_at),
        "last_success": stamp(probe.last_success_at),
        "next_run": stamp(probe.next_at),
        "interval_seconds": probe.interval,
        "timeout_seconds": probe.job.schedule.timeout,
        "duration_seconds": probe.last_duration,
        "phase_seconds": dict(probe.phases),
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
    return shown


def _failure(run: Past) -> dict[str, Any]:
    return {
        "at": stamp(run.at),
        "status": run.status,
        "reason": run.reason,
        "detail": run.detail,
        "duration_seconds": run.duration,
        "attempts": run.attempts,
        "http_status": run.http_status,
        "trace_id": run.trace_id,
    }
