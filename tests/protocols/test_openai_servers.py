"""Servers of the OpenAI API, each by what it offers beside `/v1`, asked through the real transport."""

import pytest
from aiohttp import web

from exporter.model.failure import Asleep, Evidence, Reason
from exporter.model.job import Kind
from exporter.model.load import Load
from exporter.model.stream import Outcome
from exporter.protocols import openai_servers
from exporter.protocols.openai import OpenAi, OpenAiOptions
from exporter.protocols.openai_servers import SERVERS
from tests.fakes.hosted_openai import KEY, HostedOpenAi
from tests.fakes.litellm import LiteLlm
from tests.fakes.llama_cpp import LlamaCpp
from tests.fakes.nim import Nim
from tests.fakes.openai_api import OpenAiApi
from tests.fakes.sglang import Sglang
from tests.fakes.transformers_serve import TransformersServe
from tests.fakes.vllm import Vllm
from tests.protocols.on_the_wire import WATCHED, known

pytestmark = pytest.mark.slow


def test_every_row_can_be_named():
    allowed = openai_servers.Name.__args__
    assert set(allowed) == {"auto", *SERVERS}
    for name in allowed:
        assert OpenAiOptions(server=name).server == name


@pytest.mark.parametrize(
    ("make", "name"),
    [(Vllm, "vllm"), (Sglang, "sglang"), (LlamaCpp, "llama.cpp"), (Nim, "nim"), (TransformersServe, "transformers")],
)
async def test_default_probes_are_healthy_and_name_the_server(reach, make, name):
    async with make() as server:
        memory = {}
        for kind in OpenAi.default_kinds:
            found = await reach(server, "openai", kind.value, model=server.model, memory=memory)
            assert found.failure is None
        assert found.info["server"] == name
        assert known(memory) == (name, True)
        assert all(line.startswith("GET ") for line in server.asked)


@pytest.mark.parametrize("make", [Vllm, Sglang, LlamaCpp, Nim, TransformersServe, OpenAiApi])
async def test_canaries_pass_and_the_unknown_model_is_named(reach, make):
    async with make() as server:
        for kind in ("infer", "stream"):
            own = {"expect": {"text": "OK"}}
            assert (await reach(server, "openai", kind, own, model=server.model)).failure is None
            if make is not LlamaCpp:  # it answers to any name
                found = await reach(server, "openai", kind, own, model="nobody")
                assert found.failure.reason is Reason.MODEL_NOT_FOUND, found.failure


async def test_vllm(reach):
    async with Vllm() as server:
        server.adapters = ("lora-a",)
        memory = {}
        assert (await reach(server, "openai", "health", memory=memory)).failure is None
        assert server.asked == ["GET /v1/models", "GET /version", "GET /health"]
        assert (await reach(server, "openai", "health", memory=memory)).failure is None
        assert server.asked[3:] == ["GET /health"]
        assert (await reach(server, "openai", "ready", model="lora-a", memory=memory)).failure is None
        found = await reach(server, "openai", "ready", model="lora-b", memory=memory)
        assert found.failure.reason is Reason.MODEL_NOT_FOUND
        found = await reach(server, "openai", "metadata", model="lora-a", memory=memory)
        assert found.info == {"server": "vllm", "server_version": "0.11.2", "model_id": "/adapters/lora-a"}
        assert found.facts == {"max_model_len": 4096.0}
        assert (await reach(server, "openai", "catalogue", memory=memory)).models == ("tiny-llama", "lora-a")
        server.dead = True
        found = await reach(server, "openai", "health", memory=memory)
        assert found.failure.row.evidence is Evidence.BROKEN


async def test_vllm_tells_its_load(reach):
    async with Vllm() as server:
        memory = {}
        server.running, server.waiting, server.tokens = [3, 2], [0, 7], 40
        assert await reach(server, "openai", "load", memory=memory) == Load(running=5, waiting=7, progress=40)
        assert known(memory) == ("vllm", True)


