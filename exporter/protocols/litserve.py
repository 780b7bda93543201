"""LitServe: servers that Lightning's `litserve` starts, with APIs of their authors' own.

Source: litserve/server.py (0.2). Health covers what other servers call readiness: the workers are set up, and the
application's own `health()` agrees. A key, where one is set, is asked for at every route, health included. A server
with the OpenAI spec is watched with protocol openai.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from exporter.contracts import Exchange
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import answer, identity, litserve_info
from exporter.protocols.application import Application, Call, CallStream
from exporter.protocols.family import Plain
from exporter.protocols.identity import ModelMetadata
from exporter.protocols.reading import object_of
from exporter.settings import Settings

#: Where an API listens unless its author chose another path.
PREDICT = "/predict"


class LitServe(Application):
    """LitServe with an API of its author's own."""

    name: ClassVar[str] = "litserve"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.METADATA: ModelMetadata,
        Kind.INFER: Call,
        Kind.STREAM: CallStream,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.METADATA)

    def __init__(self, *, path: str, **given: Any) -> None:
        # People paste the address they send requests to.
        super().__init__(path=path.removesuffix(PREDICT), **given)

    async def health(self, exchange: Exchange) -> Observation:
        """Every worker is set up, and the application says it is well."""
        response = await self.get_ok(exchange, "/health")
        if response.body.strip() != b"ok":
            said = answer.message(response.body)
            raise Failure(Reason.MALFORMED, f"the answer is not ok, but {said}", http_status=response.status)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the author says of the model, where anything."""
        response = await self.get_ok(exchange, "/info")
        if not litserve_info.routes(response.body):
            said = answer.message(response.body)
            raise Failure(Reason.MALFORMED, f"the answer is not LitServe's: {said}", http_status=response.status)
        return identity.report(
            self.settings, litserve_info.describe(response.body), told=await object_of(response.body)
        )

    def call_path(self) -> str:
        """The API's path."""
        return self.route(self.settings.path or PREDICT)
