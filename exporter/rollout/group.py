"""Environments as they are deployed to: their servers, and what each of them needs. Looking changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from exporter.model.failure import Failure
from exporter.protocols.text import quote
from exporter.rollout.verdict import GateVerdict
from exporter.rollout.ways import Cannot, Seen, Step, Way


@dataclass(frozen=True, slots=True)
class Seat:
    """One model on one server: what a deployment changes. `address` is "" where the target is one by itself."""

    environment: str
    target: str
    address: str
    way: Way

    @property
    def place(self) -> tuple[str, str, str]:
        """What its record is known by."""
        return (self.environment, self.target, self.address)

    @property
    def name(self) -> str:
        """The target for people, with the address of a replica."""
        return f"{self.target}@{self.address}" if self.address else self.target


@dataclass(frozen=True, slots=True)
class Group:
    """An environment. `seats()` finds its servers (raises `Cannot` and `Failure`), `gate(seats, seconds, on_update)`
    waits until its targets are good, and tells where they stand, meanwhile too.
    """

    name: str
    seats: Callable[[], Awaitable[Sequence[Seat]]]
    gate: Callable[[Sequence[Seat], float, Callable[[GateVerdict], None]], Awaitable[GateVerdict]]


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be done to one server of an environment; or, with neither target nor steps, why that cannot be told
    now.
    """

    environment: str
    target: str = ""
    steps: Sequence[Step] = ()
    failure: str = ""


async def plan(groups: Iterable[Group]) -> list[Planned]:
    """What each server needs, by what is there now; nothing is changed. Raises `Cannot` with the reasons of all."""
    found = await asyncio.gather(*(_planned(group) for group in groups))
    reasons = [reason for _, reasons in found for reason in reasons]
    if reasons:
        raise Cannot("\n".join(dict.fromkeys(reasons)))
    return [planned for group, _ in found for planned in group]


async def _planned(group: Group) -> tuple[list[Planned], list[str]]:
    """The plans of an environment, and what is impossible in it."""
    try:
        seats = await group.seats()
    except Cannot as error:
        return [], [f"{group.name}: {error}"]
    except Failure as failure:
        return [Planned(group.name, failure=told(failure))], []
    planned: list[Planned] = []
    reasons = []
    for seat, seen in zip(seats, await asyncio.gather(*(_look(seat) for seat in seats)), strict=True):
        if isinstance(seen, Failure):
            planned.append(Planned(group.name, seat.name, failure=told(seen)))
            continue
        try:
            planned.append(Planned(group.name, seat.name, seat.way.plan(seen)))
        except Cannot as error:
            reasons.append(f"{group.name}: {error}")
    return planned, reasons


async def _look(seat: Seat) -> Seen | Failure:
    try:
        return await seat.way.look()
    except Failure as failure:
        return failure


def told(error: Exception) -> str:
    """What went wrong, for people."""
    return quote(error.detail or str(error.reason), 600) if isinstance(error, Failure) else str(error)
