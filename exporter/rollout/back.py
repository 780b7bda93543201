"""Taking a deployment back: what its record says was done, as far as the servers show it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Any

from exporter.model.failure import Failure
from exporter.rollout.caller import certain
from exporter.rollout.deploy import AGAIN, Rules, call
from exporter.rollout.group import Seat, told
from exporter.rollout.record import Past, Record, RecordError
from exporter.rollout.ways import Cannot, Moving, Stays, Step


class Undone(StrEnum):
    """What became of what was done to a server."""

    DONE = "done"  #: taken back, and the server shows it
    NOTHING = "nothing"  #: there was nothing (more) to take back
    STAYS = "stays"  #: no call takes it back
    FAILED = "failed"


@dataclass(slots=True)
class Return:
    """How far one server is. `detail` says what was done, or what to do."""

    environment: str
    target: str
    outcome: Undone | None = None
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing of the deployment is left there."""
        return self.outcome in (Undone.DONE, Undone.NOTHING)

    def as_json(self) -> dict[str, Any]:
        """`{environment, target, outcome, detail}`."""
        return {
            "environment": self.environment,
            "target": self.target,
            "outcome": str(self.outcome or Undone.FAILED),
            "detail": self.detail,
        }


async def roll_back(
    pasts: Sequence[Past],
    find: Callable[[Past], Awaitable[Seat]],
    rules: Rules,
    record: Record,
    on_update: Callable[[Sequence[Return]], None] = lambda returns: None,
) -> list[Return]:
    """Take back what was done to each server, as many at once as `rules` says; one that fails does not hold up the
    others. `find` tells how a server is reached (raises `Cannot` and `Failure`).
    """
    returns = [Return(past.environment, past.name) for past in pasts]
    running = asyncio.Semaphore(rules.parallel)

    async def one(past: Past, back: Return) -> None:
        async with running:
            on_update(returns)
            try:
                seat = await find(past)
                back.outcome, back.detail = await _seat(seat, past, record, perf_counter() + rules.timeout)
            except (Failure, Moving, Cannot, RecordError) as error:
                back.outcome, back.detail = Undone.FAILED, told(error)
            except Stays as error:
                back.outcome, back.detail = Undone.STAYS, str(error)
            on_update(returns)

    await asyncio.gather(*(one(past, back) for past, back in zip(pasts, returns, strict=True)))
    return returns


async def _seat(seat: Seat, past: Past, record: Record, until: float) -> tuple[Undone, str]:
    """Make the steps back and see that the server shows them. Raises `Failure`, `Stays` and `Moving`."""
    made = []
    for step in await _steps(seat, past, until):
        number = record.step(past.place, step.name, step.shown, past.before, "undo")
        try:
            await call(step, max(AGAIN, until - perf_counter()))
        except Failure as failure:
            record.outcome(number, "refused" if certain(failure) else "unknown", told(failure), "undone")
            if certain(failure):
                raise
        else:
            record.outcome(number, "done", "", "undone")
        made.append(step.shown)
    if not made:
        return Undone.NOTHING, "the server shows nothing to take back"
    if rest := await _steps(seat, past, until):
        raise Stays(f"{made[0]} was made, and the server still asks for {rest[0].shown}: look at its log")
    return Undone.DONE, ", ".join(made)


async def _steps(seat: Seat, past: Past, until: float) -> Sequence[Step]:
    """The steps back by what is there now; while the server is at work, what that is is not known yet."""
    while True:
        try:
            return seat.way.back(past.before, await seat.way.look(), past.made) if past.made else ()
        except Moving:
            if perf_counter() + AGAIN >= until:
                raise
        await asyncio.sleep(AGAIN)
