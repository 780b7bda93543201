"""One attempt: a conversation under one deadline, closed in every case, and what it brought back fit to be kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from exporter.contracts import Exchange
from exporter.engine.backstop import Backstop
from exporter.model.failure import MAX_DETAIL, Asleep, Failure, Reason
from exporter.model.observation import Measurement

_UNMEASURED = Measurement()

Found = TypeVar("Found")


class Attempt(NamedTuple, Generic[Found]):
    """What came of it: something `found`, a `failure`, or (in words) that the model is `asleep` and was left so.

    `redact` takes the credentials that were sent out of a text.
    """

    found: Found | None
    failure: Failure | None
    asleep: str | None
    measurement: Measurement
    redact: Callable[[str], str]


async def attempt(
    open_exchange: Callable[[float], Exchange],
    ask: Callable[[Any], Awaitable[Found]],
    *,
    timeout: float,
    clock: Callable[[], float],
    bug: Callable[[], None],
) -> Attempt[Found]:
    """Open an exchange (it is told its deadline) and ask on it. Never raises; cancellation alone passes through.

    `bug` is called while an exception is handled that nobody foresaw.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is running in it
    deadline = clock() + timeout
    found: Found | None = None
    failure: Failure | None = None
    asleep: str | None = None
    measurement = _UNMEASURED
    redact: Callable[[str], str] = str
    exchange: Exchange | None = None
    backstop = Backstop(task, clock, deadline)
    try:
        exchange = open_exchange(deadline)
        redact = exchange.redact
        found = await ask(exchange)
    except Failure as error:
        failure = error
    except Asleep as error:
        asleep = tidy(error.detail, redact)
    except asyncio.CancelledError:
        if not backstop.withdraw():
            raise
        failure = Failure(Reason.TIMEOUT, f"no end within {timeout:g} s")
    except Exception as error:
        bug()
        failure = Failure(Reason.INTERNAL, f"{type(error).__name__} in the exporter; its log has the traceback")
    finally:
        try:
            if exchange is not None:
                measurement = await _close(exchange, backstop, bug)
        finally:
            backstop.disarm()
    return Attempt(found, None if failure is None else settled(failure, redact), asleep, measurement, redact)


async def _close(exchange: Exchange, backstop: Backstop, bug: Callable[[], None]) -> Measurement:
    measurement = _UNMEASURED
    try:
        measurement = exchange.measured()
        await exchange.close()
    except asyncio.CancelledError:
        if not backstop.withdraw():
            raise
    except Exception:
        bug()
    return measurement


def settled(failure: Failure, redact: Callable[[str], str]) -> Failure:
    """A failure fit to be kept: its detail for people, and no hold on the frames it came through."""
    # A traceback holds our frame, and our frame the failure: a cycle per failed run, left to the collector.
    failure.__traceback__ = failure.__context__ = failure.__cause__ = None
    failure.detail = tidy(failure.detail, redact)
    failure.args = (failure.reason, failure.detail)
    return failure


def tidy(detail: str, redact: Callable[[str], str]) -> str:
    """A text for people: on one line, of a bounded length, and without credentials."""
    detail = redact(detail)
    if not detail.isprintable():
        detail = "".join(char if char.isprintable() else " " for char in detail)
    return detail[:MAX_DETAIL]
