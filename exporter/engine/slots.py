"""Who may run now: a slot of the host first, then a global one.

Whoever waits for its host holds no global slot, so a slow host delays only itself. Both kinds of slots have three
lanes. Tickets in the slow lane (what they are for timed out the last time) hold at most half of the slots, so a
thousand dead targets cannot starve the living. Within what its lane allows, the ticket that came first goes first.
Tickets that stand behind all others go when nobody else may, and they too hold at most half of the slots.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

from exporter.ledger import Own
from exporter.model.cost import Allowance


@dataclass(frozen=True, slots=True)
class Limits:
    """Runs at once, in all and per host (and port); and what the canaries of all targets together may use."""

    concurrency: int = 500
    per_host: int = 8
    budget: Allowance | None = None


class Stage(Enum):
    """Where a ticket is."""

    OUT = 0
    HOST = 1  #: waits for a slot of its host
    GLOBAL = 2  #: holds a slot of its host, waits for a global one
    IN = 3  #: holds both


# Before 3.12 a member of an enum is looked up by way of its class at each use.
_OUT, _HOST, _GLOBAL, _IN = Stage


class Ticket(ABC):
    """A wish to run. It may be handed in again after it left. `slow` and `behind` say which lane it stands in."""

    __slots__ = ("apart", "behind", "host", "number", "slow", "stage")

    def __init__(self, host: Hashable, slow: bool, behind: bool = False) -> None:
        self.host = host
        self.slow = slow and not behind
        self.behind = behind
        self.apart = slow or behind  #: stands in a lane of its own
        self.stage = _OUT
        #: Order of arrival. A queue entry with an old number is one that left.
        self.number = 0

    @abstractmethod
    def granted(self) -> None:
        """Both slots are held. Must not block, and must not ask or leave at once."""


class _Lane(deque[tuple[int, Ticket]]):
    """Those who wait, each with the number it came with."""

    def trim(self, stage: Stage) -> None:
        """Let go of heads that left meanwhile: out, further on, or back again with another number."""
        while self and (self[0][1].number != self[0][0] or self[0][1].stage is not stage):
            self.popleft()


class _Gate:
    """Slots of one kind. Its queues exist only once somebody waited: most hosts never see that."""

    __slots__ = ("behind", "capacity", "fast", "held", "held_behind", "held_slow", "slow", "stage")

    def __init__(self, capacity: int, stage: Stage) -> None:
        self.capacity = capacity
        self.stage = stage  #: of those who wait here
        self.held = self.held_slow = self.held_behind = 0
        self.fast: _Lane | None = None
        self.slow: _Lane | None = None
        self.behind: _Lane | None = None

    def admit(self, ticket: Ticket) -> bool:
        """Take a slot if there is one, else queue."""
        lane = self.behind if ticket.behind else self.slow if ticket.slow else self.fast
        if not lane and self.held < self.capacity and not self._full(ticket):
            self._take(ticket)
            return True
        if lane is None:
            lane = _Lane()
            if ticket.behind:
                self.behind = lane
            elif ticket.slow:
                self.slow = lane
            else:
                self.fast = lane
        lane.append((ticket.number, ticket))
        return False

    def next(self) -> Ticket | None:
        """The next of those who wait, with its slot taken; None when none may go."""
        fast, slow, behind = self.fast, self.slow, self.behind
        for lane in (fast, slow, behind):
            if lane:
                lane.trim(self.stage)
        if self.held >= self.capacity:
            return None
        if slow and not self._slow_full() and (not fast or slow[0][0] < fast[0][0]):
            ticket = slow.popleft()[1]
        elif fast:
            ticket = fast.popleft()[1]
        elif behind and not self._behind_full():
            ticket = behind.popleft()[1]
        else:
            return None
        self._take(ticket)
        return ticket

    def left(self, ticket: Ticket) -> None:
        """Note that one of those who stand apart gave its slot back."""
        self.held_slow -= ticket.slow
        self.held_behind -= ticket.behind

    def _take(self, ticket: Ticket) -> None:
        self.held += 1
        self.held_slow += ticket.slow
        self.held_behind += ticket.behind

    def _full(self, ticket: Ticket) -> bool:
        """Whether the lane of a ticket has no slot for it, though there is one."""
        # While there is one, nobody waits whose lane would let him take it.
        return self._behind_full() if ticket.behind else ticket.slow and self._slow_full()

    def _slow_full(self) -> bool:
        return self.held_slow >= max(1, self.capacity // 2)

    def _behind_full(self) -> bool:
        return self.held_behind >= max(1, self.capacity // 2)


class Slots:
    """All slots. Keeps `own.in_flight`, `own.waiting` and `own.slots` true."""

    def __init__(self, limits: Limits, own: Own) -> None:
        self._limits = limits
        self._own = own
        self._own.slots = limits.concurrency
        self._all = _Gate(limits.concurrency, Stage.GLOBAL)
        self._hosts: dict[Hashable, _Gate] = {}
        #: Gates of hosts that nobody holds a slot of any more, for the next ones: as many as there were hosts at once.
        self._spare: list[_Gate] = []
        self._number = 0

    @property
    def limits(self) -> Limits:
        """The limits in force. Smaller ones interrupt nobody: they hold as slots come back."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._own.slots = self._all.capacity = limits.concurrency
        self._spare.clear()
        for gate in self._hosts.values():
            gate.capacity = limits.per_host
        self._serve_all()
        for host, gate in list(self._hosts.items()):
            self._serve_host(host, gate)

    def ask(self, ticket: Ticket) -> None:
        """Queue a ticket; `granted` is called when its turn has come, maybe at once."""
        self._number += 1
        ticket.number = self._number
        gate = self._hosts.get(ticket.host)
        if gate is None:
            gate = self._spare.pop() if self._spare else _Gate(self._limits.per_host, _HOST)
            self._hosts[ticket.host] = gate
        everybody = self._all
        if not ticket.apart and gate.held < gate.capacity and everybody.held < everybody.capacity:
            # What nearly all do. While there is room, nobody waits whose lane would let him have it.
            gate.held += 1
            everybody.held += 1
            ticket.stage = _IN
            self._own.in_flight += 1
            ticket.granted()
            return
        ticket.stage = _HOST
        self._own.waiting += 1
        if gate.admit(ticket):
            self._enter(ticket)

    def step_aside(self, ticket: Ticket) -> None:
        """Let one that waits stand in the slow lane, last; one that does not wait, or stands apart, is left alone."""
        if ticket.apart or ticket.stage not in (_HOST, _GLOBAL):
            return
        self.leave(ticket)
        ticket.slow = ticket.apart = True
        self.ask(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give everything back, or stop waiting. Harmless for a ticket that is out."""
        stage, ticket.stage = ticket.stage, _OUT
        if stage is _OUT:
            return
        if stage is _IN:
            self._own.in_flight -= 1
        else:
            self._own.waiting -= 1
        gate = self._hosts[ticket.host]
        if stage is not _HOST:
            gate.held -= 1
            if ticket.apart:
                gate.left(ticket)
        # Before the global slot is given back: whoever waits for this host is then among those who may have it.
        if gate.fast or gate.slow or gate.behind:
            self._serve_host(ticket.host, gate)
        elif not gate.held:
            del self._hosts[ticket.host]
            self._spare.append(gate)
        if stage is _IN:
            everybody = self._all
            everybody.held -= 1
            if ticket.apart:
                everybody.left(ticket)
            if everybody.fast or everybody.slow or everybody.behind:
                self._serve_all()

    def _enter(self, ticket: Ticket) -> None:
        ticket.stage = _GLOBAL
        if self._all.admit(ticket):
            self._grant(ticket)

    def _grant(self, ticket: Ticket) -> None:
        ticket.stage = _IN
        self._own.waiting -= 1
        self._own.in_flight += 1
        ticket.granted()

    def _serve_all(self) -> None:
        while (ticket := self._all.next()) is not None:
            self._grant(ticket)

    def _serve_host(self, host: Hashable, gate: _Gate) -> None:
        if gate.fast or gate.slow or gate.behind:
            while (ticket := gate.next()) is not None:
                self._enter(ticket)
        if not (gate.held or gate.fast or gate.slow or gate.behind):
            del self._hosts[host]
            self._spare.append(gate)
