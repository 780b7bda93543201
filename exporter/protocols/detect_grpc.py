"""Protocol `auto` for urls with the scheme grpc, grpcs or tcp: two calls at most; none makes a server infer."""

from exporter.contracts import Exchange, Reply
from exporter.model.failure import Failure, Reason
from exporter.protocols import rpc
from exporter.protocols.evidence import Clue
from exporter.protocols.grpc_health import CHECK
from exporter.protocols.open_inference_grpc import SERVICE
from exporter.protocols.reading import handle
from exporter.protocols.text import label

#: Seconds one call may take.
PATIENCE = 2.0


async def find(exchange: Exchange, scheme: str) -> tuple[Clue, str]:
    """What answers, and by which sign. Raises `Failure` when that cannot be decided now."""
    if scheme == "tcp":
        await exchange.connect()
        return Clue(protocol="tcp"), "the url says no more than tcp, and it can be connected to"
    try:
        reply = await exchange.call(f"{SERVICE}ServerMetadata", b"", timeout=PATIENCE)
        if reply.code != rpc.UNIMPLEMENTED:
            return await _open_inference(reply)
        reply = await exchange.call(CHECK, b"", timeout=PATIENCE)
    except Failure as failure:
        if failure.reason is not Reason.PROTOCOL:
            raise
        return Clue(protocol="tcp"), f"it can be connected to and speaks no gRPC ({failure.detail})"
    if reply.code == rpc.UNIMPLEMENTED:
        return Clue(protocol="tcp"), "it speaks gRPC and has neither the Open Inference Protocol nor a health service"
    if reply.code != rpc.NOT_FOUND:  # then the service is there, and knows names of its own
        rpc.require(reply)
    return Clue(protocol="grpc_health"), "grpc.health.v1.Health answers, the Open Inference Protocol does not"


async def _open_inference(reply: Reply) -> tuple[Clue, str]:
    rpc.require(reply)
    messages = await rpc.messages("open_inference")
    server = await handle(reply.body, lambda body: rpc.read(messages.ServerMetadataResponse, body))
    return Clue(label(server.name), "open_inference"), "ServerMetadata of the Open Inference Protocol answers"
