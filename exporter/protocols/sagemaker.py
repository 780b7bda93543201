"""The contract of SageMaker's inference containers, by whomever they are made.

Source: Amazon SageMaker developer guide, "Use your own inference code with hosting services". A container has `/ping`
and `/invocations` and nothing else; it may stream its answer in any form. Hosted endpoints have the same `/invocations`
below `/endpoints/NAME`; the binary event stream of `/invocations-response-stream` is not read.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from exporter.contracts import Exchange
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols.family import Plain
from exporter.protocols.payload import Opaque, Payload, PayloadStream
from exporter.settings import Settings

INVOCATIONS = "/invocations"


class SageMaker(Opaque):
    """A SageMaker inference container."""

    name: ClassVar[str] = "sagemaker"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.INFER: Payload,
        Kind.STREAM: PayloadStream,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH,)

    @classmethod
    def kinds_at(cls, host: str) -> tuple[Kind, ...]:
        """None on SageMaker itself: a hosted endpoint takes invocations only."""
        return () if host.lower().startswith("runtime.sagemaker") else cls.default_kinds

    def __init__(self, *, path: str, **given: Any) -> None:
        # People paste the address they send requests to.
        super().__init__(path=path.removesuffix(INVOCATIONS), **given)

    async def health(self, exchange: Exchange) -> Observation:
        """The container takes requests; until then it answers otherwise, or not at all. The body is not looked at."""
        await self.get_ok(exchange, "/ping")
        return Observation()

    def call_path(self) -> str:
        """The one route there is."""
        return self.route(self.settings.path or INVOCATIONS)
