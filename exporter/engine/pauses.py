"""What keeps a probe from running though its moment has come: its target's maintenance, or a budget without room."""

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf

from exporter import log
from exporter.engine.budget import Budgets, Hold
from exporter.engine.charge import used
from exporter.engine.maintenance import Maintenance
from exporter.engine.wallclock import WallTimer
from exporter.engine.watch import Probe, Watch
from exporter.engine.wheel import Wheel
from exporter.ledger import Ledger
from exporter.model.cost import NOTHING, Allowance, Cost
from exporter.model.maintenance import Announced, Wish
from exporter.model.result import Result

logger = logging.getLogger(__name__)

#: Names in a line of the log; of more targets only the number is told.
_NAMED = 10


class Pauses:
    """Asked before each run, told of its end. `resumed` hears of the targets whose maintenance is over."""

    def __init__(
        self,
        watches: Mapping[str, Watch],
        *,
        ledger: Ledger,
        wheel: Wheel,
        clock: Callable[[], float],
        wall: Callable[[], float],
        resumed: Callable[[Sequence[Watch]], None],
        windows: bool = True,
    ) -> None:
        self._watches = watches
        self._ledger = ledger
        self._wall = wall
        self._resumed = resumed
        self._maintenance = Maintenance(windows=windows)
        self._budgets = Budgets(wall, ledger.balance)
        self._timers = (WallTimer(wheel, clock, wall, self._look), WallTimer(wheel, clock, wall, self._budgets.roll))
        #: The time of the last look, and the time until which it would find the same again.
        self._looked, self._change = inf, -inf

    def take(self, overall: Allowance | None) -> None:
        """Heed what the watched targets, and the config for all together, say now."""
        targets = (watch.target for watch in self._watches.values())
        self._budgets.take({each.title: each.budget for each in targets if each.budget is not None}, overall)
        self._looked = inf
        for timer in self._timers:
            timer.again()

    # --- runs -----------------------------------------------------------------------------------------------------

    def bar(self, probe: Probe) -> str:
        """Why a probe may not run now, else `""`; then the worst case of its run is reserved."""
        if probe.watch.rests_until is not None:
            return "maintenance"
        if not probe.costs:
            return ""
        probe.hold = self._budgets.reserve(probe.job.target.title, probe.worst)
        return "" if probe.hold is not None else "budget"

    def settle(self, probe: Probe, result: Result | None, *, begun: bool) -> None:
        """Charge a run that ended. Of one that was cancelled, if it had `begun`, nobody knows what it used."""
        hold, probe.hold = probe.hold, None
        if hold is not None:
            # A server may make more of a request than it should: the next one is reserved by what it did.
            probe.worst = probe.worst.most(self.charge(hold, result, begun=begun))

    def reserve(self, title: str, cost: Cost) -> Hold | None:
        """Reserve what one question of a longer run may use; None where a budget has no room."""
        return self._budgets.reserve(title, cost)

    def charge(self, hold: Hold, result: Result | None, *, begun: bool) -> Cost:
        """Charge what was reserved for a question that ended, as `settle` does. Returns what it used."""
        spent = used(result) if result is not None else hold.cost if begun else NOTHING
        self._budgets.settle(hold, spent)
        return spent

    # --- maintenance ----------------------------------------------------------------------------------------------

    @property
    def announced(self) -> tuple[Announced, ...]:
        """The maintenances that were announced and go on."""
        self._maintenance.expire(self._wall())
        return self._maintenance.announced

    def announce(self, wish: Wish) -> Announced | None:
        """Leave targets alone from now on. None when too many were announced already."""
        made = self._maintenance.announce(wish, self._wall())
        if made is not None:
            log.event(logger, logging.INFO, "maintenance announced", id=made.id, comment=wish.comment,
                      seconds=round(wish.seconds))  # fmt: skip
            self._look_anew()
        return made

    def withdraw(self, name: str) -> bool:
        """End what was announced. False when there is no such thing."""
        if self._maintenance.withdraw(name) is None:
            return False
        log.event(logger, logging.INFO, "maintenance withdrawn", id=name)
        self._look_anew()
        return True

    def _look_anew(self) -> None:
        self._looked = inf
        self._timers[0].again()

    def _look(self, now: float) -> float:
        """Begin and end what has to; returns when to look again."""
        if self._looked <= now < self._change:
            return self._change  # all targets are gone through only when something may be different
        self._maintenance.expire(now)
        watches = list(self._watches.values())
        untils, change = self._maintenance.look([watch.target for watch in watches], now)
        begun, ended = [], []
        for watch, until in zip(watches, untils, strict=True):
            if until == watch.rests_until:
                continue
            if watch.rests_until is None:
                begun.append(watch)
            elif until is None:
                ended.append(watch)
            watch.rests_until = until
            self._ledger.rest(watch.name, until)
        if begun:
            _tell("maintenance begins", begun)
            for watch in begun:
                watch.call_off()
        if ended:
            _tell("maintenance ends", ended)
            self._resumed(ended)
        self._looked, self._change = now, change
        return change


def _tell(event: str, watches: Sequence[Watch]) -> None:
    names = ",".join(watch.name for watch in watches[:_NAMED]) + (",..." if len(watches) > _NAMED else "")
    log.event(logger, logging.INFO, event, targets=names, count=len(watches))
