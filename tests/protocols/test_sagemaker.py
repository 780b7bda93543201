import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.stream import Outcome
from exporter.protocols.sagemaker import SageMaker as Protocol
from tests.fakes.sagemaker import SageMaker
from tests.protocols.scripted import FakeExchange, build

ASK = {"body": {"row": [1, 2]}, "expect": {"json": {"path": "predictions", "equals": [3.05], "tolerance": 0.1}}}


@pytest.fixture
async def server():
    async with SageMaker() as server:
        yield server


async def test_all_is_well(server, reach):
    assert (await reach(server, "sagemaker", "health")).failure is None
    assert (await reach(server, "sagemaker", "infer", ASK)).failure is None
    own = {"body": {"stream": True}, "expect": {"text": "then"}}
    found = await reach(server, "sagemaker", "stream", own)
    assert found.failure is None
    assert (found.stream.outcome, found.stream.token_events) == (Outcome.COMPLETE, 2)


async def test_text_is_sent_as_it_is_and_labelled_as_told(server, reach):
    own = {"body": "1,2,3", "content_type": "text/csv", "expect": {"equals": "6"}}
    assert (await reach(server, "sagemaker", "infer", own)).failure is None
    assert server.requests[0].body == b"1,2,3"
    found = await reach(server, "sagemaker", "infer", {"body": "1,2,3"})
    assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 415)


async def test_it_is_not_well(server, reach):
    server.ready = False
    found = await reach(server, "sagemaker", "health")
    assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 503)
    server.throttled = True
    for kind in ("infer", "stream"):
        assert (await reach(server, "sagemaker", kind, ASK)).failure.reason is Reason.RATE_LIMITED


async def test_the_pasted_address_of_requests_is_understood(ask):
    for path in ("", "/invocations"):
        fake = FakeExchange({"GET /ping": (200, "anything"), "POST /invocations": (200, "{}")})
        assert (await ask("sagemaker", "health", fake, path=path)).failure is None
        assert (await ask("sagemaker", "infer", fake, {"body": {}}, path=path)).failure is None


async def test_a_hosted_endpoint_has_invocations_only(ask):
    assert Protocol.kinds_at("runtime.sagemaker.eu-central-1.amazonaws.com") == ()
    assert Protocol.kinds_at("10.0.0.1") == (Kind.HEALTH,)
    fake = FakeExchange({"POST /endpoints/fraud/invocations": (200, "{}")})
    assert (await ask("sagemaker", "infer", fake, {"body": {}}, path="/endpoints/fraud")).failure is None


def test_problems():
    for kind in (Kind.INFER, Kind.STREAM):
        assert [place for place, _ in build("sagemaker", kind).problems(kind)] == [("body",)]
        assert list(build("sagemaker", kind, {"body": ""}).problems(kind)) == []
    assert list(build("sagemaker", Kind.HEALTH).problems(Kind.HEALTH)) == []
