"""From the ledger to what Prometheus reads.

A scrape first renders every target that changed, each in one step, so that its numbers agree with each other. The
blocks make a snapshot, which is joined family by family. Both happen in slices that leave the event loop after half a
millisecond, because measurements are taken on it. Concurrent scrapes share the rendering, and at most one slice is
worked on per turn of the loop, however many scrapers there are.
"""

import asyncio
import logging
import re
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TypeVar

from exporter.ledger import Ledger, Replicas, TargetRecord, TrainingRecord
from exporter.metrics import replicas, training
from exporter.metrics.blocks import Group, Rendered, grouped, refresh
from exporter.metrics.catalog import FAMILIES
from exporter.metrics.negotiation import Format, accepts_gzip, negotiate
from exporter.metrics.own import OwnMetrics
from exporter.metrics.text import Type, header
from exporter.model.failure import Status
from exporter.model.result import Result

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds of work, and bytes, after which a slice ends.
SLICE = 0.0005
SLICE_BYTES = 128 * 1024
#: Targets whose blocks of one family are joined at once.
_CHUNK = 128
#: Bytes compressed at once in the thread; a whole scrape of at most _INLINE is compressed on the loop.
_PIECE = 256 * 1024
_INLINE = 16 * 1024

#: In a line, an unescaped quote stands only around label values, so no label value can hold this.
_EXEMPLAR = re.compile(rb' # \{trace_id="[^\n]*')

_GROUPS = grouped(FAMILIES)
_ON_DEMAND = grouped(family for family in FAMILIES if family.on_demand)
_NO_REPLICAS: tuple[bytes, ...] = (b"",) * len(replicas.REPLICA_FAMILIES)
_NO_TRAINING: tuple[bytes, ...] = (b"",) * len(training.TRAINING_FAMILIES)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """For each group the targets' block tuples; those of replicas together and of training jobs; and the exporter's
    own families. `samples` is how many all of these have.
    """

    samples: int
    columns: tuple[list[tuple[bytes, ...]], ...]
    replicas: list[tuple[bytes, ...]]
    trainings: list[tuple[bytes, ...]]
    own: list[tuple[str, Type, str, bytes]]


class Exposition:
    """What /metrics says, of one ledger. One event loop uses it."""

    negotiate = staticmethod(negotiate)
    accepts_gzip = staticmethod(accepts_gzip)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._own = OwnMetrics(ledger.own)
        self._turn = asyncio.Lock()
        self._rendering: asyncio.Task[_Snapshot] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def render(self, form: Format, *, zipped: bool = False) -> AsyncGenerator[bytes, None]:
        """One scrape as slices of at most a few hundred KiB. Close the generator when its reader goes away."""
        slices = self._slices(form)
        return self._compressed(slices) if zipped else slices

    async def close(self) -> None:
        """Let go of the compressing thread."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    async def _slices(self, form: Format) -> AsyncGenerator[bytes, None]:
        began = time.perf_counter()
        snapshot = await self._snapshot()
        pieces = _pieces(snapshot, form)
        spent, more = time.perf_counter() - began, True
        while more:
            began = time.perf_counter()
            async with self._turn:
                until = time.perf_counter() + SLICE
                parts: list[bytes] = []
                size = 0
                more = False
                for head, body in pieces:
                    parts += (head, body)
                    size += len(body)
                    if size >= SLICE_BYTES or time.perf_counter() >= until:
                        more = True
                        break
                text = b"".join(parts)
                await asyncio.sleep(0)  # still holding the turn: the loop runs before anyone's next slice
            spent += time.perf_counter() - began
            yield text
        self._ledger.own.scrape_seconds = spent
        self._ledger.own.scrape_series = snapshot.samples

    async def _snapshot(self) -> _Snapshot:
        if self._rendering is None:
            self._rendering = asyncio.create_task(self._render(), name="render")
            self._rendering.add_done_callback(self._rendered)
        return await asyncio.shield(self._rendering)

    def _rendered(self, task: asyncio.Task[_Snapshot]) -> None:
        self._rendering = None
        if not task.cancelled():
            task.exception()  # raised in the scrapes that wait; nobody may be left to

    async def _render(self) -> _Snapshot:
        columns: tuple[list[tuple[bytes, ...]], ...] = tuple([] for _ in _GROUPS)
        samples = 0
        together: list[tuple[bytes, ...]] = []

        def of_target(record: TargetRecord) -> None:
            nonlocal samples
            if (shown := self._refreshed(record)) is not None:
                samples += sum(shown.samples)
                for column, blocks in zip(columns, shown.blocks, strict=True):
                    column.append(blocks)

        await self._in_slices(list(self._ledger), of_target)
        if groups := list(self._ledger.groups.values()):
            await self._in_slices(groups, lambda group: together.append(self._together(group)))
        trainings: list[tuple[bytes, ...]] = []
        if jobs := list(self._ledger.trainings.values()):
            await self._in_slices(jobs, lambda job: trainings.append(self._training(job)))
        own = self._own.render()
        few = [*(block for blocks in (*together, *trainings) for block in blocks), *(body for *_, body in own)]
        samples += sum(block.count(b"\n") for block in few)
        return _Snapshot(samples, columns, together, trainings, own)

    async def _in_slices(self, items: Iterable[T], work: Callable[[T], None]) -> None:
        rest = iter(items)
        more = True
        while more:
            async with self._turn:
                until = time.perf_counter() + SLICE
                more = False
                for item in rest:
                    work(item)
                    if time.perf_counter() >= until:
                        more = True
                        break
                await asyncio.sleep(0)

    def _refreshed(self, record: TargetRecord) -> Rendered | None:
        try:
            return refresh(record, _GROUPS)
        except Exception:
            # A target we cannot write down must not take the others off the scrape.
            self._bug(record.target.name)
            return None

    def _together(self, group: Replicas) -> tuple[bytes, ...]:
        if not group.members:
            return _NO_REPLICAS  # the last one went while others were rendered
        try:
            return replicas.render(group)
        except Exception:
            self._bug(group.name)
            return _NO_REPLICAS

    def _training(self, job: TrainingRecord) -> tuple[bytes, ...]:
        try:
            return training.render(job, self._ledger.wall())
        except Exception:
            self._bug(job.name)
            return _NO_TRAINING

    def _bug(self, target: str) -> None:
        logger.exception("metrics of a target not rendered", extra={"fields": {"target": target}})
        self._ledger.own.internal_errors["metrics"] += 1

    async def _compressed(self, slices: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """gzip, level 1: a tenth of level 9's time. All but small scrapes are compressed beside the loop."""
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        pending: list[bytes] = []
        size = total = 0
        loop = asyncio.get_running_loop()
        async with aclosing(slices):
            async for text in slices:
                pending.append(text)
                size += len(text)
                total += len(text)
                if size >= _PIECE:
                    if packed := await loop.run_in_executor(self._thread(), packer.compress, b"".join(pending)):
                        yield packed
                    pending.clear()
                    size = 0
        rest = b"".join(pending)
        if total <= _INLINE:
            yield packer.compress(rest) + packer.flush()
        else:
            yield await loop.run_in_executor(self._thread(), lambda: packer.compress(rest) + packer.flush())

    def _thread(self) -> ThreadPoolExecutor:
        # Not the loop's own pool: stuck name look-ups may fill that one.
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="gzip")
        return self._threads


