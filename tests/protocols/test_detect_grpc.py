"""`auto` for urls of gRPC and TCP, against servers on loopback through the real transport."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping

import pytest

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import detect_grpc
from exporter.protocols.grpc_health import CHECK
from exporter.protocols.open_inference_grpc import SERVICE
from exporter.protocols.proto import health_pb2, open_inference_pb2
from exporter.transport import Transport
from tests.protocols.scripted import build
from tests.support.fake import Fake
from tests.support.grpc_fake import Call, GrpcFake

pytestmark = pytest.mark.slow

METADATA = f"{SERVICE}ServerMetadata"
TRITON = open_inference_pb2.ServerMetadataResponse(name="triton", version="2.51").SerializeToString()
SERVING = health_pb2.HealthCheckResponse(status=1).SerializeToString()
NOT_SERVING = health_pb2.HealthCheckResponse(status=2).SerializeToString()

Methods = Mapping[str, Callable[[Call], bytes]]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect_grpc, "PATIENCE", 30.0)  # a machine that stands still is no news of the server


async def detect(port: int, scheme: str = "grpc", host: str = "127.0.0.1") -> Observation:
    transport = Transport(user_agent="test")
    exchange = transport.exchange(
        Endpoint(scheme, host, port), deadline=time.perf_counter() + 60, trace_id="0" * 31 + "1", memory={}
    )
    try:
        return await build("auto", Kind.DETECT, scheme=scheme, port=port).detect(exchange)
    except Failure as failure:
        return Observation(failure=failure)
    finally:
        await exchange.close()
        await transport.close()


@pytest.mark.parametrize(
    ("methods", "protocol", "server", "probes", "asked"),
    [
        ({METADATA: lambda _: TRITON, CHECK: lambda _: SERVING}, "open_inference", "triton",
         ("health", "ready", "metadata"), [METADATA]),
        ({METADATA: lambda _: b""}, "open_inference", "", ("health", "ready", "metadata"), [METADATA]),
        ({CHECK: lambda _: SERVING}, "grpc_health", "", ("health", "ready"), [CHECK]),
        ({CHECK: lambda _: NOT_SERVING}, "grpc_health", "", ("health", "ready"), [CHECK]),
        ({CHECK: lambda call: call.refuse("NOT_FOUND", "unknown service")}, "grpc_health", "", ("health", "ready"),
         [CHECK]),
        ({"/other.Service/Method": lambda _: b""}, "tcp", "", ("health",), []),
    ],
)  # fmt: skip
async def test_a_grpc_server_is_known_by_its_services(
    methods: Methods, protocol: str, server: str, probes: tuple[str, ...], asked: list[str]
) -> None:
    with GrpcFake(methods) as fake:
        found = (await detect(fake.port)).detected
    assert found is not None
    assert (found.protocol, found.server, found.probes) == (protocol, server, probes)
    assert found.why
    assert [call.method for call in fake.calls] == asked
    assert {call.message for call in fake.calls} <= {b""}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("UNAUTHENTICATED", Reason.AUTH),
        ("PERMISSION_DENIED", Reason.AUTH),
        ("UNAVAILABLE", Reason.HTTP_STATUS),
        ("RESOURCE_EXHAUSTED", Reason.OVERLOADED),
        ("INTERNAL", Reason.HTTP_STATUS),
    ],
)
@pytest.mark.parametrize("method", [METADATA, CHECK])
async def test_a_server_that_is_not_well_decides_nothing(method: str, code: str, reason: Reason) -> None:
    with GrpcFake({method: lambda call: call.refuse(code)}) as fake:
        observation = await detect(fake.port)
    assert observation.detected is None
    assert observation.failure is not None
    assert observation.failure.reason is reason


async def test_what_is_no_message_decides_nothing() -> None:
    with GrpcFake({METADATA: lambda _: b"\xff\xff"}) as fake:
        failure = (await detect(fake.port)).failure
    assert failure is not None
    assert failure.reason is Reason.MALFORMED


async def test_who_speaks_no_grpc_is_watched_as_tcp() -> None:
    with Fake(lambda _: (200, "ok")) as fake:
        found = (await detect(fake.port)).detected
    assert found is not None
    assert (found.protocol, found.probes) == ("tcp", ("health",))
    assert "speaks no gRPC" in found.why


async def test_nobody_decides_nothing(free_port: Callable[[], int]) -> None:
    for scheme in ("grpc", "tcp"):
        failure = (await detect(free_port(), scheme)).failure
        assert failure is not None
        assert failure.reason is Reason.CONNECT_REFUSED


async def test_a_url_of_tcp_is_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = (await detect(listener.getsockname()[1], "tcp")).detected
        assert await asyncio.to_thread(received, listener) == b""
    assert found is not None
    assert (found.protocol, found.server, found.probes) == ("tcp", "", ("health",))


def received(listener: socket.socket) -> bytes:
    """What the first who connected sent."""
    listener.settimeout(10)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        return connection.recv(100)


async def test_silence_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect_grpc, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        failure = (await detect(listener.getsockname()[1])).failure
    assert failure is not None
    assert failure.reason is Reason.TIMEOUT
