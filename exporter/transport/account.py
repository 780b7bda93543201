"""What one attempt measured so far, kept up to date as it goes so that it can be asked after a failure too."""

from time import perf_counter
from typing import Any

from exporter.model.observation import Measurement, Stamps
from exporter.transport.faults import Stage

# Before 3.12 a member of an enum is looked up by way of its class at each use.
_LOOKUP, _LOOP, _MIXED = Stage.LOOKUP, Stamps.LOOP, Stamps.MIXED


class Account:
    """Sums over an attempt's requests. Seconds; all stamps are perf_counter's."""

    __slots__ = ("address", "certificate_not_after", "duration", "http_status", "phases", "proxy", "response_bytes",
                 "stage", "stamps", "_began")  # fmt: skip

    def __init__(self) -> None:
        self.stage = _LOOKUP
        self.phases: dict[str, float] = {}
        self.duration: float | None = None
        self.http_status: int | None = None
        self.response_bytes: int | None = None
        self.certificate_not_after: float | None = None
        self.address = ""
        self.proxy = ""  #: the name of the proxy that connections go to
        self.stamps: Stamps | None = None  #: whose stamps the reads have; the loop's when nobody says so
        self._began: float | None = None

    def begin(self, at: float) -> None:
        """A request's clock starts: at its look-up, or at its first byte on a connection that was open already."""
        if self._began is None:
            self._began = at

    def restart(self) -> None:
        """What was begun does not count: a kept connection turned out to be dead."""
        self._began = None

    def end(self, at: float) -> None:
        """A request's last byte, or the moment it failed."""
        if self._began is not None:
            seconds = at - self._began
            if seconds < 0.0:
                seconds = 0.0
            self.duration = seconds if self.duration is None else self.duration + seconds
            self._began = None

    def mark(self) -> tuple[object, ...]:
        """The sums as they are now, for `reset`."""
        return (dict(self.phases), self.duration, self.http_status, self.response_bytes)

    def reset(self, mark: tuple[Any, ...]) -> None:
        """What came after a mark does not count: the question was not put as it has to be."""
        self.phases, self.duration, self.http_status, self.response_bytes = mark
        self._began = None

    def phase(self, name: str, seconds: float) -> None:
        """A phase was gone through; a second one of the same name is added."""
        if seconds < 0.0:
            seconds = 0.0
        phases = self.phases
        phases[name] = phases[name] + seconds if name in phases else seconds

    def stamped(self, by: Stamps) -> None:
        """A read had a stamp of the loop or the kernel."""
        self.stamps = by if self.stamps in (None, by) else _MIXED

    def measured(self) -> Measurement:
        """The sums as a value; a request still going on counts until now."""
        duration = self.duration
        if self._began is not None:
            duration = (duration or 0.0) + max(0.0, perf_counter() - self._began)
        return Measurement(
            duration,
            dict(self.phases),
            self.http_status,
            self.response_bytes,
            self.certificate_not_after,
            self.address,
            self.stamps or _LOOP,
        )
