"""The way to the server: attempts by the rule of the runs, each with a deadline of its own, on kept connections."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from random import getrandbits
from typing import Any

from exporter import USER_AGENT
from exporter.engine.attempt import attempt, settled
from exporter.engine.attempts import wait_before_next
from exporter.engine.lateness import in_time
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Asleep, Failure
from exporter.model.job import Ask, Retry, Within
from exporter.model.observation import Measurement, Observation
from exporter.model.stream import TokenEvent
from exporter.transport import Transport
from exporter.transport.alarm import Timers
from exporter.transport.http import HttpExchange
from exporter.transport.thread import available

logger = logging.getLogger(__name__)

Hear = Callable[[TokenEvent], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and how soon the answer must be there."""

    ask: Ask
    within: Within | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one question: the last attempt's, and how many there were."""

    observation: Observation
    failure: Failure | None
    measurement: Measurement
    attempts: int
    trace_id: str


class Line:
    """Asks. Any number of questions may be under way at once; a connection is kept for each place in that crowd."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport = Transport(user_agent=USER_AGENT)
        self._timers = Timers()
        self._memory: dict[str, Any] = {}
        self._free: list[int] = []
        self._places = 0

    async def ask(self, question: Question, timeout: float, retry: Retry, hear: Hear | None = None) -> Told:
        """Ask until it is answered, or no further attempt is worth it. Raises nothing but `Asleep` and cancellation.

        No wait is longer than `retry.max_backoff`, whatever Retry-After says. Once `hear` was told a token there is no
        further attempt: it would begin the answer anew.
        """
        await available(question.needs)
        trace_id = f"{getrandbits(128) or 1:032x}"
        heard = False

        def hearing(event: TokenEvent) -> None:
            nonlocal heard
            heard = True
            if hear is not None:
                hear(event)

        made = 0
        while True:
            made += 1
            told = replace(await self._attempt(question, timeout, trace_id, hearing), attempts=made)
            if told.failure is None or heard:
                return told
            room = retry.max_backoff + timeout
            wait = wait_before_next(told.failure, retry, made, room, timeout, random.random)
            if wait is None:
                return told
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()
        self._timers.close()

    async def _attempt(self, question: Question, timeout: float, trace_id: str, hear: Hear) -> Told:
        place = self._take()

        def open_exchange(deadline: float) -> HttpExchange:
            exchange = self._transport.exchange(
                self._endpoint,
                deadline=deadline,
                trace_id=trace_id,
                memory=self._memory,
                keep=("client", str(place)) if self._endpoint.keep_alive else None,
            )
            exchange.on_token = hear
            return exchange

        try:
            made = await attempt(open_exchange, question.ask, timeout, self._timers, _bug)
        finally:
            heappush(self._free, place)
        if made.asleep is not None:
            raise Asleep(made.asleep)
        seen = made.found or Observation()
        failure = made.failure
        if failure is None and seen.failure is not None:
            failure = settled(seen.failure, made.redact)
        failure = in_time(failure, question.within, made.measurement, seen.stream)
        if seen.info:
            seen = replace(seen, info={key: made.redact(value) for key, value in seen.info.items()})
        return Told(seen, failure, made.measurement, 1, trace_id)

    def _take(self) -> int:
        """The lowest place that is free: few stay in use when few questions are under way."""
        if self._free:
            return heappop(self._free)
        self._places += 1
        return self._places


def _bug() -> None:
    logger.exception("internal error")
