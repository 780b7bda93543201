"""Who is behind an OpenAI API: learned, remembered, and learned anew."""

import json

import pytest
from aiohttp import web

from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from tests.fakes.hosted_openai import KEY, HostedOpenAi
from tests.fakes.litellm import LiteLlm
from tests.fakes.nim import Nim
from tests.fakes.openai_api import OpenAiApi
from tests.fakes.sglang import Sglang
from tests.fakes.vllm import Vllm
from tests.protocols.on_the_wire import WATCHED, known
from tests.protocols.scripted import FakeExchange, build

pytestmark = pytest.mark.slow


async def test_an_unknown_server_is_asked_no_health(reach):
    class Costly(OpenAiApi):
        def routes(self):
            yield from super().routes()
            yield web.get("/health", self.hang)
            yield web.get("/version", self.version)

        async def version(self, request):
            return web.json_response({"version": "1"})

    async with Costly() as server:
        memory = {}
        for kind in WATCHED:
            await reach(server, "openai", kind, model=server.model, memory=memory)
        assert "GET /health" not in server.asked
        assert known(memory) == ("generic", True)
        asked = len(server.asked)
        await reach(server, "openai", "health", memory=memory)
        await reach(server, "openai", "ready", model=server.model, memory=memory)
        assert server.asked[asked:] == ["GET /v1/models"] * 2


async def test_a_gateway_that_hides_all_but_the_api(reach):
    async with Vllm() as behind:

        class Gateway(Vllm):
            def routes(self):
                yield from OpenAiApi.routes(self)

        async with Gateway() as server:
            memory = {}
            # The canary comes first: its one look must not be taken for all there is to know.
            for kind in ("infer", "health", "ready", "metadata"):
                found = await reach(server, "openai", kind, model=server.model, memory=memory)
                assert found.failure is None
            assert found.info == {"server": "vllm", "model_id": "org/tiny-llama"}
            assert await reach(server, "openai", "load", memory=memory) is None
            assert "GET /health" not in server.asked
        assert behind.asked == []


async def test_another_server_at_the_same_address_is_learned(reach):
    memory = {}
    async with Vllm() as server:
        port = server.port
        await reach(server, "openai", "health", memory=memory)
        assert known(memory) == ("vllm", True)
    found = await reach(server, "openai", "health", memory=memory)
    assert found.failure.reason is Reason.CONNECT_REFUSED
    assert known(memory) is None  # whatever comes back has to show itself
    server = Sglang()
    server.port = port
    async with server:
        assert (await reach(server, "openai", "health", memory=memory)).failure is None
        assert known(memory) == ("sglang", True)
        assert server.generated == 0


async def test_another_server_without_an_outage_is_learned_from_its_listing(reach):
    async with Vllm() as vllm, Sglang() as sglang, LiteLlm() as litellm:
        for other in (sglang, litellm):
            memory = {}
            await reach(vllm, "openai", "health", memory=memory)
            await reach(other, "openai", "ready", model=other.model, key="sk-1234", memory=memory)
            assert known(memory) is None
            await reach(other, "openai", "health", key="sk-1234", memory=memory)
            assert known(memory)[0] in ("sglang", "litellm")
        assert sglang.generated == litellm.called == 0


async def test_litellm_in_the_place_of_another_is_asked_its_health_once(reach):
    """Without an outage and with nothing but health probes only its answer tells."""
    async with Vllm() as vllm, LiteLlm() as litellm:
        memory = {}
        await reach(vllm, "openai", "health", memory=memory)
        for _ in range(3):
            assert (await reach(litellm, "openai", "health", key="sk-1234", memory=memory)).failure is None
        assert litellm.asked.count("GET /health") == 1
        assert known(memory) == ("litellm", True)


async def test_an_answer_that_does_not_fit_is_looked_into_at_once(reach):
    async with Nim() as nim, Vllm() as vllm:
        memory = {}
        await reach(nim, "openai", "health", memory=memory)
        assert (await reach(vllm, "openai", "health", memory=memory)).failure is None
        assert vllm.asked == ["GET /v1/health/live", "GET /v1/models", "GET /version", "GET /health"]
        assert known(memory) == ("vllm", True)


async def test_a_server_that_is_named_is_not_second_guessed(reach):
    async with OpenAiApi() as server:
        options = {"server": "vllm"}
        found = await reach(server, "openai", "health", options=options)
        assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 404)
        assert (await reach(server, "openai", "ready", model=server.model, options=options)).failure is None
        assert await reach(server, "openai", "load", options=options) is None
        assert server.asked == ["GET /health", "GET /v1/models", "GET /metrics"]


async def test_a_canary_asks_the_listing_once_and_then_no_more(reach):
    async with OpenAiApi() as server:
        memory = {}
        for _ in range(3):
            assert (await reach(server, "openai", "infer", model=server.model, memory=memory)).failure is None
        assert server.asked == ["GET /v1/models", *["POST /v1/chat/completions"] * 3]


async def test_a_canary_does_not_fail_with_the_listing(reach):
    class Secretive(OpenAiApi):
        async def models(self, request):
            return self.error(500, "boom")

    async with Secretive() as server:
        assert (await reach(server, "openai", "infer", model=server.model)).failure is None


async def test_hostile_answers_to_side_questions(reach):
    """What is only welcome never fails a probe."""

    class Hostile(Vllm):
        async def version(self, request):
            return web.Response(body=json.dumps({"version": "v\x00\n" + "9" * 500}), content_type="application/json")

    async with Hostile() as server:
        found = await reach(server, "openai", "metadata", model=server.model)
        assert found.info["server_version"] == "v" + "9" * 127

    class Broken(Sglang):
        async def server_info(self, request):
            return web.Response(text="[" * 100_000)

    async with Broken() as server:
        found = await reach(server, "openai", "metadata", model=server.model)
        assert found.failure is None
        assert found.info["model_version"] == "v7"


async def test_a_listing_that_hangs_does_not_take_the_canarys_time(reach, monkeypatch):
    from exporter.protocols import openai_visit

    monkeypatch.setattr(openai_visit, "PATIENCE", 0.05)

    class Slow(OpenAiApi):
        async def models(self, request):
            await self.hang()

    async with Slow() as server:
        memory = {}
        for kind in ("infer", "stream"):
            assert (await reach(server, "openai", kind, model=server.model, memory=memory)).failure is None
        assert server.asked.count("GET /v1/models") == 1


@pytest.mark.parametrize("kind", [Kind.INFER, Kind.STREAM])
async def test_a_listing_that_came_too_late_is_not_the_canarys_verdict(kind):
    """It may be a 404, which means nothing more than that there is no listing."""

    def late(body):
        exchange.clock = exchange.deadline + 1.0
        return 404, "Not Found"

    over = Failure(Reason.TIMEOUT, "no time was left to start")
    exchange = FakeExchange({"GET /v1/models": late, "POST /v1/chat/completions": over})
    with pytest.raises(Failure) as caught:
        await getattr(build("openai", kind, {}, model="m"), str(kind))(exchange)
    assert caught.value.reason is Reason.TIMEOUT


async def test_a_hosted_api_without_a_route_for_each_model(reach):
    class Plain(HostedOpenAi):
        def routes(self):
            yield from OpenAiApi.routes(self)

    async with Plain() as server:
        assert (await reach(server, "openai", "ready", model="gpt-4o", key=KEY)).failure is None
        found = await reach(server, "openai", "ready", model="gpt-9", key=KEY)
        assert found.failure.reason is Reason.MODEL_NOT_FOUND
