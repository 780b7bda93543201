"""One attempt: a conversation under one deadline, closed in every case, and what it brought back fit to be kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from exporter.contracts import Exchange
from exporter.engine.backstop import Backstop
from exporter.model.failure import MAX_DETAIL, Asleep, Failure, Reason
from exporter.model.observation import Measurement
from exporter.transport.alarm import Timers

_UNMEASURED = Measurement()

Found = TypeVar("Found")


class Attempt(Backstop, Generic[Found]):
    """What came of it: something `found`, a `failure`, or (in words) that the model is `asleep` and was left so.

    It is its own backstop: one object less per attempt.
    """

    __slots__ = ("asleep", "began", "exchange", "failure", "found", "measurement")

    began: float  #: stamp of its start

    def __init__(self, timers: Timers, deadline: float) -> None:
        Backstop.__init__(self, timers, deadline)
        self.found: Found | None = None
        self.failure: Failure | None = None
        self.asleep: str | None = None
        self.measurement = _UNMEASURED
        self.exchange: Exchange | None = None

    def redact(self, text: str) -> str:
        """A text without the credentials that were sent."""
        return text if self.exchange is None else self.exchange.redact(text)


async def attempt(
    open_exchange: Callable[[float], Exchange],
    ask: Callable[[Any], Awaitable[Found]],
    timeout: float,
    timers: Timers,
    bug: Callable[[], None],
) -> Attempt[Found]:
    """Open an exchange (it is told its deadline) and ask on it. Never raises; cancellation alone passes through.

    `bug` is called while an exception is handled that nobody foresaw.
    """
    began = timers.clock()
    deadline = began + timeout
    made: Attempt[Found] = Attempt(timers, deadline)
    made.began = began
    exchange: Exchange | None = None
    try:
        exchange = made.exchange = open_exchange(deadline)
        exchange.bound = made
        made.found = await ask(exchange)
    except Failure as error:
        made.failure = settled(error, made.redact)
    except Asleep as error:
        made.asleep = tidy(error.detail, made.redact)
    except asyncio.CancelledError:
        if not made.rang():
            made.exchange = None  # it lies among the timers until its deadline, and shall not keep the answer
            raise
        made.failure = Failure(Reason.TIMEOUT, f"no end within {timeout:g} s")
    except Exception as error:
        bug()
        made.failure = Failure(Reason.INTERNAL, f"{type(error).__name__} in the exporter; its log has the traceback")
    finally:
        try:
            if exchange is not None:
                exchange.bound = None  # each knows the other, and that is not left to the collector
                made.measurement = exchange.measured()
                await exchange.close()
        except asyncio.CancelledError:
            if not made.rang():
                raise
        except Exception:
            bug()
        finally:
            made.disarm()
    return made


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
