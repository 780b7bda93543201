"""/api/v1/events: what happens, as server-sent events. Each is written once for all who listen, and not at all when
nobody does.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from exporter.model import plain
from exporter.model.result import Result
from exporter.model.state import StateChange
from exporter.web.answers import problem
from exporter.web.words import stamp

#: Changes of state that are kept for clients that come back.
KEPT = 1000
#: Events that wait for one client; one that falls further behind is let go, and comes back with what it knows.
BACKLOG = 256
#: Clients at once.
CLIENTS = 100
#: Seconds of silence after which a comment is sent, so that proxies keep the connection and we notice who has left.
HEARTBEAT = 15.0
#: Milliseconds after which a client that lost its connection comes back.
RETRY = 2000
KINDS = ("state", "run")


@dataclass(slots=True, eq=False)
class Listener:
    """One client. `targets` is empty for all of them."""

    kinds: frozenset[str]
    targets: frozenset[str]
    request: web.Request
    waiting: deque[bytes] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False

    def wants(self, target: str) -> bool:
        """Whether it wants to hear of a target."""
        return not self.targets or target in self.targets

    def offer(self, event: bytes) -> None:
        """Give it one event; never waits."""
        if len(self.waiting) >= BACKLOG:
            self.end()
        elif not self.over:
            self.waiting.append(event)
            self.news.set()

    def end(self) -> None:
        """Send nothing more."""
        self.over = True
        self.waiting.clear()
        self.news.set()

    @property
    def gone(self) -> bool:
        """Whether the client has closed its connection."""
        transport = self.request.transport
        return transport is None or transport.is_closing()


class Events:
    """Hears what happens, tells those who listen, and answers /api/v1/events.

    `?kind=state` (default) and `?kind=run` say what is told, `?target=NAME` of whom; both may be given several times.
    Changes of state have an id, `START-NUMBER`: who sends the last one back as Last-Event-ID gets what came since, or
    an event `reset` when that is not known any more. Runs have no id: of those a client hears what ends while it
    listens.
    """

    def __init__(self) -> None:
        self._start = secrets.token_hex(4)
        self._number = 0
        self._past: deque[tuple[int, StateChange]] = deque(maxlen=KEPT)
        self._listeners: set[Listener] = set()
        self._by_kind: dict[str, set[Listener]] = {kind: set() for kind in KINDS}

    # --- what happens ---------------------------------------------------------------------------------------------

    def changed(self, change: StateChange) -> None:
        """A target is in another state."""
        self._number += 1
        self._past.append((self._number, change))
        self._tell("state", change.target, lambda: self._state(self._number, change))

    def ran(self, result: Result) -> None:
        """A run ended and was booked."""
        if self._by_kind["run"]:
            self._tell("run", result.job.target.name, lambda: _event("run", run(result)))

    def _tell(self, kind: str, target: str, write: Callable[[], bytes]) -> None:
        event: bytes | None = None
        for listener in self._by_kind[kind]:
            if listener.wants(target):
                event = event or write()
                listener.offer(event)

    def _state(self, number: int, change: StateChange) -> bytes:
        return _event("state", state(change), self._id(number))

    def _id(self, number: int) -> str:
        return f"{self._start}-{number}"

    # --- who listens ----------------------------------------------------------------------------------------------

    async def get(self, request: web.Request) -> web.StreamResponse:
        """The stream; it ends when the client leaves, is too slow, or the exporter stops."""
        kinds, targets = request.query.getall("kind", ["state"]), request.query.getall("target", [])
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            return problem(400, f"kind: there is no {unknown[0][:60]!r}; allowed: {', '.join(KINDS)}")
        if len(self._listeners) >= CLIENTS:
            for listener in [each for each in self._listeners if each.gone]:
                self._leave(listener)
        if len(self._listeners) >= CLIENTS:
            return problem(503, f"{CLIENTS} clients listen already", {hdrs.RETRY_AFTER: "5"})
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        if request.method == hdrs.METH_HEAD:
            return response
        listener = Listener(frozenset(kinds), frozenset(targets), request)
        listener.waiting.append(b"".join(self._missed(request.headers.get("Last-Event-ID", ""), listener)))
        self._join(listener)
        try:
            await response.prepare(request)
            await _serve(listener, response)
        finally:
            self._leave(listener)
        return response

    def close(self) -> None:
        """Let all clients go."""
        for listener in list(self._listeners):
            self._leave(listener)

    def _join(self, listener: Listener) -> None:
        self._listeners.add(listener)
        for kind in listener.kinds:
            self._by_kind[kind].add(listener)

    def _leave(self, listener: Listener) -> None:
        listener.end()
        self._listeners.discard(listener)
        for kind in listener.kinds:
            self._by_kind[kind].discard(listener)

    def _missed(self, known: str, listener: Listener) -> Iterator[bytes]:
        """What a client gets first: when to come back, and what came since the event it knows."""
        here = f"id: {self._id(self._number)}\n"
        yield f"retry: {RETRY}\n\n".encode()
        start, _, text = known.partition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
        oldest = self._past[0][0] if self._past else self._number + 1
        if known and (start != self._start or not oldest - 1 <= number <= self._number):
            yield f"{here}event: reset\ndata: {{}}\n\n".encode()
            return
        if known:
            for past, change in self._past:
                if past > number and "state" in listener.kinds and listener.wants(change.target):
                    yield self._state(past, change)
        yield f"{here}\n".encode()  # an id and no data is no event: the client only remembers where it is


async def _serve(listener: Listener, response: web.StreamResponse) -> None:
    while not listener.over:
        listener.news.clear()
        if listener.waiting:
            events = b"".join(listener.waiting)
            listener.waiting.clear()
            await response.write(events)  # a client that does not read is cut off by its connection
            continue
        try:
            async with asyncio.timeout(HEARTBEAT):
                await listener.news.wait()
        except TimeoutError:
            await response.write(b":\n\n")


def state(change: StateChange) -> dict[str, object]:
    """A change of state as plain values."""
    return {
        "target": change.target,
        "model": change.model,
        **plain.change(change),
        "probe": change.verdict.probe or None,
        "at": stamp(change.at),
    }


def run(result: Result) -> dict[str, object]:
    """A finished run as plain values."""
    stream = result.observation.stream
    return {
        "target": result.job.target.name,
        "probe": result.job.probe,
        "kind": result.job.kind,
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "at": stamp(result.at),
        "duration_seconds": result.measurement.duration,
        "ttft_seconds": dict(stream.ttft) if stream is not None else {},
        "attempts": result.attempts,
        "http_status": result.measurement.http_status,
        "trace_id": result.trace_id,
    }


def _event(kind: str, values: Mapping[str, object], number: str = "") -> bytes:
    # JSON has no line breaks of its own, so one `data` line holds it all.
    return (f"id: {number}\n" if number else "").encode() + f"event: {kind}\ndata: {json.dumps(values)}\n\n".encode()
