"""One probe of a protocol through the real transport, to a server on loopback."""

import time
from typing import Any

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.transport import Transport
from tests.protocols.scripted import build


async def ask(
    port: int,
    name: str,
    kind: str,
    own: dict[str, Any] | None = None,
    *,
    model: str = "",
    scheme: str = "grpc",
    timeout: float = 5.0,
    **endpoint: Any,
) -> Observation:
    """What one attempt brings back; a raised failure is in the observation, too."""
    protocol = build(name, Kind(kind), own, model=model, scheme=scheme)
    transport = Transport(user_agent="model-exporter/test")
    exchange = transport.exchange(
        Endpoint(**{"scheme": scheme, "host": "127.0.0.1", "port": port, **endpoint}),
        deadline=time.perf_counter() + timeout,
        trace_id="0" * 31 + "1",
        memory={},
    )
    try:
        found: Observation = await getattr(protocol, kind)(exchange)
        return found
    except Failure as failure:
        return Observation(failure=failure)
    finally:
        await exchange.close()
        await transport.close()


#: Everything that a server of the OpenAI API can be asked.
WATCHED = ("health", "ready", "metadata", "infer", "stream", "load", "catalogue", "propose")


def known(memory):
    """The server of the OpenAI API that is remembered, and whether for sure."""
    found = memory.get("openai.server")
    return (found.name, found.sure) if found else None
