"""Names to addresses on our own daemon threads: a dead resolver delays neither literals nor the end of the process.

asyncio's default pool has a handful of threads, is shared by everything, and is waited for at exit.
"""

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from exporter.model.failure import Failure, Reason
from exporter.transport.faults import Stage, failure_of

#: Threads that work for somebody, and how many times as many may be stuck in look-ups everybody gave up on.
THREADS = 32
STUCK = 3
#: Seconds after which an idle thread ends.
IDLE = 2.0
#: A name whose last look-up took longer (seconds), or was given up, may use at most half of the threads.
SLOW = 1.0
_BREATH = 0.1
_MAX_SLOW_NAMES = 4096

Lookup = Callable[[str, int], list[str]]


class Resolved(NamedTuple):
    """Addresses in the order to try them, and the stamps of the look-up; both equal where none was needed."""

    addresses: tuple[str, ...]
    began: float
    ended: float


def is_literal(host: str) -> bool:
    """Whether `host` is an IP address already."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


def system_lookup(host: str, port: int) -> list[str]:
    """Ask the system. Blocks; raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Flight:
    """One look-up and everyone who waits for it."""

    __slots__ = ("abandoned", "began", "host", "port", "slow", "waiters")

    def __init__(self, host: str, port: int, slow: bool) -> None:
        self.host = host
        self.port = port
        self.slow = slow
        self.abandoned = False
        self.began = 0.0
        self.waiters: dict[asyncio.Future[Resolved], asyncio.AbstractEventLoop] = {}


class Resolver:
    """Looks names up, each once however many ask at the same moment. Nothing is cached: the look-up is measured."""

    def __init__(self, lookup: Lookup = system_lookup, *, threads: int = THREADS) -> None:
        self._lookup = lookup
        self._threads = threads
        self._lock = threading.Condition()
        self._flights: dict[str, _Flight] = {}
        self._fast: OrderedDict[str, _Flight] = OrderedDict()
        self._slow: OrderedDict[str, _Flight] = OrderedDict()
        self._running = 0
        self._idle = 0
        self._busy_slow = 0
        self._abandoned = 0
        self._starting = 0
        self._slow_names: dict[str, None] = {}
        self._closed = False

    async def resolve(self, host: str, port: int) -> Resolved:
        """The addresses of `host`. Raises `Failure(dns)`. Giving up (cancellation) leaves the thread to itself."""
        if is_literal(host):
            now = perf_counter()
            return Resolved((host,), now, now)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Resolved] = loop.create_future()
        asked = perf_counter()
        flight = self._join(host, port, future, loop)
        try:
            found = await future
        except asyncio.CancelledError:
            with self._lock:
                freed = self._leave(flight, future)
            if freed:
                # Not at once: those who asked together give up together, and what they asked need not be asked.
                loop.call_later(_BREATH, self._restaff)
            raise
        return found._replace(began=max(asked, found.began))

    def close(self) -> None:
        """Let idle threads end. Those inside the system's resolver are daemons: nobody waits for them."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def _join(self, host: str, port: int, future: asyncio.Future[Resolved], loop: asyncio.AbstractEventLoop) -> _Flight:
        with self._lock:
            flight = self._flights.get(host)
            if flight is None:
                flight = self._flights[host] = _Flight(host, port, host in self._slow_names)
                (self._slow if flight.slow else self._fast)[host] = flight
            flight.waiters[future] = loop
            try:
                self._staff()
            except Failure:
                self._leave(flight, future)
                raise
            return flight

    def _leave(self, flight: _Flight, future: asyncio.Future[Resolved]) -> bool:
        """Someone gave up; whether that frees a place for another thread. Called with the lock held."""
        flight.waiters.pop(future, None)
        self._remember(flight.host, slow=True)
        if flight.waiters or flight.abandoned or self._flights.get(flight.host) is not flight:
            return False
        if not flight.began:
            del self._flights[flight.host], (self._slow if flight.slow else self._fast)[flight.host]
        elif self._abandoned < self._threads * STUCK:
            # Nobody waits for this thread any more: another one may take its place.
            flight.abandoned = True
            self._abandoned += 1
            self._running -= 1
            return True
        return False

    def _restaff(self) -> None:
        with self._lock:
            while self._wanted() and self._start():
                pass

    def _staff(self) -> None:
        """See to it that a thread takes what was queued. Called with the lock held."""
        if self._idle:
            self._lock.notify()
        if self._wanted() and not self._start() and not self._running:
            raise Failure(Reason.DNS, "cannot start a thread for the look-up")

    def _wanted(self) -> bool:
        """Whether another thread would have something to do, and a place."""
        ready = len(self._fast) + min(len(self._slow), self._threads // 2 - self._busy_slow)
        return self._idle + self._starting < ready and self._running < self._threads

    def _start(self) -> bool:
        thread = threading.Thread(target=self._work, name="resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._running += 1
        self._starting += 1
        return True

    def _next(self) -> _Flight | None:
        """What this thread may take now. Called with the lock held."""
        if self._fast:
            return self._fast.popitem(last=False)[1]
        if self._slow and self._busy_slow < self._threads // 2:
            self._busy_slow += 1
            return self._slow.popitem(last=False)[1]
        return None

    def _work(self) -> None:
        with self._lock:
            self._starting -= 1
        while True:
            with self._lock:
                flight = self._take()
                if flight is None:
                    self._running -= 1
                    return
                flight.began = perf_counter()
            self._fly(flight)

    def _take(self) -> _Flight | None:
        """The next flight, after a wait when there is none; None: go home. Called with the lock held."""
        if self._running > self._threads:
            return None  # back from a look-up that was given up, and the place is taken
        flight = self._next()
        if flight is None and not self._closed:
            self._idle += 1
            self._lock.wait(IDLE)
            self._idle -= 1
            flight = self._next()
        return flight

    def _fly(self, flight: _Flight) -> None:
        result: Resolved | BaseException
        try:
            addresses = self._lookup(flight.host, flight.port)
            result = Resolved(tuple(addresses), flight.began, perf_counter())
        except BaseException as error:
            result = error
        ended = perf_counter()
        with self._lock:
            self._busy_slow -= flight.slow
            if flight.abandoned:
                self._abandoned -= 1
                self._running += 1
            if self._flights.get(flight.host) is flight:
                del self._flights[flight.host]
            if ended - flight.began > SLOW:
                self._remember(flight.host, slow=True)
            elif flight.waiters:
                self._remember(flight.host, slow=False)
            waiters = list(flight.waiters.items())
        for future, loop in waiters:
            try:
                loop.call_soon_threadsafe(_deliver, future, result)
            except RuntimeError:
                continue  # that loop has ended

    def _remember(self, host: str, *, slow: bool) -> None:
        if not slow:
            self._slow_names.pop(host, None)
        else:
            if len(self._slow_names) >= _MAX_SLOW_NAMES:
                self._slow_names.pop(next(iter(self._slow_names)))
            self._slow_names[host] = None


def _deliver(future: asyncio.Future[Resolved], result: Resolved | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, Resolved):
        if result.addresses:
            future.set_result(result)
        else:
            future.set_exception(Failure(Reason.DNS, "the name has no address"))
        return
    future.set_exception(failure_of(result, Stage.LOOKUP) or result)
