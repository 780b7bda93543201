"""The verdicts on all targets: made anew when a run brings something new, or when what is held has grown too old."""

from collections.abc import Callable, Mapping
from math import inf

from exporter.engine.verdict import judge
from exporter.engine.watch import Watch
from exporter.engine.wheel import Wheel
from exporter.ledger import Ledger
from exporter.model.job import Job
from exporter.model.state import StateChange


class Verdicts:
    """Judges targets and books what comes of it. `changed` hears of every new state, and of a job of that target."""

    def __init__(
        self,
        watches: Mapping[str, Watch],
        *,
        ledger: Ledger,
        wheel: Wheel,
        changed: Callable[[StateChange, Job], None],
    ) -> None:
        self._watches = watches
        self._ledger = ledger
        self._wheel = wheel
        self._changed = changed

    def judge(self, watch: Watch, now: float) -> None:
        """What all its probes hold, taken together."""
        record = self._ledger.targets.get(watch.name)
        if record is None:
            return
        verdict = judge(
            watch.cheap, watch.canaries, watch.others, record.verdict, starting=watch.starting(now),
            maintenance=watch.resting,
        )  # fmt: skip
        watch.settle(verdict)
        change = self._ledger.judge(watch.name, verdict)
        if change is not None:
            self._changed(change, next(iter(watch.probes.values())).job)

    def look_again(self, watch: Watch, now: float, *, judge: bool = True) -> None:
        """Let go what has expired, and come back when something else may have."""
        if watch.resting:
            return
        if watch.expire(now) and judge:
            self.judge(watch, now)
        if watch.look_at < inf:
            self._wheel.put(watch, watch.look_at)

    def stalled(self, seconds: float) -> None:
        """Nobody could be asked for so long: that time makes no evidence old."""
        for watch in self._watches.values():
            for probe in watch.probes.values():
                probe.track.expires += seconds
