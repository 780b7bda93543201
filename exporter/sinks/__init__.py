"""Results flow on: a bounded fan-out of records to sinks.

`put` costs a few microseconds on the loop and never waits. What is slow, making text of records and writing it, happens
in threads of the sinks' own; a sink that is slow or dead fills its own queue and nothing else.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exporter import log
from exporter.contracts import Record, Sink
from exporter.ledger import Ledger
from exporter.model.result import Result
from exporter.model.state import StateChange
from exporter.model.target import Target
from exporter.sinks import records
from exporter.sinks.lane import Lane
from exporter.sinks.spec import Jsonl, Spec, Webhook

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

__all__ = ["Fanout"]

logger = logging.getLogger(__name__)

#: Seconds a sink that is no longer configured has to deliver what it took.
PARTING = 5.0
#: Seconds for which a thread may keep the interpreter to itself while the loop wants it: what the loop measures reads
#: too long by that much. Python's own default is five times this.
SWITCH = 0.001


class Fanout:
    """All sinks of one exporter. One event loop uses it; `calls` gives the client for calls that are no measurement."""

    def __init__(self, ledger: Ledger, calls: "Callable[[], Calls]") -> None:
        self._ledger = ledger
        self._calls = calls
        self._lanes: dict[str, Lane] = {}
        self._parting: set[asyncio.Task[Any]] = set()

    def take(self, specs: Sequence[Spec]) -> None:
        """Make these the sinks. One that did not change goes on; one that did hands what it has not delivered to its
        successor; one that is gone has a few seconds to deliver it.
        """
        wanted = {spec.name: spec for spec in specs}
        for name in self._lanes.keys() - wanted.keys():
            self._part(self._remove(self._lanes.pop(name)))
        for name, spec in wanted.items():
            known = self._lanes.get(name)
            if known is not None and known.spec == spec:
                continue
            after = self._part(known.retire()) if known is not None else None
            self._lanes[name] = Lane(spec, self._sink(spec), self._ledger.own, after=after)
            log.event(logger, logging.INFO, "sink opened", sink=name)
        if self._lanes:
            sys.setswitchinterval(min(SWITCH, sys.getswitchinterval()))

    def result(self, result: Result) -> None:
        """Pass a finished run on."""
        if self._lanes:
            known = self._ledger.targets.get(result.job.target.name)
            self.put(records.of_result(result, known.state if known is not None else None))

    def state_change(self, change: StateChange) -> None:
        """Pass a change of state on."""
        if self._lanes and (known := self._ledger.targets.get(change.target)) is not None:
            self.put(records.of_change(change, known.target))

    def tell(self, kind: str, target: Target, at: float, fields: Callable[[], Mapping[str, Any]]) -> None:
        """Pass on anything else that happened to a target: a record of type `kind`, at Unix time `at`. `fields` gives
        its own fields as plain JSON values without a secret; it is called in a thread, so it must not read what the
        loop changes.
        """
        if self._lanes:
            self.put(Record(kind, records.new_id(), at, target, fields))

    def put(self, record: Record) -> None:
        """Give a record to every sink that wants it. Never waits."""
        for lane in self._lanes.values():
            lane.put(record)

    async def close(self, grace: float) -> None:
        """Deliver what was taken, for at most `grace` seconds; what is left then is counted as dropped."""
        for name in list(self._lanes):
            self._part(self._lanes.pop(name).close(grace))
        if self._parting:
            _, late = await asyncio.wait(self._parting, timeout=grace + 0.5)
            for task in late:
                task.cancel()

    async def _remove(self, lane: Lane) -> None:
        """A sink that is gone leaves no series, unless another has its name by then."""
        await lane.close(PARTING)
        if lane.spec.name not in self._lanes:
            for counts in self._ledger.own.sinks:
                counts.pop(lane.spec.name, None)

    def _part(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)
        return task

    def _sink(self, spec: Spec) -> Sink:
        match spec.what:
            case Jsonl():
                from exporter.sinks.jsonl import JsonlSink

                return JsonlSink(spec.what)
            case Webhook():
                from exporter.sinks.webhook import WebhookSink

                return WebhookSink(spec.what, self._calls)
            case _:
                from exporter.sinks.otlp import OtlpSink

                return OtlpSink(spec.what, self._calls, self._ledger.bounds)
