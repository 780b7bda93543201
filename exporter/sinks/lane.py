"""The way to one sink: a bounded queue, batches, writers, tries, and what is counted of it.

Whatever the sink does, `put` returns at once: records wait in the queue, and when it is full the oldest goes. A batch
is tried until it is delivered, refused for good, or the exporter ends.
"""

import asyncio
import logging
import random as _random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import errorcode
from typing import Any

from exporter import log
from exporter.contracts import Record, Refused, Sink
from exporter.ledger import Own
from exporter.model.failure import Failure
from exporter.sinks.records import new_id
from exporter.sinks.spec import Spec
from exporter.transport.thread import in_thread

logger = logging.getLogger(__name__)

#: Seconds before the second try of a batch; they double up to the longest wait. A receiver may ask for more, not
#: for more than LONGEST_ASKED.
BACKOFF, MAX_BACKOFF, LONGEST_ASKED = 0.5, 30.0, 300.0
#: Seconds between tries while the exporter ends.
LAST_TRIES = 0.2
#: Seconds a write that is under way has to end once the sink is replaced.
HAND_OVER = 1.0


class Lane:
    """One sink at work. `after` brings the records that its predecessor under the same name did not deliver; nothing
    is written before.
    """

    def __init__(
        self,
        spec: Spec,
        sink: Sink,
        own: Own,
        *,
        after: "asyncio.Task[list[Record]] | None" = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.spec = spec
        self._sink = sink
        self._own = own
        self._after = after
        self._random = random
        self._queue: deque[Record] = deque()
        self._undelivered: list[Record] = []
        self._more = asyncio.Event()
        self._full = asyncio.Event()
        self._ending = asyncio.Event()
        self._retired = False
        self._turn = asyncio.Lock()
        self._lost = 0  #: to overflow, since this was last said
        self._trouble = ""
        for counts in own.sinks:
            counts.setdefault(spec.name, 0)
        loop = asyncio.get_running_loop()
        self._writers = [loop.create_task(self._write()) for _ in range(spec.writers)]

    def put(self, record: Record) -> None:
        """Take a record if the sink wants it. Never blocks."""
        if not self.spec.wants(record):
            return
        self._own.sink_queued[self.spec.name] += 1
        self._queue.append(record)
        self._trim()
        self._more.set()
        if len(self._queue) >= self.spec.batch:
            self._full.set()

    async def close(self, grace: float) -> None:
        """Deliver what waits, for at most `grace` seconds; what is left then is dropped and counted."""
        self._end()
        await self._settle(grace)
        if self._after is not None and self._after.done():
            self._inherit(self._after)
        lost = len(self._undelivered) + len(self._queue)
        if lost:
            self._drop(lost)
            log.event(
                logger, logging.WARNING, "records not delivered before the end", sink=self.spec.name, records=lost
            )
        await self._sink.close()

    async def retire(self) -> list[Record]:
        """Stop, and give back what was not delivered, the oldest first. A write under way is waited for shortly."""
        self._retired = True
        self._end()
        await self._settle(HAND_OVER)
        await self._sink.close()
        return [*self._undelivered, *self._queue]

    def _end(self) -> None:
        for event in (self._ending, self._more, self._full):
            event.set()

    async def _settle(self, within: float) -> None:
        _, late = await asyncio.wait(self._writers, timeout=within)
        for writer in late:
            writer.cancel()
        if late:
            await asyncio.wait(late)

    # --- writers --------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        if self._after is not None:
            await asyncio.wait([self._after])
            self._inherit(self._after)
        while (batch := await self._next()) is not None:
            done = False
            try:
                done = await self._deliver(batch)
            finally:
                if not done:
                    self._undelivered += batch

    def _inherit(self, after: "asyncio.Task[list[Record]]") -> None:
        """Take over what the predecessor left, once."""
        if self._after is None:
            return
        self._after = None
        if not after.cancelled() and after.exception() is None:
            self._queue.extendleft(reversed(after.result()))
            self._trim()

    async def _next(self) -> list[Record] | None:
        """The next batch, when it is full or has waited long enough; None at the end. One writer at a time gathers."""
        async with self._turn:
            while not self._queue:
                if self._ending.is_set():
                    return None
                self._more.clear()
                self._full.clear()
                await self._more.wait()
            if len(self._queue) < self.spec.batch and not self._ending.is_set():
                self._full.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.spec.flush):
                        await self._full.wait()
            if self._retired:
                return None
            return [self._queue.popleft() for _ in range(min(self.spec.batch, len(self._queue)))]

    async def _deliver(self, batch: Sequence[Record]) -> bool:
        """Try until it is known what became of a batch. False: it is left to the successor."""
        name, key, tries = self.spec.name, new_id(), 0
        payload: Any = None
        while True:
            try:
                if payload is None:
                    payload = await in_thread(lambda: self._sink.encode(batch), f"sink {name}")
                await self._sink.send(payload, key)
            except Refused as refused:
                self._drop(len(batch))
                self._failed("records refused, they are dropped", "refused", str(refused))
                return True
            except (Failure, OSError) as error:
                self._failed("records not delivered, they are tried again", *_told(error))
                wait = self._wait(tries, error)
            except Exception:
                logger.exception("internal error", extra={"fields": {"sink": name}})
                self._own.internal_errors["sinks"] += 1
                self._drop(len(batch))
                return True
            else:
                self._own.sink_written[name] += len(batch)
                self._recovered()
                return True
            tries += 1
            await self._pause(wait)
            if self._retired:
                return False
            self._own.sink_retried[name] += 1

    def _wait(self, tries: int, error: Failure | OSError) -> float:
        """Seconds before the next try: exponential with jitter over its upper half, or what the receiver asks for."""
        wait = min(MAX_BACKOFF, BACKOFF * 2.0 ** min(tries, 16)) * (0.5 + self._random() / 2)
        asked = error.retry_after if isinstance(error, Failure) else None
        return max(wait, min(asked or 0.0, LONGEST_ASKED))

    async def _pause(self, seconds: float) -> None:
        """Back off. The end cuts it short: what is left is tried again soon, by this sink or by its successor."""
        if self._ending.is_set():
            await asyncio.sleep(0 if self._retired else LAST_TRIES)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    # --- what is said of it ---------------------------------------------------------------------------------------

    def _trim(self) -> None:
        over = len(self._queue) - self.spec.queue
        if over <= 0:
            return
        for _ in range(over):
            self._queue.popleft()
        self._drop(over)
        if not self._lost:
            log.event(
                logger, logging.WARNING, "the queue is full, the oldest records are dropped", sink=self.spec.name,
                queue=self.spec.queue,
            )  # fmt: skip
        self._lost += over

    def _drop(self, records: int) -> None:
        self._own.sink_dropped[self.spec.name] += records

    def _failed(self, message: str, reason: str, detail: str) -> None:
        """Count a try. Each kind of trouble is told once: a receiver that is down for a night is one line."""
        self._own.sink_failed[self.spec.name] += 1
        if self._trouble != reason:
            self._trouble = reason
            log.event(logger, logging.WARNING, message, sink=self.spec.name, reason=reason, detail=detail)

    def _recovered(self) -> None:
        if self._trouble or self._lost:
            log.event(logger, logging.INFO, "records are delivered again", sink=self.spec.name, dropped=self._lost)
        self._trouble, self._lost = "", 0


def _told(error: Failure | OSError) -> tuple[str, str]:
    """Reason and detail of a try that failed."""
    if isinstance(error, Failure):
        return str(error.reason), error.detail
    where = f"{error.filename}: " if error.filename else ""
    return errorcode.get(error.errno or 0, "os"), where + (error.strerror or str(error))
