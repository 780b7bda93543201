"""What is proposed and listed of an OpenAI API."""

import pytest
from aiohttp import web

from tests.fakes.openai_api import OpenAiApi

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("entry", "model", "kind", "api"),
    [
        ({}, "llama-3", "stream", None),
        ({}, "text-embedding-3-small", "infer", "embeddings"),
        ({}, "BAAI/bge-m3", "infer", "embeddings"),
        ({}, "intfloat/e5-small", "infer", "embeddings"),
        ({}, "bge-reranker-v2", None, None),
        ({}, "whisper-1", None, None),
        ({}, "gpt-4o", "stream", None),
        ({"type": "embedding"}, "x", "infer", "embeddings"),
        ({"type": "chat"}, "embedded-systems-expert", "stream", None),
        ({"type": "image"}, "x", None, None),
        ({"capabilities": {"completion_chat": True, "vision": False}}, "x", "stream", None),
        ({"capabilities": ["embed"]}, "x", "infer", "embeddings"),
        ({"capabilities": []}, "x", "stream", None),
    ],
)
async def test_proposals(reach, entry, model, kind, api):
    class Listing(OpenAiApi):
        def entry(self, name):
            return {**super().entry(name), **entry}

    async with Listing(model) as server:
        proposal = (await reach(server, "openai", "propose", model=model)).proposal
        assert (proposal and proposal.kind) == kind
        assert proposal is None or proposal.settings.get("api") == api
        assert not any(line.startswith("POST") for line in server.asked)
        if proposal is not None:  # what is proposed can be asked
            assert (await reach(server, "openai", kind, _own(proposal.settings), model=model)).failure is None
        assert (await reach(server, "openai", "propose")).proposal is None


def _own(settings):
    return {key: value for key, value in settings.items() if key not in ("interval", "timeout")}


async def test_a_catalogue_holds_only_names_that_can_be_watched(reach):
    class Odd(OpenAiApi):
        async def models(self, request):
            names = ["a", "", "b", "a", "c\n", "provider/*", "d/e:f"]
            return web.json_response({"data": [{"id": name} for name in names]})

    async with Odd() as server:
        assert (await reach(server, "openai", "catalogue")).models == ("a", "b", "d/e:f")
