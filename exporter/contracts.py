"""The doors between rooms: what a protocol gets, and what a protocol is."""

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from exporter.model.job import Kind, Scope
from exporter.model.observation import Measurement
from exporter.settings import Settings


class Chunk(NamedTuple):
    """Body bytes and the monotonic stamp (seconds) of the read that brought them."""

    at: float
    data: bytes


class Headers:
    """Response headers: names in any case, repeated ones kept in order."""

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[tuple[str, str]] = ()) -> None:
        self._items = tuple((name.lower(), value) for name, value in items)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header."""
        name = name.lower()
        return next((value for key, value in self._items if key == name), default)

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        name = name.lower()
        return [value for key, value in self._items if key == name]

    def items(self) -> tuple[tuple[str, str], ...]:
        """All headers in order, names in lower case."""
        return self._items


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. `body` is decoded (Content-Encoding undone) and at most `max_body` long; `ended` is the stamp
    of its last byte; `url` is the final address after redirects, without query.
    """

    status: int
    headers: Headers
    body: bytes
    ended: float
    url: str = ""

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters."""
        return self.headers.get("content-type").partition(";")[0].strip().lower()


class Expired(Exception):
    """`StreamResponse.next` waited until the moment it was given and no byte came."""


class StreamResponse(Protocol):
    """An answer whose body is read as it comes."""

    status: int
    headers: Headers
    t0: float  #: stamp of the moment before the first byte of the request was written on the ready connection

    async def next(self, until: float) -> Sequence[Chunk] | None:
        """The chunks that arrived since the last call, at least one, or None at the clean end of the message.

        `until` is a monotonic stamp; the attempt's deadline bounds it. Raises `Expired` when it passes with nothing
        read, and `Failure` when the connection is lost, the framing is cut or the body passes its bound.
        """

    async def body(self, limit: int = 4096) -> bytes:
        """The rest of the body, at most `limit` bytes (more is left unread), for an answer that is not a stream."""


class Exchange(Protocol):
    """One attempt's conversation with a target: one absolute deadline from DNS to the parsed body.

    Paths are absolute and go to the target's own origin; the target's URL path is not added (protocols do that).
    Every error is raised as `model.failure.Failure`. Credentials, Host, User-Agent, traceparent and Accept-Encoding
    are the transport's own.
    """

    deadline: float  #: monotonic stamp, seconds
    memory: MutableMapping[str, Any]  #: what protocols remember of this target between runs; dies with the target

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Response:
        """Send a request and read the whole answer. Any status is returned, 3xx included unless redirects are followed.

        `timeout` (seconds) shortens this one request; the attempt's deadline still holds.
        """

    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> AbstractAsyncContextManager[StreamResponse]:
        """Send a request and hand the answer over once its head is there. Leaving the block aborts the connection."""

    async def connect(self) -> None:
        """Open a connection (TLS included) and close it: the whole question of the `tcp` protocol."""

    def now(self) -> float:
        """The clock of all stamps: monotonic seconds."""

    def measured(self) -> Measurement:
        """What was measured so far, summed over this attempt's requests; also after a failure."""

    def redact(self, text: str) -> str:
        """`text` without the credentials this exchange sent: a server may echo them anywhere in its answer."""

    async def close(self) -> None:
        """Give up whatever is still open. Safe to call twice."""


class ModelProtocol(Protocol):
    """A server family and its API: one file in `protocols/`, one class, an async method per probe kind it offers.

    The methods carry the kinds' names (`health`, `ready`, `metadata`, `infer`, `stream`, `detect`), take an
    `Exchange` and return an `Observation`. They do not retry, log, loop over targets or touch a metric.
    """

    name: ClassVar[str]
    #: Probe settings per kind; a kind that is not listed is not offered.
    kinds: ClassVar[Mapping[Kind, type[Settings]]]
    #: Kinds that run when a target has no `probes` block; never infer or stream (they cost).
    default_kinds: ClassVar[tuple[Kind, ...]]
    #: Keys of a target or module that only this protocol knows (`done`, `management` ...), as one settings model.
    options: ClassVar[type[Settings]]

    def __init__(self, *, model: str, path: str, query: str, settings: Settings, options: Settings) -> None:
        """`path` and `query` are the URL's own; `settings` is an instance of `kinds[kind]`, `options` of `options`."""

    def scope(self) -> Scope:
        """What a `ready` answer of this protocol, built this way, speaks of."""

    def problems(self, kind: Kind) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """What is still missing or contradictory once target, module and defaults are merged: (field path, message)."""
