"""Whether the event loop turns, watched from outside of it.

While the loop stands still nothing it serves can answer, so kubelet's probe times out. This thread says meanwhile, in
the log, where it stands, and whoever asked meanwhile is told once the loop turns again. That it stood still stays on
/metrics, in model_exporter_loop_lag_seconds.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from exporter import log

logger = logging.getLogger("exporter")

#: Seconds between two beats, and without one after which the loop counts as stuck.
BEAT = 0.25
STUCK = 1.0
#: Seconds for which a stall is told: to those who asked meanwhile, and are answered only now. Who asks later finds a
#: loop that turns. So a stall costs one answer of kubelet's, which asks once a second at most, or every ten.
TOLD = 0.9
_FRAMES = 4


class Pulse:
    """Beats on the running loop, and a thread that listens. `clock` is monotonic, `cpu` what the process has used."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._beat = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._loop_thread = 0
        self._stuck = False
        self._stalled_at = float("-inf")
        self._stalled_for = 0.0

    def start(self) -> None:
        """Begin, from the loop's own thread."""
        loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._beat = self._clock()

        def beat() -> None:
            self._beaten()
            self._timer = loop.call_later(BEAT, beat)

        beat()
        threading.Thread(target=self._listen, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """Let the thread go."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def ailments(self) -> list[str]:
        """What to say of it; nothing while it is well."""
        ago = self._clock() - self._stalled_at
        if ago > TOLD:
            return []
        return [f"the event loop stood still for {self._stalled_for:.1f} s, until {ago:.1f} s ago"]

    def _beaten(self) -> None:
        now = self._clock()
        if self._stuck:
            self._stuck = False
            self._stalled_at, self._stalled_for = now, now - self._beat
            log.event(logger, logging.ERROR, "event loop turns again", seconds=round(now - self._beat, 3))
        self._beat = now

    def _listen(self) -> None:
        heard, used = self._clock(), self._cpu()
        while not self._ended.wait(BEAT):
            now, cpu = self._clock(), self._cpu()
            gap, worked = now - heard, cpu - used
            heard, used = now, cpu
            if gap > STUCK and worked < gap / 2:
                # We were stopped ourselves, all of us: frozen, suspended or not scheduled. That is no fault of ours.
                self._beat = now
            elif not self._stuck and now - self._beat > STUCK:
                self._stuck = True
                log.event(logger, logging.ERROR, "event loop stands still", where=self._where())

    def _where(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        stack = traceback.extract_stack(frame)[-_FRAMES:] if frame is not None else []
        return " < ".join(f"{one.name} ({one.filename.rpartition('/')[2]}:{one.lineno})" for one in reversed(stack))
