"""The gRPC health service, grpc.health.v1.Health, that any gRPC server may have.

Source: grpc/grpc, doc/health-checking.md. The empty name asks for the server as a whole. A server that does not know a
name answers NOT_FOUND; one without the service UNIMPLEMENTED, which says nothing about its health. Of model servers
only Triton was seen to have it, and it answers any name with the state of the whole server.
"""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from exporter.contracts import Exchange
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation
from exporter.protocols import answer, rpc
from exporter.protocols.family import GRPC, Family
from exporter.settings import Settings

CHECK = "/grpc.health.v1.Health/Check"


class Service(Settings):
    """Which service a probe asks about."""

    service: str | None = Field(
        default=None, description="Name of the service. Default: the server as a whole; for ready the target's model."
    )


class GrpcHealth(Family):
    """The gRPC health service."""

    name: ClassVar[str] = "grpc_health"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {Kind.HEALTH: Service, Kind.READY: Service}
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY)
    schemes: ClassVar[frozenset[str]] = GRPC | {"http", "https"}

    def scope(self) -> Scope:
        """Of the model, where one is asked about."""
        return Scope.MODEL if self._service(self.model) else Scope.SERVER

    def imports(self) -> tuple[str, ...]:
        """All it does is done by grpcio."""
        return rpc.imports("health")

    async def health(self, exchange: Exchange) -> Observation:
        """The server, or the service that is named, is serving."""
        await self._check(exchange, self._service(""))
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model is being served, or the server where no model is named."""
        await self._check(exchange, self._service(self.model))
        return Observation()

    def _service(self, otherwise: str) -> str:
        given: str | None = self.settings.service
        return otherwise if given is None else given

    async def _check(self, exchange: Exchange, service: str) -> None:
        messages = await rpc.messages("health")
        request = messages.HealthCheckRequest(service=service)
        reply = await exchange.call(CHECK, request.SerializeToString())
        failure = rpc.judge(reply, model=service)
        if failure is not None and reply.code == rpc.UNIMPLEMENTED:
            raise answer.because(failure, failure.reason, "the server has no health service")
        if failure is not None:
            raise failure
        status = rpc.read(messages.HealthCheckResponse, reply.body).status
        statuses = messages.HealthCheckResponse.ServingStatus
        if status == statuses.Value("SERVICE_UNKNOWN") and service:
            raise Failure(Reason.MODEL_NOT_FOUND, f"{service} is SERVICE_UNKNOWN")
        if status != statuses.Value("SERVING"):
            name = statuses.Name(status) if status in statuses.values() else f"status {status}"
            raise Failure(Reason.NOT_READY, f"{service or 'the server'} is {name}")