async def test_a_sleeping_vllm_is_left_asleep(reach):
    async with Vllm() as server:
        memory = {}
        await reach(server, "openai", "health", memory=memory)
        await reach(server, "openai", "infer", model=server.model, memory=memory)
        await reach(server, "openai", "infer", model=server.model, memory=memory)
        assert server.asked.count("GET /is_sleeping") == 1  # it has none, and that is remembered
        server.sleeping = True
        memory = {}
        await reach(server, "openai", "health", memory=memory)
        with pytest.raises(Asleep):
            await reach(server, "openai", "infer", model=server.model, memory=memory)
        assert (await reach(server, "openai", "infer", model=server.model, memory=memory, wake=True)).failure is None


async def test_sglangs_health_is_never_asked(reach):
    async with Sglang(metrics=True) as server:
        for memory in ({}, {}):
            for kind in WATCHED:
                await reach(server, "openai", kind, model=server.model, memory=memory)
        assert server.generated == 0
        own = {"path": "/health"}
        assert (await reach(server, "openai", "health", own, path="/v1")).failure is None
        assert server.generated == 1  # but for the asking


@pytest.mark.parametrize("old", [False, True])
async def test_sglang(reach, old):
    async with Sglang(old=old) as server:
        found = await reach(server, "openai", "metadata", model=server.model)
        assert found.info == {
            "server": "sglang", "server_version": "0.5.6", "model_version": "v7", "model_id": "org/tiny-llama",
        }  # fmt: skip
        memory = {}
        server.running, server.waiting = [3, 1], [2, 0]
        load = await reach(server, "openai", "load", memory=memory)
        assert (load.running, load.waiting, load.capacity) == (4, 2, None if old else 16)
        asked = len(server.asked)
        await reach(server, "openai", "load", memory=memory)
        assert len(server.asked) == asked + 1  # it goes straight to the route that told
        found = await reach(server, "openai", "infer", model="nobody")
        assert "does not exist" in found.failure.detail  # a flat error


async def test_sglangs_metrics_come_first(reach):
    async with Sglang(metrics=True) as server:
        server.running, server.waiting, server.tokens = [1, 1], [0, 4], 9
        assert await reach(server, "openai", "load") == Load(running=2, waiting=4, progress=9)


async def test_llama_cpp_while_it_loads(reach):
    async with LlamaCpp() as server:
        server.loading = True
        memory = {}
        found = await reach(server, "openai", "health", memory=memory)
        assert found.failure.reason is Reason.NOT_READY  # the listing says so, of a server that is not known yet
        server.loading = False
        await reach(server, "openai", "health", memory=memory)
        server.loading = True
        for kind in ("health", "ready", "infer"):
            found = await reach(server, "openai", kind, model=server.model, memory=memory)
            assert found.failure.reason is Reason.NOT_READY


async def test_llama_cpp(reach):
    async with LlamaCpp() as server:
        found = await reach(server, "openai", "metadata", model=server.model)
        assert found.info["server_version"] == "b7000-abcdef0"
        assert found.facts == {"max_model_len": 2048.0, "total_slots": 2.0}
        memory = {}
        assert await reach(server, "openai", "load", memory=memory) == Load(running=0, capacity=2, progress=0)
        server.slots = [
            {"id": 0, "id_task": 7, "is_processing": True, "next_token": {"n_decoded": 5}},
            {"id": 1, "id_task": 8, "is_processing": True, "next_token": [{"n_decoded": 2}]},
        ]
        assert await reach(server, "openai", "load", memory=memory) == Load(running=2, capacity=2, progress=22)
        server.slots = None  # --no-slots, and no --metrics
        assert await reach(server, "openai", "load", memory=memory) is None
        asked = len(server.asked)
        assert await reach(server, "openai", "load", memory=memory) is None
        assert server.asked[asked:] == ["GET /props"]


async def test_a_sleeping_llama_cpp_is_left_asleep(reach):
    async with LlamaCpp() as server:
        server.sleeping = True
        memory = {}
        for kind in ("health", "ready", "metadata", "catalogue", "propose"):
            assert (await reach(server, "openai", kind, model=server.model, memory=memory)).failure is None
        assert await reach(server, "openai", "load", memory=memory) is None
        for remembered in (memory, {}):
            for kind in ("infer", "stream"):
                with pytest.raises(Asleep):
                    await reach(server, "openai", kind, model=server.model, memory=remembered)
        assert server.woken == 0
        assert (await reach(server, "openai", "infer", model=server.model, wake=True)).failure is None
        assert server.woken == 1


