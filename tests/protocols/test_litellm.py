import pytest

from exporter.model.failure import Evidence, Reason
from exporter.model.job import Scope
from exporter.protocols.litellm import LiteLlm as Protocol
from tests.fakes.litellm import KEY, LiteLlm
from tests.protocols.scripted import Kind, build


@pytest.fixture
async def proxy():
    async with LiteLlm() as server:
        yield server
        assert server.called == 0, "its /health calls every model behind it"


async def test_every_kind(reach, proxy):
    memory = {}
    for kind in (*Protocol.kinds, "load"):
        found = await reach(proxy, "litellm", kind, model="gpt-4o", key=KEY, memory=memory)
        assert found is None or found.failure is None
    assert not any(line.endswith("/health") for line in proxy.asked)


async def test_health_and_readiness_want_no_key_and_no_model(reach, proxy):
    assert (await reach(proxy, "litellm", "health")).failure is None
    assert proxy.asked == ["GET /health/liveliness"]
    found = await reach(proxy, "litellm", "ready", model="gpt-4o")
    assert found.failure.reason is Reason.AUTH  # the listing wants one


async def test_ready(reach, proxy):
    for model in ("gpt-4o", "anthropic/claude-x", ""):
        assert (await reach(proxy, "litellm", "ready", model=model, key=KEY)).failure is None
    assert proxy.asked[:2] == ["GET /health/readiness", "GET /v1/models"]
    for model in ("gpt-9", "mistral/m"):
        found = await reach(proxy, "litellm", "ready", model=model, key=KEY)
        assert found.failure.reason is Reason.MODEL_NOT_FOUND
    proxy.database = False
    found = await reach(proxy, "litellm", "ready", model="gpt-4o", key=KEY)
    assert found.failure.row.evidence is Evidence.BROKEN


async def test_metadata(reach, proxy):
    found = await reach(proxy, "litellm", "metadata", model="gpt-4o", key=KEY)
    assert found.info == {"server": "litellm", "server_version": "1.80.0", "model_id": "gpt-4o"}


async def test_an_unknown_model(reach, proxy):
    for kind in ("infer", "stream"):
        found = await reach(proxy, "litellm", kind, model="gpt-9", key=KEY)
        assert found.failure.reason is Reason.MODEL_NOT_FOUND
        found = await reach(proxy, "litellm", kind, model="gpt-4o", key="wrong")
        assert found.failure.reason is Reason.AUTH


async def test_catalogue_and_proposals(reach, proxy):
    found = await reach(proxy, "litellm", "catalogue", key=KEY)
    assert found.models == ("gpt-4o", "text-embedding-3-small")
    for model, kind in (("gpt-4o", "stream"), ("text-embedding-3-small", "infer")):
        assert (await reach(proxy, "litellm", "propose", model=model, key=KEY)).proposal.kind == kind


def test_scope():
    assert build("litellm", Kind.READY, model="m").scope() is Scope.MODEL
    assert Protocol.kinds_at("api.openai.com") == Protocol.default_kinds
