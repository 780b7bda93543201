"""TorchServe, by its inference port and its management port. It is no longer maintained, and much in use.

Source: pytorch/serve, docs/inference_api.md and docs/management_api.md. `/ping` says Healthy while the workers of a
model still load, and with none. "has no worker to serve inference request" (503) is its answer for no worker and for a
full queue alike: only the management port tells which. A handler that fails is a 503 too, "Prediction failed".
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.observation import Observation
from exporter.protocols import answer, identity
from exporter.protocols import torchserve_management as management
from exporter.protocols.address import segment
from exporter.protocols.family import Plain
from exporter.protocols.identity import VersionsMetadata
from exporter.protocols.payload import Opaque, Payload, PayloadStream
from exporter.protocols.reading import object_of
from exporter.protocols.tensors import Version
from exporter.protocols.text import label, quote
from exporter.protocols.torchserve_answer import Standing, error_type, refuse
from exporter.protocols.torchserve_management import Management, ManagementPort
from exporter.settings import Settings

_NO_WORKER = "has no worker to serve"

#: Where a target's memory has the stamps of canaries that were given up, how many of them, and for how many seconds
#: they count.
_GIVEN_UP = "torchserve.given up"
_MOST_GIVEN_UP, _KEPT = 100, 600.0


class TorchServeOptions(Settings):
    """Keys of a target that only TorchServe has."""

    management: Management | None = Field(
        default=None,
        description="The management port: a url, {url, token}, or false where it may not be asked. Default: port 8081 "
        "of the url's host, where it lets us.",
    )


class TorchServeMetadata(Version, VersionsMetadata):
    """What the server and the model are."""


class TorchServeInfer(Version, Payload):
    """One prediction."""


class TorchServeStream(Version, PayloadStream):
    """One prediction whose answer is read as it comes."""


class TorchServe(Opaque):
    """TorchServe."""

    name: ClassVar[str] = "torchserve"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Version,
        Kind.METADATA: TorchServeMetadata,
        Kind.INFER: TorchServeInfer,
        Kind.STREAM: TorchServeStream,
        Kind.CATALOGUE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    options: ClassVar[type[Settings]] = TorchServeOptions
    tells_load: ClassVar[bool] = True

    def scope(self) -> Scope:
        """Of the model, where one is named and there may be a port that tells."""
        port = self._port
        return Scope.MODEL if self.model and (port is None or port.url) else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A canary without its model or its request; a listing without the port that has it."""
        found = list(super().problems(kind))
        if kind.canary and not self.model and self.settings.path is None:
            found.append(((), "needs the model's name: set `model` on the target"))
        if kind is Kind.CATALOGUE and self._port is not None and not self._port.url:
            found.append(((), "needs the management port, which alone lists models; found management: false"))
        return found

    async def health(self, exchange: Exchange) -> Observation:
        """The server says it is healthy: no model lacks workers it once had."""
        response = await self.get(exchange, "/ping")
        refuse(response)
        status = (await object_of(response.body)).get("status")
        if not isinstance(status, str):
            raise Failure(Reason.MALFORMED, f"the answer has no status: {answer.message(response.body)}")
        if status != "Healthy":
            raise Failure(Reason.ERROR_EVENT, f"the server says: {quote(status, 60)}", http_status=response.status)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """A worker of the model is ready; where the management port is not to be asked, what health says."""
        stands = await self._standing(exchange)
        if stands is None:
            return await self.health(exchange)
        if not stands.ready:
            raise Failure(Reason.NOT_READY, _workers(stands))
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """The server's version, and the version and runtime of the model."""
        info = {"server": "torchserve"}
        response = await exchange.request("OPTIONS", self.route("/"))
        refuse(response)
        described = (await object_of(response.body)).get("info")
        version = described.get("version") if isinstance(described, dict) else None
        if isinstance(version, str) and version:
            info["server_version"] = label(version)
        try:
            stands = await self._standing(exchange)
        except Failure as failure:
            return Observation(failure=failure, info=info)
        if stands is not None:
            told = {"model_version": stands.version, "platform": stands.runtime}
            info |= {key: value for key, value in told.items() if value}
        return identity.report(self.settings, info, told=None if stands is None else stands.entry)

    async def infer(self, exchange: Exchange) -> Observation:
        """The model answers, and says what is expected."""
        return await self._explained(exchange, super().infer(exchange))

    async def stream(self, exchange: Exchange) -> Observation:
        """The answer runs to its clean end and brings what is expected."""
        return await self._explained(exchange, super().stream(exchange))

    async def catalogue(self, exchange: Exchange) -> Observation:
        """Every model that is registered."""
        return Observation(models=await management.models(exchange, self._port))

    async def load(self, exchange: Exchange) -> Load | None:
        """How many requests of others wait, and how many can run at once. How many do run is not told."""
        stands = await self._standing(exchange)
        if stands is None:
            return None
        waiting = stands.waiting
        if waiting is not None:
            waiting = max(0, waiting - _given_up(exchange))
        return Load(waiting=waiting, capacity=stands.ready * stands.batch or None)

    def call_path(self) -> str:
        """The model's own route."""
        version = self.settings.version
        tail = f"/{segment(version)}" if version else ""
        return self.route(self.settings.path or f"/predictions/{segment(self.model)}{tail}")

    def judge(self, status: int, headers: Headers, body: bytes, path: str) -> Failure | None:
        """503 in TorchServe's own words is no overload by itself, whatever they are."""
        failure = super().judge(status, headers, body, path)
        kind = error_type(body)
        if failure is None or not kind:
            return failure
        if kind == "InvalidKeyException":
            return answer.because(failure, Reason.AUTH)
        return answer.because(failure, Reason.HTTP_STATUS) if status == 503 else failure

    @property
    def _port(self) -> ManagementPort | None:
        port: ManagementPort | None = self.options_given.management
        return port

    async def _standing(self, exchange: Exchange) -> Standing | None:
        if not self.model:
            return None
        version = getattr(self.settings, "version", None)
        return await management.standing(exchange, self._port, self.model, version)

    async def _explained(self, exchange: Exchange, asked: Awaitable[Observation]) -> Observation:
        """What a canary brought. Of a refusal, the management port may know what it means."""
        try:
            found = await asked
        except Failure as failure:
            _note(exchange, failure)
            raise await self._meant(exchange, failure) from None
        _note(exchange, found.failure)
        return found

    async def _meant(self, exchange: Exchange, failure: Failure) -> Failure:
        if failure.http_status != 503 or _NO_WORKER not in failure.detail:
            return failure
        try:
            stands = await self._standing(exchange)
        except Failure:
            return failure
        if stands is None:
            return failure
        if not stands.ready:
            return answer.because(failure, Reason.NOT_READY, _workers(stands))
        if stands.free == 0:
            return answer.because(failure, Reason.OVERLOADED, f"its queue is full, {stands.waiting} requests wait")
        return failure


def _note(exchange: Exchange, failure: Failure | None) -> None:
    """Remember a canary that was given up: TorchServe keeps it in its queue. One that passed was behind all of them."""
    given_up = exchange.memory.setdefault(_GIVEN_UP, [])
    if failure is None:
        given_up.clear()
    elif failure.row.evidence is Evidence.SLOW:
        given_up.append(exchange.now())
        del given_up[:-_MOST_GIVEN_UP]


def _given_up(exchange: Exchange) -> int:
    """How many of our own canaries may still lie in the queue: without them, a worker that hangs has no queue."""
    return sum(exchange.now() - at < _KEPT for at in exchange.memory.get(_GIVEN_UP, ()))


def _workers(stands: Standing) -> str:
    states = sorted(set(stands.workers))
    return f"no worker is READY, only {quote(', '.join(states), 100)}" if states else "the model has no worker"
