"""A port that can be connected to, whatever it speaks: the least that can be said of a server.

With TLS (https, grpcs, or tcp and a `tls` block) the handshake must succeed too. Nothing is sent over the connection.
"""

from collections.abc import Mapping
from typing import ClassVar

from exporter.contracts import Exchange
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols.family import GRPC, Family, Plain
from exporter.settings import Settings


class Tcp(Family):
    """Connects, and hangs up."""

    name: ClassVar[str] = "tcp"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {Kind.HEALTH: Plain}
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH,)
    schemes: ClassVar[frozenset[str]] = GRPC | {"tcp", "http", "https"}

    async def health(self, exchange: Exchange) -> Observation:
        """The connection opens."""
        await exchange.connect()
        return Observation()
