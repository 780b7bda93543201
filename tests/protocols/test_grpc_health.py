"""The gRPC health service, against a real gRPC server."""

import grpc
import pytest

from exporter.model.failure import Evidence, Reason
from exporter.model.job import Kind, Scope
from exporter.protocols.grpc_health import CHECK
from exporter.protocols.proto import health_pb2 as pb
from tests.hostile import certificates
from tests.protocols.on_the_wire import ask
from tests.protocols.scripted import build
from tests.support.grpc_fake import GrpcFake


def check(**states):
    """Answers by name (`server` for the empty one); a text is a status of gRPC."""

    def answer(call):
        name = pb.HealthCheckRequest.FromString(call.message).service
        state = states.get(name or "server", "NOT_FOUND")
        if isinstance(state, str):
            return call.refuse(state, f"about {name}")
        return pb.HealthCheckResponse(status=state).SerializeToString()

    return {CHECK: answer}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (1, None), (0, Reason.NOT_READY), (2, Reason.NOT_READY), (9, Reason.NOT_READY), ("UNKNOWN", Reason.HTTP_STATUS),
        ("NOT_FOUND", Reason.HTTP_STATUS), ("UNAVAILABLE", Reason.HTTP_STATUS), ("PERMISSION_DENIED", Reason.AUTH),
    ],
)  # fmt: skip
async def test_health_asks_for_the_server(state, reason):
    with GrpcFake(check(server=state, m=1)) as fake:
        found = await ask(fake.port, "grpc_health", "health", model="m")
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize(
    ("state", "reason"),
    [(1, None), (2, Reason.NOT_READY), (3, Reason.MODEL_NOT_FOUND), ("NOT_FOUND", Reason.MODEL_NOT_FOUND)],
)
async def test_ready_asks_for_the_model(state, reason):
    with GrpcFake(check(m=state)) as fake:
        found = await ask(fake.port, "grpc_health", "ready", model="m")
    assert (found.failure and found.failure.reason) is reason


async def test_ready_without_a_model_asks_for_the_server():
    with GrpcFake(check(server=1)) as fake:
        assert (await ask(fake.port, "grpc_health", "ready")).failure is None


async def test_a_service_of_another_name():
    with GrpcFake(check(**{"my.Service": 1, "server": 2})) as fake:
        for kind in ("health", "ready"):
            assert (await ask(fake.port, "grpc_health", kind, {"service": "my.Service"}, model="m")).failure is None
        found = await ask(fake.port, "grpc_health", "ready", {"service": ""}, model="m")
    assert found.failure.detail == "the server is NOT_SERVING"


def test_scope():
    assert build("grpc_health", Kind.READY, model="m").scope() is Scope.MODEL
    assert build("grpc_health", Kind.READY).scope() is Scope.SERVER
    assert build("grpc_health", Kind.READY, {"service": ""}, model="m").scope() is Scope.SERVER


async def test_a_server_without_the_service_is_told_as_such():
    with GrpcFake({}) as fake:
        found = await ask(fake.port, "grpc_health", "health")
    assert found.failure.detail == "UNIMPLEMENTED: Method not found! (the server has no health service)"
    assert found.failure.row.evidence is Evidence.REFUSED


async def test_what_is_no_answer():
    with GrpcFake({CHECK: lambda call: b"\xff"}) as fake:
        assert (await ask(fake.port, "grpc_health", "health")).failure.reason is Reason.MALFORMED


@pytest.mark.parametrize("scheme", ["http", "grpc", "https", "grpcs"])
async def test_every_scheme(scheme, tmp_path):
    certificates.write(tmp_path)
    key, _, rest = (tmp_path / "good.pem").read_bytes().partition(b"-----END PRIVATE KEY-----\n")
    pair = (key + b"-----END PRIVATE KEY-----\n", rest)
    credentials = grpc.ssl_server_credentials([pair]) if scheme in ("https", "grpcs") else None
    from exporter.model.endpoint import Tls

    with GrpcFake(check(server=1), credentials=credentials) as fake:
        tls = Tls(ca_file=str(tmp_path / "ca.crt"))
        assert (await ask(fake.port, "grpc_health", "health", scheme=scheme, tls=tls)).failure is None