@pytest.mark.parametrize(
    ("status", "ready", "asleep"),
    [
        ({"value": "loaded"}, None, False),
        ({"value": "sleeping"}, None, True),
        ({"value": "unloaded"}, None, True),
        ({"value": "loading"}, Reason.NOT_READY, False),
        ({"value": "downloading"}, Reason.NOT_READY, False),
        ({"value": "unloaded", "failed": True, "exit_code": 1}, Reason.ERROR_EVENT, True),
    ],
)
async def test_llama_cpps_router(reach, status, ready, asleep):
    async with LlamaCpp(states={"a": {"value": "loaded"}, "b/c": status}) as server:
        memory = {}
        found = await reach(server, "openai", "ready", model="b/c", memory=memory)
        assert (found.failure and found.failure.reason) is ready
        if asleep:
            with pytest.raises(Asleep):
                await reach(server, "openai", "infer", model="b/c", memory=memory)
        else:
            await reach(server, "openai", "infer", model="b/c", memory=memory)
            assert await reach(server, "openai", "load", model="b/c", memory=memory) is not None
            assert "GET /slots?model=b%2Fc&autoload=false" in server.asked
        await reach(server, "openai", "load", model="b/c", memory=memory)
        assert server.woken == 0
        assert (await reach(server, "openai", "catalogue", memory=memory)).models == ("a", "b/c")


async def test_nim(reach):
    async with Nim() as server:
        memory = {}
        found = await reach(server, "openai", "metadata", model=server.model, memory=memory)
        assert found.info == {
            "server": "nim", "server_version": "2.0.1", "model_id": server.model,
            "model_version": "llama-3.1-8b-instruct:hf-8c22764",
        }  # fmt: skip
        assert await reach(server, "openai", "load", memory=memory) == Load(running=1, waiting=4)
        server.loaded = False
        assert (await reach(server, "openai", "health", memory=memory)).failure is None
        found = await reach(server, "openai", "ready", model=server.model, memory=memory)
        assert found.failure.reason is Reason.NOT_READY
        assert "GET /health" not in server.asked


async def test_transformers_serve(reach):
    async with TransformersServe() as server:
        memory = {}
        server.broken_cache = True  # nothing was ever downloaded: its listing is an error
        for kind in ("health", "ready", "metadata"):
            assert (await reach(server, "openai", kind, model=server.model, memory=memory)).failure is None
        found = await reach(server, "openai", "stream", model=server.model, memory=memory)
        assert found.stream.outcome is Outcome.COMPLETE  # and no [DONE]
        found = await reach(server, "openai", "infer", {"api": "responses"}, model=server.model, memory=memory)
        assert found.failure is None
        server.cb_dead = True
        found = await reach(server, "openai", "health", model=server.model, memory=memory)
        assert found.failure.row.evidence is Evidence.BROKEN


async def test_what_transformers_serve_has_downloaded_is_not_what_it_serves(reach):
    async with TransformersServe() as server:
        server.cached = ("org/other",)
        memory = {}
        for kind in ("health", "ready", "metadata"):
            assert (await reach(server, "openai", kind, model=server.model, memory=memory)).failure is None
        assert known(memory) == ("transformers", True)


async def test_hosted(reach):
    async with HostedOpenAi(reasons=True) as server:
        memory = {}
        for kind in ("ready", "metadata", "infer", "stream"):
            found = await reach(server, "openai", kind, model="gpt-4o", key=KEY, path="/v1", memory=memory)
            assert found.failure is None
        assert known(memory) == ("hosted", True)
        assert "GET /v1/models/gpt-4o" in server.asked
        sent = server.requests[-1].json
        assert sent["max_completion_tokens"] == 16
        assert "temperature" not in sent
        assert "max_tokens" not in sent
        found = await reach(server, "openai", "ready", model="gpt-9", key=KEY, memory=memory)
        assert found.failure.reason is Reason.MODEL_NOT_FOUND
        for kind in ("health", "ready", "metadata", "infer"):
            found = await reach(server, "openai", kind, model="gpt-4o", key="sk-wrong")
            assert found.failure.reason is Reason.AUTH
        assert not any("/health" in line for line in server.asked)


