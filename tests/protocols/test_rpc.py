"""Statuses of gRPC: what each means."""

import sys

import grpc
import pytest

from exporter.contracts import Reply
from exporter.model.failure import Evidence, Failure, Reason
from exporter.protocols import rpc
from exporter.transport import thread

R, E = Reason, Evidence


def judged(code, text="", model=""):
    return rpc.judge(Reply(code, text, b"", 0.0), model=model)


def test_the_table_has_every_status():
    theirs = {code.value[0]: code.name for code in grpc.StatusCode}
    del theirs[0]
    assert {code: status.name for code, status in rpc.STATUSES.items()} == theirs


def test_ok_is_no_failure():
    assert judged(0) is None
    rpc.require(Reply(0, "", b"", 0.0))


@pytest.mark.parametrize(
    ("status", "text", "model", "reason", "evidence"),
    [
        ("CANCELLED", "", "", R.HTTP_STATUS, E.BROKEN),
        ("UNKNOWN", "boom", "", R.HTTP_STATUS, E.BROKEN),
        ("UNKNOWN", "Model m with version not found", "m", R.MODEL_NOT_FOUND, E.REFUSED),
        ("UNKNOWN", "file not found", "", R.HTTP_STATUS, E.BROKEN),
        ("INVALID_ARGUMENT", "unexpected shape", "m", R.HTTP_STATUS, E.REFUSED),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "m", R.TIMEOUT, E.SLOW),
        ("NOT_FOUND", "no", "", R.HTTP_STATUS, E.REFUSED),
        ("NOT_FOUND", "no", "m", R.MODEL_NOT_FOUND, E.REFUSED),
        ("PERMISSION_DENIED", "", "m", R.AUTH, E.REFUSED),
        ("UNAUTHENTICATED", "", "", R.AUTH, E.REFUSED),
        ("RESOURCE_EXHAUSTED", "queue is full", "m", R.OVERLOADED, E.BUSY),
        ("RESOURCE_EXHAUSTED", "", "", R.OVERLOADED, E.BUSY),
        ("RESOURCE_EXHAUSTED", "rate limit of 10/s", "", R.RATE_LIMITED, E.BUSY),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", "", R.HTTP_STATUS, E.REFUSED),
        ("FAILED_PRECONDITION", "", "", R.HTTP_STATUS, E.REFUSED),
        ("UNIMPLEMENTED", "Method not found!", "m", R.HTTP_STATUS, E.REFUSED),
        ("INTERNAL", "", "m", R.HTTP_STATUS, E.BROKEN),
        ("UNAVAILABLE", "", "", R.HTTP_STATUS, E.BROKEN),
        ("UNAVAILABLE", "model is loading", "m", R.NOT_READY, E.LOADING),
        ("UNAVAILABLE", "Exceeds maximum queue size", "m", R.OVERLOADED, E.BUSY),
        ("DATA_LOSS", "", "", R.HTTP_STATUS, E.BROKEN),
    ],
)
def test_what_a_status_means(status, text, model, reason, evidence):
    failure = judged(getattr(grpc.StatusCode, status).value[0], text, model)
    assert (failure.reason, failure.row.evidence) == (reason, evidence)
    assert failure.detail.startswith(status)
    assert text in failure.detail
    with pytest.raises(Failure):
        rpc.require(Reply(getattr(grpc.StatusCode, status).value[0], text, b"", 0.0), model=model)


def test_no_status_of_a_server_is_malformed_or_dead():
    for code in (*rpc.STATUSES, 17, 99):
        for model in ("", "m"):
            assert judged(code, "", model).row.evidence in (E.BROKEN, E.REFUSED, E.BUSY, E.SLOW, E.LOADING)


@pytest.mark.parametrize(
    ("status", "reason"), [(401, R.AUTH), (404, R.HTTP_STATUS), (429, R.RATE_LIMITED), (302, R.REDIRECT)]
)
def test_a_gateway_that_answers_with_http(status, reason):
    assert judged(2, f"Received http2 header with status: {status}").reason is reason


def test_what_a_server_says_is_cut_and_cleaned():
    failure = judged(13, "bad\n" * 1000 + "Bearer abcdefghijk")
    assert len(failure.detail) < 250
    assert "\n" not in failure.detail
    assert "abcdefghijk" not in judged(16, "Bearer abcdefghijk is wrong").detail


async def test_messages_of_a_service():
    health = await rpc.messages("health")
    assert health is await rpc.messages("health")
    assert rpc.read(health.HealthCheckResponse, b"\x08\x01").status == 1
    with pytest.raises(Failure, match="not a HealthCheckResponse") as caught:
        rpc.read(health.HealthCheckResponse, b"\xff")
    assert caught.value.reason is Reason.MALFORMED


async def test_without_the_extra(monkeypatch):
    monkeypatch.setattr(thread, "_imported", {})
    monkeypatch.delitem(sys.modules, "exporter.protocols.proto.health_pb2", raising=False)
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(Failure) as caught:
        await rpc.messages("health")
    assert caught.value.reason is Reason.INTERNAL
    assert "pip install 'model-exporter[grpc]'" in caught.value.detail
