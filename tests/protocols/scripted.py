"""A scripted exchange on virtual time: what a server answers is written down, and no clock runs."""

from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

from exporter import protocols
from exporter.contracts import Chunk, Expired, Headers, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Measurement


class Scripted:
    """A `StreamResponse` whose chunks come at stamps of its script: (at, bytes), (at, Failure) or (at, None)."""

    def __init__(self, exchange: "FakeExchange", status: int, headers: Headers, script: Sequence[tuple[float, Any]]):
        self.exchange = exchange
        self.status = status
        self.headers = headers
        self.t0 = exchange.clock
        self.script = list(script)

    async def next(self, until: float) -> Sequence[Chunk] | None:
        limit = min(until, self.exchange.deadline)
        if not self.script or self.script[0][0] > limit:
            self.exchange.clock = max(self.exchange.clock, limit)
            if limit < self.exchange.deadline:
                raise Expired
            raise Failure(Reason.TIMEOUT, "the body did not end in time")
        at, what = self.script.pop(0)
        self.exchange.clock = max(self.exchange.clock, at)
        if isinstance(what, Failure):
            raise what
        return None if what is None else [Chunk(at, what)]

    async def body(self, limit: int = 4096) -> bytes:
        return b"".join(what for _, what in self.script if isinstance(what, bytes))[:limit]


class Beside:
    """Another address of the same server: asked as `METHOD :PORT/path`, or with its whole url."""

    def __init__(self, exchange: "FakeExchange", where: str | int) -> None:
        self.exchange = exchange
        self.place = f":{where}" if isinstance(where, int) else where

    async def request(self, method, path, **more) -> Response:
        return await self.exchange.request(method, f"{self.place}{path}", **more)


class FakeExchange:
    """Answers from a table of `METHOD path`. An answer is (status, body, headers), a Failure, or a function of the
    request's body; a stream is (status, content type, script).
    """

    def __init__(self, answers: dict[str, Any], *, timeout: float = 30.0) -> None:
        self.answers = answers
        self.clock = 100.0
        self.deadline = self.clock + timeout
        self.memory: dict[str, Any] = {}
        self.on_token: Any = None
        self.asked: list[str] = []
        self.bodies: list[bytes | None] = []
        self.headers: list[list[tuple[str, str]]] = []
        self.timeouts: list[float | None] = []

    async def request(self, method, path, *, headers=(), body=None, timeout=None) -> Response:
        found = self._find(method, path, headers, body)
        self.timeouts.append(timeout)
        if isinstance(found, Failure):
            if found.reason is Reason.TIMEOUT:
                self.clock += timeout or self.deadline - self.clock
            raise found
        status, content, *rest = found
        content = content.encode() if isinstance(content, str) else content
        return Response(status, Headers(rest[0] if rest else ()), content, self.clock)

    @asynccontextmanager
    async def stream(self, method, path, *, headers=(), body=None):
        found = self._find(method, path, headers, body)
        if isinstance(found, Failure):
            raise found
        status, kind, script = found
        yield Scripted(self, status, Headers([("Content-Type", kind)]), script)

    def _find(self, method, path, headers, body):
        self.asked.append(f"{method} {path}")
        self.bodies.append(body)
        self.headers.append(list(headers))
        found = self.answers.get(f"{method} {path}", (404, '{"detail":"Not Found"}'))
        return found(body) if callable(found) else found

    def beside(self, where: str | int) -> Beside:
        return Beside(self, where)

    async def connect(self) -> None:
        raise AssertionError("no protocol here connects without asking")

    def now(self) -> float:
        return self.clock

    def measured(self) -> Measurement:
        return Measurement()

    async def close(self) -> None:
        pass


def build(
    name: str, kind: Kind, own: dict[str, Any] | None = None, *, model="", path="", query="", options=None, **more
) -> Any:
    """A protocol as config/build makes it: settings validated from plain values."""
    cls = protocols.load(name)
    settings = cls.kinds[kind].model_validate(own or {})
    return cls(
        model=model,
        path=path,
        query=query,
        settings=settings,
        options=cls.options.model_validate(options or {}),
        **more,
    )
