"""The doors between rooms: what a protocol gets and is, what finds targets, and where records go."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from exporter.model.cost import Cost
from exporter.model.failure import Failure
from exporter.model.frozen import frozen
from exporter.model.job import Job, Kind, Scope, Within
from exporter.model.load import Load
from exporter.model.observation import Detection, Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State
from exporter.model.stream import TokenEvent
from exporter.model.target import Target
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

    @property
    def media_type(self) -> str:
        """What the body is: the content type in lower case without parameters, `""` where none is told."""
        return self.get("content-type").partition(";")[0].strip().lower()


class Body(bytes):
    """A body that is not small. `room`: bytes by which it is shorter than `max_body`, for what is made of it."""

    room = 0


@frozen
class Response:
    """A whole answer. `body` is decoded (Content-Encoding undone) and at most `max_body` long, a `Body` where it is not
    small; `ended` is the stamp of its last byte; `url` is the final address after redirects, without query.
    """

    status: int
    headers: Headers
    body: bytes
    ended: float
    url: str = ""


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


@frozen
class Reply:
    """The answer to a unary gRPC call. `code` is the gRPC status (0 is OK) and `message` what the server said with it;
    `body` is the serialised answer, empty unless the call went well; `ended` is the stamp of its end.
    """

    code: int
    message: str
    body: bytes
    ended: float


class Bound(Protocol):
    """Cancels the task of an attempt at its `deadline` while a request goes by it."""

    deadline: float
    followed: bool  #: a request goes by it

    def off(self) -> None:
        """The request is over."""

    def rang(self) -> bool:
        """Whether the cancellation just met is this one alone; then it is taken back. Ask once."""


class Exchange(Protocol):
    """One attempt's conversation with a target: one absolute deadline from DNS to the parsed body.

    Paths are absolute and go to the target's own origin; the target's URL path is not added (protocols do that).
    Every error is raised as `model.failure.Failure`. Credentials, Host, User-Agent, traceparent and Accept-Encoding
    are the transport's own.
    """

    deadline: float  #: monotonic stamp, seconds
    #: What ends the attempt at that deadline; without one each request has to.
    bound: Bound | None
    memory: MutableMapping[str, Any]  #: what protocols remember of this target between runs; dies with the target
    #: Hears every token event of a stream at once; None when nobody listens. Must not block.
    on_token: Callable[[TokenEvent], None] | None

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

    async def call(
        self,
        method: str,
        message: bytes,
        *,
        metadata: Sequence[tuple[str, str]] = (),
        timeout: float | None = None,
    ) -> Reply:
        """A unary gRPC call to the target's host and port, over TLS where its scheme says so.

        `method` is the full path (`/package.Service/Method`), `message` the serialised request. Any status the server
        itself gave is returned; connecting that fails, a deadline that passes and a peer that speaks no gRPC raise.
        """

    def beside(self, where: str | int) -> "Exchange":
        """A conversation with another address of the same server (`http://host:port`, such as a management port), or
        with another port of the target's own host. Raises `Failure` (connect) for a port where the target is a socket.

        It shares deadline, trace and memory, and what it measures counts here; the target's credentials, headers and
        path are not sent there. It is closed with this one.
        """

    async def connect(self) -> None:
        """Open a connection (TLS included) and close it: the whole question of the `tcp` protocol."""

    def now(self) -> float:
        """The clock of all stamps: monotonic seconds."""

    def measured(self) -> Measurement:
        """What was measured so far, summed over this attempt's requests; also after a failure."""

    def redact(self, text: str, *, asked: bool = False) -> str:
        """`text` without the credentials this exchange sent: a server may echo them anywhere in its answer. `asked`:
        without the texts of the last request either, such as a prompt.
        """

    def told(self, began: float) -> str:
        """What was said on the wire since the stamp `began`, in lines for people: bounded, without credentials, prompts
        and what the model said. For an attempt that failed; also after `close`.
        """

    async def close(self) -> None:
        """Give up whatever is still open. Safe to call twice."""


#: What is wrong with settings: the path of the key, `()` for the block itself, and a message.
Problem = tuple[tuple[str | int, ...], str]