def test_hosted_apis_get_no_health_by_default():
    for host in ("api.openai.com", "eu.api.openai.com.", "me.openai.azure.com", "ME.services.AI.azure.com"):
        assert OpenAi.kinds_at(host) == (Kind.READY, Kind.METADATA)
    for host in ("127.0.0.1", "openai.com.example", "myopenai.com", "vllm.models"):
        assert OpenAi.kinds_at(host) == OpenAi.default_kinds


async def test_azures_older_addresses(reach):
    class Azure(OpenAiApi):
        prefix = "/openai/deployments/chat"

        def routes(self):
            yield web.post(f"{self.prefix}/chat/completions", self.chat)
            yield web.get("/openai/models", self.models)

    async with Azure() as server:
        more = {"path": "/openai/deployments/chat", "query": "api-version=2024-10-21", "model": server.model}
        for kind in ("ready", "infer", "stream"):
            assert (await reach(server, "openai", kind, **more)).failure is None
        assert server.asked[0] == "GET /openai/models?api-version=2024-10-21"
        assert server.asked[-1] == "POST /openai/deployments/chat/chat/completions?api-version=2024-10-21"


async def test_litellm_behind_the_openai_protocol(reach):
    """It says itself who it is, on any answer; `/health` would call every model."""
    async with LiteLlm() as server:
        for memory in ({}, {}):
            for kind in WATCHED:
                await reach(server, "openai", kind, model="gpt-4o", key="sk-1234", memory=memory)
            assert known(memory) == ("litellm", True)
        assert server.called == 0


@pytest.mark.parametrize(
    ("kind", "server", "outcome"),
    [("stream", "vllm", Outcome.NO_DONE), ("stream", "hosted", Outcome.COMPLETE), ("stream", "auto", Outcome.COMPLETE)],
)
async def test_the_end_that_a_known_server_promises(reach, kind, server, outcome):
    class Rude(OpenAiApi):
        def end(self):
            return b""

    async with Rude() as fake:
        found = await reach(fake, "openai", kind, model=fake.model, options={"server": server})
        assert found.stream.outcome is outcome


@pytest.mark.parametrize(
    ("loaded", "status", "asleep"),
    [
        ([{"name": "m:latest", "model": "m:latest"}], 200, False),
        ([{"name": "other:7b"}], 200, True),
        ([], 200, True),
        ([], 403, True),  # whether it is loaded cannot be read
        ([], 500, False),  # too unwell to tell: that is what a canary is for
    ],
)
async def test_ollamas_models_are_not_woken(reach, loaded, status, asleep):
    class Ollama(OpenAiApi):
        owner = "library"

        def routes(self):
            yield from super().routes()
            yield web.get("/api/ps", self.ps)
            yield web.get("/api/version", self.version)

        async def ps(self, request):
            return web.json_response({"models": loaded}, status=status)

        async def version(self, request):
            return web.json_response({"version": "0.17.4"})

    async with Ollama("m") as server:
        memory = {}
        found = await reach(server, "openai", "metadata", model="m", memory=memory)
        assert found.info == {"server": "ollama", "server_version": "0.17.4", "model_id": "m"}
        for remembered in (memory, {}):
            if asleep:
                with pytest.raises(Asleep, match="cannot be read" if status == 403 else "is not loaded"):
                    await reach(server, "openai", "infer", model="m", memory=remembered)
            else:
                assert (await reach(server, "openai", "infer", model="m", memory=remembered)).failure is None
        if asleep:
            assert not any(line.startswith("POST") for line in server.asked)
        assert (await reach(server, "openai", "infer", model="m", wake=True)).failure is None


async def test_a_large_page_of_metrics_is_read(reach):
    class Chatty(Vllm):
        async def metrics(self, request):
            page = await super().metrics(request)
            return web.Response(text='x_bucket{le="1"} 1\n' * 40000 + page.text)

    async with Chatty() as server:
        server.running = [1, 1]
        assert (await reach(server, "openai", "load")).running == 2
