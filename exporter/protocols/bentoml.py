"""BentoML services (1.2 and newer): `bentoml serve`, the images of `bentoml containerize`, and BentoCloud.

Source: _bentoml_impl/server/app.py. Its 503 on /readyz means the service's own `__is_ready__` says no. A stream is
labelled `text/event-stream` whatever its author writes, and one that breaks off on the server ends like a whole one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Problem
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation, Proposal
from exporter.protocols import answer, identity
from exporter.protocols.application import Application, Call, CallStream
from exporter.protocols.family import Plain
from exporter.protocols.identity import Facts
from exporter.protocols.reading import handle, parse_object
from exporter.protocols.text import label, quote
from exporter.settings import Settings

#: Hosts of BentoCloud, where asking for readiness wakes a deployment that was scaled to zero.
CLOUD = ".bentoml.ai"

#: Characters of a default that a proposal repeats; the server knows longer ones by itself.
_LONGEST = 200
#: What is sent for a parameter without a default, by its type in the schema.
_PLAIN: Mapping[str, Any] = {"string": "text", "integer": 0, "number": 0.0, "boolean": False}
#: Keys that narrow a type down: a plain value would be a guess.
_NARROW = frozenset(
    {"format", "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
     "multipleOf"}
)  # fmt: skip


class SchemaExpect(Settings):
    """What must hold of the service's description."""

    name: str | None = Field(default=None, min_length=1, description="Name of the service.")
    routes: list[str] = Field(default=[], description="Routes that must be there, such as /predict; others may be.")


class Schema(Facts):
    """What the service is."""

    expect: SchemaExpect = Field(default=SchemaExpect(), description="What must hold of the answer.")


class BentoMl(Application):
    """A BentoML service."""

    name: ClassVar[str] = "bentoml"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: Schema,
        Kind.INFER: Call,
        Kind.STREAM: CallStream,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)

    @classmethod
    def kinds_at(cls, host: str) -> tuple[Kind, ...]:
        """On BentoCloud without ready, which would keep a deployment from ever being scaled to zero."""
        cloud = host.lower().rstrip(".").endswith(CLOUD)
        return tuple(kind for kind in cls.default_kinds if not (cloud and kind is Kind.READY))

    def scope(self) -> Scope:
        """Of the model: the service itself says whether it is ready."""
        return Scope.MODEL

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A canary without its route or its request."""
        found = list(super().problems(kind))
        if kind.canary and self.settings.path is None:
            found.insert(0, (("path",), "missing; needs the route of an API of the service, such as /predict"))
        return found

    async def health(self, exchange: Exchange) -> Observation:
        """The service is alive."""
        await self.get_ok(exchange, "/livez")
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The service, and those it depends on, take requests."""
        response = await self.get(exchange, "/readyz")
        failure = answer.judge(response.status, response.headers, response.body)
        if failure is None:
            return Observation()
        if response.status == 503:
            failure = Failure(Reason.NOT_READY, failure.detail, http_status=503, retry_after=failure.retry_after)
        raise failure

    async def metadata(self, exchange: Exchange) -> Observation:
        """The service's name, and whether its routes are there."""
        schema = await self._schema(exchange)
        expect: SchemaExpect = self.settings.expect
        info = {"server": "bentoml", "model_id": label(schema["name"])}
        there = [str(api.get("route")) for api in schema["routes"]]
        missing = [route for route in expect.routes if route not in there]
        complaints = []
        if expect.name is not None and schema["name"] != expect.name:
            complaints.append(f"the service is {quote(schema['name'], 60)}, expected {expect.name}")
        if missing:
            complaints.append(f"route {missing[0]} is not among {quote(', '.join(there), 100)}")
        return identity.report(self.settings, info, told=schema, complaints=complaints)

    async def propose(self, exchange: Exchange) -> Observation:
        """A call of the only API there is, where its parameters are plain. Which of several is harmless is not told."""
        apis = (await self._schema(exchange))["routes"]
        if len(apis) != 1 or apis[0].get("is_task"):
            return Observation()
        route, output, body = apis[0].get("route"), apis[0].get("output"), _request(apis[0].get("input"))
        if not isinstance(route, str) or body is None:
            return Observation()
        kind = Kind.STREAM if isinstance(output, dict) and output.get("is_stream") else Kind.INFER
        settings = {"interval": "1m", "path": route, "body": body}
        comment = "does it answer? Put a true example in place of these values, and expect what it says"
        return Observation(proposal=Proposal(kind.value, settings, comment))

    def call_path(self) -> str:
        """The route of one API."""
        return self.route(self.settings.path)

    async def _schema(self, exchange: Exchange) -> dict[str, Any]:
        response = await self.get_ok(exchange, "/schema.json")
        return await handle(response.body, _read_schema)


def _read_schema(body: bytes) -> dict[str, Any]:
    schema = parse_object(body)
    routes = schema.get("routes")
    if (
        not isinstance(schema.get("name"), str)
        or not isinstance(routes, list)
        or not all(isinstance(api, dict) for api in routes)
    ):
        raise Failure(Reason.MALFORMED, f"the answer is not a service's schema: {answer.message(body)}")
    return schema


def _request(schema: Any) -> Any:
    """A request for the input of an API: defaults, and plain values for the rest; None where that cannot be."""
    if not isinstance(schema, dict):
        return None
    if schema.get("root_input"):
        return _value(schema)
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return None
    request = {name: value for name, each in properties.items() if (value := _value(each)) is not None}
    return request if all(name in request for name in required) else None


def _value(schema: Any) -> Any:
    """The default, or a plain value, of one parameter; None where it is neither."""
    if not isinstance(schema, dict):
        return None
    if "default" in schema:
        default = schema["default"]
        short = isinstance(default, int | float) or (isinstance(default, str) and len(default) <= _LONGEST)
        return default if short else None
    kind = schema.get("type")
    return _PLAIN.get(kind) if isinstance(kind, str) and not _NARROW & schema.keys() else None
