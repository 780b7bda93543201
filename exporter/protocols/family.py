"""What every protocol over HTTP shares: how it is built, and how it asks."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from exporter.contracts import Exchange, Response
from exporter.model.job import Kind, Scope
from exporter.protocols import address, answer
from exporter.settings import Settings, problem

JSON_HEADERS = (("Content-Type", "application/json"), ("Accept", "application/json"))


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


class Family:
    """Base of the protocols: one instance per probe."""

    name: ClassVar[str]
    kinds: ClassVar[Mapping[Kind, type[Settings]]]
    default_kinds: ClassVar[tuple[Kind, ...]]
    options: ClassVar[type[Settings]] = Plain

    def __init__(self, *, model: str, path: str, query: str, settings: Settings, options: Settings) -> None:
        self.model = model
        self.base = path
        self.query = query
        self.settings: Any = settings
        self.options_given: Any = options

    def scope(self) -> Scope:
        """What a `ready` answer speaks of."""
        return Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """What is missing or contradictory: (field path, message)."""
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