class ModelProtocol(Protocol):
    """A server family and its API: one file in `protocols/`, one class, an async method per probe kind it offers.

    The methods carry the kinds' names (`health`, `ready`, `metadata`, `infer`, `stream`, and for us alone `detect`,
    `catalogue`, `propose`), take an `Exchange` and return an `Observation`. They do not retry, log, loop over targets
    or touch a metric. `infer` hands the whole answer over as the observation's `output`: a client may want it.
    """

    name: ClassVar[str]
    #: Probe settings per kind; a kind that is not listed is not offered.
    kinds: ClassVar[Mapping[Kind, type[Settings]]]
    #: Kinds that run when a target has no `probes` block; never infer or stream (they cost).
    default_kinds: ClassVar[tuple[Kind, ...]]
    #: Keys of a target or module that only this protocol knows (`done`, `management` ...), as one settings model.
    options: ClassVar[type[Settings]]
    #: Schemes of a url this protocol can speak over.
    schemes: ClassVar[frozenset[str]]
    #: Whether `load` has something to tell; it is then called beside each canary.
    tells_load: ClassVar[bool]
    #: Whether that includes what all its requests took (`Load.spent`).
    accounts: ClassVar[bool]

    @classmethod
    def kinds_at(cls, host: str) -> tuple[Kind, ...]:
        """`default_kinds`, less those that would do harm at this host."""

    def __init__(
        self,
        *,
        model: str,
        path: str,
        query: str,
        settings: Settings,
        options: Settings,
        scheme: str = "http",
        port: int = 0,
        wake: bool = False,
    ) -> None:
        """`scheme`, `port`, `path` and `query` are the URL's own; `settings` is an instance of `kinds[kind]`, `options`
        of `options`. Unless `wake`, a canary raises `Asleep` instead of waking a model that is not loaded.
        """

    def imports(self) -> tuple[str, ...]:
        """Modules that take a while to import, and that its questions need: a run's time begins when they are there."""

    async def load(self, exchange: Exchange) -> Load | None:
        """The server's load now; None where its answer does not tell. Raises `Failure`."""

    def cost(self) -> Cost:
        """The most that one attempt at the canary it was built for uses of a budget."""

    def scope(self) -> Scope:
        """What a `ready` answer of this protocol, built this way, speaks of."""

    def steady(self) -> bool:
        """Whether the same canary, asked again, has to bring the same answer."""

    def within(self) -> Within | None:
        """How soon the answer must be there; None where any time will do."""

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """What is still missing or contradictory once target, module and defaults are merged. That a target has a model
        is known then, not which; path and query of its url are not.
        """


class Questions(Protocol):
    """How a run that asks many questions asks them: each behind all probes, and within the target's budget."""

    until: float  #: when the run has to be over, on the clock of `now`

    def now(self) -> float:
        """Monotonic seconds."""

    async def ask(self, job: Job) -> Result | None:
        """Run a job once, within the slots and outside the schedule. It waits while its target is saturated or in
        maintenance. None where a budget has no room for it. Cancelling this cancels the run.
        """


#: Does a run of many questions: those of the job, asked by the second argument. Raises `Failure` and `Asleep` as a
#: protocol does.
AskMany = Callable[[Job, Questions], Awaitable[Observation]]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything a discoverer found: `names` of models, addresses or targets, each once, in an order that does not
    change by itself.

    `over` is how many more there are than it may watch, `missing` how many were expected and are not there (None where
    nothing can be expected). `detection` is what the server turned out to be, where that had to be found out.
    `entries` holds the labels of each of the names, where more than the name is known. `failure` says what could not be
    read or used, where the rest could. `asleep` is how many were left out for having no replica now, None where nobody
    asks for replicas.
    """

    names: tuple[str, ...]
    over: int = 0
    missing: int | None = None
    detection: Detection | None = None
    entries: tuple[Mapping[str, str], ...] = ()
    failure: Failure | None = None
    asleep: int | None = None


class Discoverer(Protocol):
    """Something that tells what there is to watch. One loop asks it again and again."""

    source: str  #: unique: the label `source`
    interval: float  #: seconds between two questions
    place: Hashable  #: where it looks: what was found elsewhere says nothing
    question: Hashable  #: all that decides what it finds: when this is another one, it is asked at once

    async def find(self) -> Found:
        """All there is now. Raises `Failure`; what was found before then stays."""


@runtime_checkable
class Follower(Discoverer, Protocol):
    """A discoverer that is told of changes, and need not wait for its interval."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Run beside `find` until cancelled. `changed` is called when `find` has, or must look for, something else."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Something that happened to a target, for whoever wants to keep it. `at` is Unix time.

    `id` is unique, and stays the same however often the record arrives. `status` is that of a result, `""` for other
    types. `state` is what is believed of the target now. `fields` gives what is particular to the type, as plain JSON
    values that hold no secret; it is called away from the loop. `source` is what the record was made from.
    """

    type: str
    id: str
    at: float
    target: Target
    fields: Callable[[], Mapping[str, Any]]
    status: str = ""
    state: State | None = None
    source: Any = None


class CannotListen(Exception):
    """An address of `--listen` is not to be had. The message names it and says why."""


class Refused(Exception):
    """A receiver will never take this batch: to send it again is of no use. The text holds no secret."""


class Sink(Protocol):
    """Where records go: one kind of receiver. One lane feeds it, with as many writers as its settings say."""

    def encode(self, records: Sequence[Record]) -> Any:
        """What to send for a batch: in a thread, once per batch. Batches come in the order of their records."""

    async def send(self, payload: Any, key: str) -> None:
        """Deliver a batch, all of it or nothing. `key` is the batch's own and the same at each try.

        Raises `Failure` or OSError where a later try may go well, and `Refused` where none will.
        """

    async def close(self) -> None:
        """Let go of what is open."""