def render_results(results: Sequence[Result], form: Format) -> bytes:
    """What /probe answers: `probe_success` and `probe_duration_seconds` as blackbox_exporter has them, then our
    metrics of these runs. No result at all is no success; a canary that left its model asleep is no failure, and what
    a model can is no part of whether it is well.
    """
    speaking = [result for result in results if not result.job.capability] or results
    healthy = bool(results) and all(result.status is Status.HEALTHY for result in speaking)
    seconds = max(result.ended for result in results) - min(result.started for result in results) if results else 0.0
    pieces = [
        header("probe_success", Type.GAUGE, "1 when every probe of the module was healthy, else 0.", openmetrics=False),
        b"probe_success %d\n" % healthy,
        header("probe_duration_seconds", Type.GAUGE, "Time from the first probe's start to the last's end.",
            openmetrics=False),
        f"probe_duration_seconds {seconds}\n".encode(),
    ]  # fmt: skip
    ledger = Ledger()
    for result in results:
        ledger.add(result.job)
        if result.skipped:
            ledger.skip(result.job, result.skipped, paused=True)
            continue
        ledger.record(replace(result, generation=ledger.targets[result.job.target.name].generation))
    columns: tuple[list[tuple[bytes, ...]], ...] = tuple([] for _ in _ON_DEMAND)
    for record in ledger:
        for column, blocks in zip(columns, refresh(record, _ON_DEMAND).blocks, strict=True):
            column.append(blocks)
    for head, body in _pieces(_Snapshot(0, columns, [], [], []), form, _ON_DEMAND):
        pieces += (head, body)
    return b"".join(pieces)


def _pieces(snapshot: _Snapshot, form: Format, groups: Sequence[Group] = _GROUPS) -> Iterator[tuple[bytes, bytes]]:
    """(header or nothing, sample lines), small enough to stop after each. Families without series are left out."""
    families = [*(group.families for group in groups), replicas.REPLICA_FAMILIES, training.TRAINING_FAMILIES]
    columns = (*snapshot.columns, snapshot.replicas, snapshot.trainings)
    for chosen, column in zip(families, columns, strict=True):
        for position, family in enumerate(chosen):
            head = header(family.name, family.type, family.help, openmetrics=form.openmetrics)
            bare = family.type is Type.HISTOGRAM and not form.openmetrics
            block = itemgetter(position)
            for start in range(0, len(column), _CHUNK):
                body = b"".join(map(block, column[start : start + _CHUNK]))
                if body:
                    yield head, _EXEMPLAR.sub(b"", body) if bare else body
                    head = b""
    for name, kind, text, body in snapshot.own:
        if body:
            yield header(name, kind, text, openmetrics=form.openmetrics), body
    if form.openmetrics:
        yield b"# EOF\n", b""
