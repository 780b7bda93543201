"""Who is left alone now: by the windows of the config, and by what was announced while the exporter runs."""

from collections.abc import Sequence
from math import inf
from secrets import token_hex

from exporter.model.maintenance import Announced, Window, Wish, ends
from exporter.model.target import Target

#: Announcements that may hold at once.
MOST = 100


class Maintenance:
    """Windows and announcements. All times are Unix time, in seconds.

    `windows`: whether those of the config count; they do not for whoever was told to look at the targets now.
    """

    def __init__(self, *, windows: bool = True) -> None:
        self.windows = windows
        self._announced: dict[str, Announced] = {}

    @property
    def announced(self) -> tuple[Announced, ...]:
        """What was announced, in that order; what is over is among it until `expire`."""
        return tuple(self._announced.values())

    def announce(self, wish: Wish, now: float) -> Announced | None:
        """Let it begin now. None when there are too many already."""
        if len(self._announced) >= MOST:
            return None
        made = Announced(token_hex(4), wish, now, now + wish.seconds)
        self._announced[made.id] = made
        return made

    def withdraw(self, name: str) -> Announced | None:
        """End one before its time. None when there is no such one."""
        return self._announced.pop(name, None)

    def expire(self, now: float) -> None:
        """Forget what is over."""
        for each in self.announced:
            if each.ends <= now:
                del self._announced[each.id]

    def look(self, targets: Sequence[Target], now: float) -> tuple[list[float | None], float]:
        """When the maintenance of each target ends, None where none goes on; and when any of this may be different.
        What is over has been forgotten before.
        """
        known: dict[int, tuple[float | None, float]] = {}
        found: list[float | None] = []
        change = min((each.ends for each in self.announced), default=inf)
        for target in targets:
            until = self._until(target)
            if self.windows and target.maintenance:
                # Most targets share their windows: each list is looked at once.
                key = id(target.maintenance)
                if key not in known:
                    known[key] = ends(target.maintenance, now), _change(target.maintenance, now)
                planned, following = known[key]
                change = min(change, following)
                until = max(filter(None, (until, planned)), default=None)
            found.append(until)
        return found, change

    def _until(self, target: Target) -> float | None:
        if not self._announced:
            return None
        name, title, trait = target.name, target.title, target.trait
        announced = self._announced.values()
        return max((each.ends for each in announced if each.wish.means(name, title, trait)), default=None)


def _change(windows: tuple[Window, ...], now: float) -> float:
    return min(min(window.next(now), window.until(now) or inf) for window in windows)
