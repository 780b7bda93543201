"""What every protocol over HTTP shares: how it is built, and how it asks."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field

from exporter.contracts import Exchange, Problem, Response
from exporter.model.cost import ONE_REQUEST, Cost
from exporter.model.job import Kind, Scope, Within
from exporter.model.load import Load
from exporter.protocols import address, answer
from exporter.protocols.expect import Timely
from exporter.settings import Settings, problem

JSON_HEADERS = (("Content-Type", "application/json"), ("Accept", "application/json"))


#: Schemes of servers that speak HTTP and nothing else.
HTTP = frozenset({"http", "https", "unix"})
#: Schemes of servers that are spoken to over gRPC.
GRPC = frozenset({"grpc", "grpcs"})


class Plain(Settings):
    """A probe, or a protocol, without keys of its own."""


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value) or "#" in value:
        raise problem("path", "found {found}; allowed: a path that begins with /, percent-encoded", found=value)
    return value


#: A percent-encoded path that begins with `/`; it may hold a query.
UrlPath = Annotated[str, AfterValidator(_path)]


class Canary(Settings):
    """Keys of every infer and stream probe."""

    body: Any = Field(
        default=None, description="Request body (JSON), sent as it is in place of the protocol's own keys."
    )
    path: UrlPath | None = Field(default=None, description="Path of the request, where it is not the protocol's own.")

    @property
    def steady(self) -> bool:
        """Whether this question, asked again, has to bring the same answer; not where nothing is known of it."""
        return False

    @property
    def varies(self) -> bool:
        """Whether it is put in other words each time."""
        return False

    def as_written(self) -> Self:
        """The question in the same words each time, unless its settings say that they shall not be."""
        return self


class Family:
    """Base of the protocols: one instance per probe."""

    name: ClassVar[str]
    kinds: ClassVar[Mapping[Kind, type[Settings]]]
    default_kinds: ClassVar[tuple[Kind, ...]]
    options: ClassVar[type[Settings]] = Plain
    schemes: ClassVar[frozenset[str]] = HTTP
    tells_load: ClassVar[bool] = False
    accounts: ClassVar[bool] = False

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
        self.model = model
        self.scheme = scheme
        self.port = port
        self.wake = wake
        self.base = path
        self.query = query
        self.settings: Any = settings
        self.options_given: Any = options

    @classmethod
    def kinds_at(cls, host: str) -> tuple[Kind, ...]:
        """The kinds that run at this host without a `probes` block."""
        return cls.default_kinds

    def scope(self) -> Scope:
        """What a `ready` answer speaks of."""
        return Scope.SERVER

    def imports(self) -> tuple[str, ...]:
        """None."""
        return ()

    def steady(self) -> bool:
        """Whether the canary, asked again, has to bring the same answer."""
        return isinstance(self.settings, Canary) and self.settings.steady

    def within(self) -> Within | None:
        """As `expect` says."""
        expect = getattr(self.settings, "expect", None)
        return expect.within() if isinstance(expect, Timely) else None

    async def load(self, exchange: Exchange) -> Load | None:
        """Not told by this server."""
        return None

    def cost(self) -> Cost:
        """One request, and no tokens: the server counts none."""
        return ONE_REQUEST

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """What is missing or contradictory."""
        return ()

    def route(self, route: str) -> str:
        """The path of an API route on this target."""
        return address.join(self.base, route, self.query)

    async def get(self, exchange: Exchange, route: str) -> Response:
        """GET a route. Any status is returned."""
        return await exchange.request("GET", self.route(route))

    async def get_ok(self, exchange: Exchange, route: str) -> Response:
        """GET a route. Raises `Failure` unless the answer is 2xx."""
        path = self.route(route)
        response = await exchange.request("GET", path)
        answer.require(response, model=self.model, path=path)
        return response

    async def post_ok(self, exchange: Exchange, path: str, payload: Any) -> Response:
        """POST JSON to a path that `route` made. Raises `Failure` unless the answer is 2xx."""
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(payload))
        answer.require(response, model=self.model, path=path)
        return response


def encode(payload: Any) -> bytes:
    """JSON as it goes over the wire."""
    return json.dumps(payload, separators=(",", ":")).encode("ascii")
