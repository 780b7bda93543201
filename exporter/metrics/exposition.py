"""From the ledger to what Prometheus reads.

A scrape first renders every target that changed, each in one step, so that its numbers agree with each other. The
blocks make a snapshot, which is joined family by family. Both happen in slices that leave the event loop after half a
millisecond, because measurements are taken on it. Concurrent scrapes share the rendering, and at most one slice is
worked on per turn of the loop, however many scrapers there are.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric

from exporter.ledger import Ledger, Replicas, TargetRecord, TrainingRecord
from exporter.metrics import replicas, training
from exporter.metrics.blocks import ENCODINGS, PROTOBUF, TEXT, Blocks, Encoding, Rendered, grouped, refresh
from exporter.metrics.catalog import FAMILIES
from exporter.metrics.negotiation import Format, accepts_gzip, negotiate
from exporter.metrics.own import OwnMetrics
from exporter.metrics.packing import Packing
from exporter.metrics.pieces import Snapshot, pieces
from exporter.model.failure import Status
from exporter.model.result import Result

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds of work, and bytes, after which a slice ends.
SLICE = 0.0005
SLICE_BYTES = 128 * 1024
#: On a busy loop, of which each turn takes long, slices grow to this part of a turn, and to so many seconds at most:
#: short ones would make a scrape last for minutes.
SHARE, LONGEST = 0.2, 0.003
#: Times a scrape begins anew because targets came or went while it was rendered; then it shows what it has.
_ANEW = 5

_GROUPS = [grouped(FAMILIES, encoding) for encoding in ENCODINGS]
_ON_DEMAND = [grouped((family for family in FAMILIES if family.on_demand), encoding) for encoding in ENCODINGS]
_NO_REPLICAS: tuple[Blocks, int] = ((b"",) * len(replicas.REPLICA_FAMILIES), 0)
_NO_TRAINING: tuple[Blocks, int] = ((b"",) * len(training.TRAINING_FAMILIES), 0)


class Exposition:
    """What /metrics says, of one ledger. One event loop uses it."""

    negotiate = staticmethod(negotiate)
    accepts_gzip = staticmethod(accepts_gzip)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._own = OwnMetrics(ledger.own)
        self._turn = asyncio.Lock()
        self._rendering: dict[Encoding, asyncio.Task[Snapshot]] = {}
        self._packing = Packing()

    def render(self, form: Format, *, zipped: bool = False) -> AsyncGenerator[bytes, None]:
        """One scrape as slices of at most a few hundred KiB. Close the generator when its reader goes away."""
        slices = self._slices(form)
        return self._packing.packed(slices) if zipped else slices

    async def close(self) -> None:
        """Let go of the compressing thread."""
        self._packing.close()

    async def _slices(self, form: Format) -> AsyncGenerator[bytes, None]:
        began = time.perf_counter()
        snapshot = await self._snapshot(_encoding(form))
        rest = pieces(snapshot, form)
        spent, more, span = time.perf_counter() - began, True, SLICE
        while more:
            began = time.perf_counter()
            async with self._turn:
                text, more = _slice(rest, span)
                span = await _leave()  # still holding the turn: the loop runs before anyone's next slice
            spent += time.perf_counter() - began
            if text:
                yield text
        self._ledger.own.scrape_seconds = spent
        self._ledger.own.scrape_series = snapshot.samples

    async def _snapshot(self, encoding: Encoding) -> Snapshot:
        task = self._rendering.get(encoding)
        if task is None:
            task = self._rendering[encoding] = asyncio.create_task(self._render(encoding), name="render")
            task.add_done_callback(lambda task: self._rendered(encoding, task))
        return await asyncio.shield(task)

    def _rendered(self, encoding: Encoding, task: asyncio.Task[Snapshot]) -> None:
        del self._rendering[encoding]
        if not task.cancelled():
            task.exception()  # raised in the scrapes that wait; nobody may be left to

    async def _render(self, encoding: Encoding) -> Snapshot:
        """Of one config: when targets come or go meanwhile, what was read of the old one is given up."""
        for _ in range(_ANEW):
            revision = self._ledger.revision
            snapshot = await self._collect(encoding)
            if self._ledger.revision == revision:
                break
        return snapshot

    async def _collect(self, encoding: Encoding) -> Snapshot:
        groups = _GROUPS[encoding.number]
        columns: tuple[list[Blocks], ...] = tuple([] for _ in groups)
        samples = 0

        def of_target(record: TargetRecord) -> None:
            nonlocal samples
            if not record.probes:
                return  # it went while others were rendered
            if (shown := self._refreshed(record, encoding)) is not None:
                samples += sum(shown.samples)
                for column, blocks in zip(columns, shown.blocks, strict=True):
                    column.append(blocks)

        await self._in_slices(list(self._ledger), of_target)
        together = await self._all(self._ledger.groups.values(), lambda group: self._together(group, encoding))
        trainings = await self._all(self._ledger.trainings.values(), lambda job: self._training(job, encoding))
        own = self._own.read()
        samples += sum(count for _, count in (*together, *trainings)) + sum(len(metric.samples) for metric in own)
        return Snapshot(
            groups, columns, [blocks for blocks, _ in together], [blocks for blocks, _ in trainings], own, samples
        )

    async def _all(self, items: Iterable[T], render: Callable[[T], tuple[Blocks, int]]) -> list[tuple[Blocks, int]]:
        found: list[tuple[Blocks, int]] = []
        if items := list(items):
            await self._in_slices(items, lambda item: found.append(render(item)))
        return found

    async def _in_slices(self, items: Iterable[T], work: Callable[[T], None]) -> None:
        rest = iter(items)
        more, span = True, SLICE
        while more:
            async with self._turn:
                until = time.perf_counter() + span
                more = False
                for item in rest:
                    work(item)
                    if time.perf_counter() >= until:
                        more = True
                        break
                span = await _leave()

    def _refreshed(self, record: TargetRecord, encoding: Encoding) -> Rendered | None:
        try:
            return refresh(record, _GROUPS[encoding.number], encoding)
        except Exception:
            # A target we cannot write down must not take the others off the scrape.
            self._bug(record.target.name)
            return None

    def _together(self, group: Replicas, encoding: Encoding) -> tuple[Blocks, int]:
        if not group.members:
            return _NO_REPLICAS  # the last one went while others were rendered
        try:
            return replicas.render(group, encoding)
        except Exception:
            self._bug(group.name)
            return _NO_REPLICAS

    def _training(self, job: TrainingRecord, encoding: Encoding) -> tuple[Blocks, int]:
        try:
            return training.render(job, self._ledger.wall(), encoding)
        except Exception:
            self._bug(job.name)
            return _NO_TRAINING

    def _bug(self, target: str) -> None:
        logger.exception("metrics of a target not rendered", extra={"fields": {"target": target}})
        self._ledger.own.internal_errors["metrics"] += 1


def _encoding(form: Format) -> Encoding:
    return PROTOBUF if form.protobuf else TEXT


async def _leave() -> float:
    """Let the loop run, and tell how long the next slice may be."""
    left = time.perf_counter()
    await asyncio.sleep(0)
    return min(LONGEST, max(SLICE, SHARE * (time.perf_counter() - left)))


def _slice(rest: Iterator[bytes], span: float) -> tuple[bytes, bool]:
    """What can be joined of a scrape in a time, and the size of a slice; and whether there is more."""
    until = time.perf_counter() + span
    parts: list[bytes] = []
    size = 0
    for part in rest:
        parts.append(part)
        size += len(part)
        if size >= SLICE_BYTES or time.perf_counter() >= until:
            return b"".join(parts), True
    return b"".join(parts), False


def render_results(results: Sequence[Result], form: Format) -> bytes:
    """What /probe answers: `probe_success` and `probe_duration_seconds` as blackbox_exporter has them, then our
    metrics of these runs. No result at all is no success; a canary that left its model asleep is no failure, and what
    a model can is no part of whether it is well.
    """
    speaking = [result for result in results if not result.job.capability] or results
    healthy = bool(results) and all(result.status is Status.HEALTHY for result in speaking)
    seconds = max(result.ended for result in results) - min(result.started for result in results) if results else 0.0
    ledger = Ledger()
    for result in results:
        ledger.add(result.job)
        if result.skipped:
            ledger.skip(result.job, result.skipped, paused=True)
            continue
        ledger.record(replace(result, generation=ledger.targets[result.job.target.name].generation))
    encoding = _encoding(form)
    groups = _ON_DEMAND[encoding.number]
    columns: tuple[list[Blocks], ...] = tuple([] for _ in groups)
    for record in ledger:
        for column, blocks in zip(columns, refresh(record, groups, encoding).blocks, strict=True):
            column.append(blocks)
    first: list[Metric] = [
        GaugeMetricFamily("probe_success", "1 when every probe of the module was healthy, else 0.", value=int(healthy)),
        GaugeMetricFamily(
            "probe_duration_seconds", "Time from the first probe's start to the last's end.", value=seconds
        ),
    ]
    return b"".join(pieces(Snapshot(groups, columns, first=first), form))
