"""The schedule: whatever is due, in slots of some milliseconds, one wake-up per slot that holds something.

A core that sleeps between two runs pays more for waking up than for the run, so slots are no shorter than regular gaps
need. The entries of one are called a few at a time, and between them the loop looks at its sockets: what arrives for
the first ones is not stamped when the last one has been sent.

The wheel runs on the loop's timers and not as a task: one that is put earlier simply moves the timer. It knows
nothing of intervals: who is due plans itself again.
"""

import asyncio
import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

#: Seconds. Intervals that are a multiple of it have gaps that are all alike.
SLOT = 0.02
#: Entries that are called before the loop has its turn.
AT_ONCE = 3
#: uvloop's clock has steps of 1 ms and its timers may fire early by one: such a slot is due, not asleep again.
EARLY = 0.0015
_NEVER = -1


class Planned(ABC):
    """Something that waits for one moment at a time."""

    __slots__ = ("slot",)
    slot: int

    def __init__(self) -> None:
        self.slot = _NEVER

    @abstractmethod
    def due(self, planned: float, now: float) -> None:
        """The moment has come; `now - planned` is how late we are. It may plan itself again."""


class Wheel:
    """Calls `Planned.due` in time order. `failed` hears of exceptions: one bad entry does not stop the rest."""

    def __init__(self, clock: Callable[[], float], failed: Callable[[Exception], None]) -> None:
        self._clock = clock
        self._failed = failed
        self._slots: dict[int, list[Planned]] = {}  # a deque takes 760 bytes, however few it has
        self._order: list[int] = []
        self._passed = _NEVER
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0
        self.turning = False  #: due entries are being called

    @property
    def behind(self) -> float:
        """Seconds by which the call that is due next is late, 0 when none is due."""
        return max(0.0, self._clock() - self._order[0] * SLOT) if self._order else 0.0

    def put(self, item: Planned, due: float, *, sooner: bool = False) -> None:
        """Plan `item` for `due`, on the wheel's clock, in place of its plan until now; `sooner`: if that is later."""
        # Rounded up, so that nothing starts before its moment; the epsilon keeps an exact multiple in its own slot.
        slot = math.ceil(due / SLOT - 1e-6)
        if slot <= self._passed:
            slot = self._passed + 1
        if slot == item.slot or (sooner and _NEVER < item.slot < slot):
            return
        item.slot = slot
        waiting = self._slots.get(slot)
        if waiting is not None:
            waiting.append(item)
            return
        self._slots[slot] = [item]
        heapq.heappush(self._order, slot)
        if self._loop is not None and (self._timer is None or slot < self._armed):
            self._arm()

    @staticmethod
    def drop(item: Planned) -> None:
        """Forget an entry's plan. Its place in the slot is skipped when the slot comes."""
        item.slot = _NEVER

    def start(self) -> None:
        """Begin to turn on the running loop."""
        self._loop = asyncio.get_running_loop()
        self.turning = True
        self._arm()

    def stop(self) -> None:
        """Stop turning; plans stay."""
        self._loop = None
        self.turning = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._order:
            self._armed = self._order[0]
            self._timer = self._loop.call_later(max(0.0, self._armed * SLOT - self._clock()), self._turn)

    def _turn(self) -> None:
        self._timer = None
        try:
            if self._order:
                self._call(self._order[0], math.floor((self._clock() + EARLY) / SLOT))
        finally:
            self._arm()

    def _call(self, slot: int, reached: int) -> None:
        """Call some of a slot's entries: a few, and more the later it is, for then a few at a time are not enough."""
        if slot > reached:
            return
        waiting = self._slots[slot]
        if self._passed != slot:
            self._passed = slot
            waiting.reverse()  # from now on they are taken from its end, and nobody comes any more
        planned, now = slot * SLOT, self._clock()
        left = AT_ONCE * (1 + reached - slot)
        while waiting and left:
            item = waiting.pop()
            if item.slot != slot:
                continue
            left -= 1
            item.slot = _NEVER
            try:
                item.due(planned, now)
            except Exception as error:
                self._failed(error)
        if not waiting:
            heapq.heappop(self._order)
            del self._slots[slot]
