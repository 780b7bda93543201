"""Answers of model servers: every question of every protocol, told anything at all."""

import asyncio
from typing import Any

from exporter import protocols
from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Kind
from exporter.protocols import text as told
from exporter.settings import Settings
from tests.fuzz.wire import cuts
from tests.protocols.scripted import FakeExchange

#: What a kind needs that has no default, by protocol or for all.
_NEEDED: list[dict[str, Any]] = [
    {},
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
    {"input": [[1, 2]]},
    {"ndarray": [[1, 2]]},
    {"instances": [[1, 2]]},
    {"body": {"x": 1}},
    {"path": "/predict"},
    {"body": {"x": 1}, "path": "/predict"},
]


def _made(name: str, kind: Kind) -> Any:
    cls = protocols.load(name)
    for own in _NEEDED:
        try:
            settings: Settings = cls.kinds[kind].model_validate(own)
            options = cls.options.model_validate({})
            # Asleep or not, it is asked: else what most of the bytes would be read as is never said.
            made = cls(model="m", path="", query="", settings=settings, options=options, wake=True)
        except (ValueError, TypeError):
            continue
        if not made.problems(kind):
            return made
    raise AssertionError(f"{name} has a {kind} that nobody here knows how to ask")


ASKED = [
    (name, kind, made)
    for name in protocols.NAMES
    if name not in ("grpc_health", "tcp")
    for kind in protocols.load(name).kinds
    if kind is not Kind.EVALUATE
    for made in [_made(name, kind)]
]

_KINDS = ("text/event-stream", "application/x-ndjson", "application/json", "text/plain", "")


class _Anything(FakeExchange):
    """Answers everything with the same bytes."""

    def __init__(self, status: int, kind: str, data: bytes) -> None:
        super().__init__({})
        self._said = (status, kind, data)

    def _find(self, method: str, path: str, headers: Any, body: bytes | None) -> Any:
        status, kind, data = self._said
        if body is None and method == "GET" and len(self.asked) > 50:
            raise AssertionError("asks without end")
        self.asked.append(f"{method} {path}")
        return (status, data, [("Content-Type", kind)])

    async def stream(self, method: str, path: str, *, headers: Any = (), body: Any = None) -> Any:
        raise NotImplementedError

    async def call(self, *_: Any, **__: Any) -> Any:
        raise Failure(Reason.PROTOCOL, "no gRPC here")


def _streaming(exchange: _Anything, data: bytes) -> None:
    from contextlib import asynccontextmanager

    from exporter.contracts import Headers
    from tests.protocols.scripted import Scripted

    status, kind, _ = exchange._said
    script = [(101.0 + at / 1000, piece) for at, piece in enumerate(cuts(data))]

    @asynccontextmanager
    async def stream(method: str, path: str, *, headers: Any = (), body: Any = None) -> Any:
        yield Scripted(exchange, status, Headers([("Content-Type", kind)]), [*script, (200.0, None)])

    exchange.stream = stream  # type: ignore[method-assign]


def answers(data: bytes) -> None:
    """Whatever a server answers, a protocol makes an observation of it or says in a Failure what is wrong."""
    if len(data) < 3:
        return
    name, kind, made = ASKED[int.from_bytes(data[:2], "big") % len(ASKED)]
    status, data = (200, 200, 200, 200, 401, 404, 500, 503)[data[2] % 8], data[3:]
    exchange = _Anything(status, _KINDS[(status % 2 and 2) or len(data) % len(_KINDS)], data)
    exchange.deadline = exchange.clock + 1000
    _streaming(exchange, data)

    async def ask() -> None:
        try:
            found = await getattr(made, kind.value)(exchange)
        except (Failure, Asleep) as failure:
            detail = failure.detail
            assert len(told.label(detail).encode()) <= 128
            return
        assert found is not None, (name, kind)

    loop = _loop()
    loop.run_until_complete(asyncio.wait_for(ask(), 20))


_loops: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    if not _loops:
        _loops.append(asyncio.new_event_loop())
    return _loops[0]
