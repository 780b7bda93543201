"""All fake servers together, watched as `demo` does."""

import ast
import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession

import exporter.demo
from exporter.demo.chat_server import ChatServer
from exporter.demo.mood import Mood
from exporter.demo.scenes import SCENES, config
from exporter.demo.stage import Stage
from tests.support.ports import free_port

BODY = {"model": "tiny-llama", "messages": [{"role": "user", "content": "Say OK."}]}


async def test_all_scenes_answer_on_loopback_and_are_gone_afterwards(client: ClientSession) -> None:
    async with Stage() as stage:
        assert list(stage.urls) == [scene.name for scene in SCENES]
        assert all(url.startswith("http://127.0.0.1:") for url in stage.urls.values())
        async with client.get(f"{stage.urls['assistant']}/health") as response:
            assert response.status == 200
        async with client.get(f"{stage.urls['late']}/health") as response:
            assert response.status == 503
        url = stage.urls["fraud"]
        async with client.get(f"{url}/v2/models/fraud") as response:
            assert response.status == 200
    with pytest.raises(ClientConnectionError):
        await client.get(f"{url}/v2")


async def test_closing_frees_a_question_that_hangs(client: ClientSession) -> None:
    now = [0.0]
    async with Stage(clock=lambda: now[0]) as stage:
        now[0] = 20.0
        url = stage.urls["zombie"]
        async with client.get(f"{url}/health") as response:
            assert response.status == 200
        question = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=BODY))
        zombie = stage.servers["zombie"]
        assert isinstance(zombie, ChatServer)
        async with asyncio.timeout(30):
            while not zombie.running:
                assert not question.done()
                await asyncio.sleep(0.01)
    async with await question as response:
        assert response.status == 503


async def test_within_a_minute_every_way_to_fail_is_seen() -> None:
    now = [0.0]
    seen: dict[str, set[Mood]] = {}
    servers = {scene.name: scene.build(lambda: now[0]) for scene in SCENES}
    for second in range(60):
        now[0] = float(second)
        for name, server in servers.items():
            seen.setdefault(name, set()).add(server.timeline.mood)
    assert set().union(*seen.values()) == set(Mood)
    for name in ("flaky", "late", "zombie", "staller", "busy"):
        assert Mood.WELL in seen[name]
        assert len(seen[name]) == 2
    assert servers["fraud"].timeline.turns >= 2


def test_the_config_names_every_server() -> None:
    urls = {scene.name: f"http://127.0.0.1:{number}" for number, scene in enumerate(SCENES, 8000)}
    written = config(urls)
    assert {target["name"]: target["url"] for target in written["targets"]} == urls
    assert {target["module"] for target in written["targets"]} <= set(written["modules"])


def test_the_fakes_know_nothing_of_the_exporter() -> None:
    for path in Path(exporter.demo.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("exporter"):
                assert (node.module or "").startswith(("exporter.demo", "exporter.model")), path


async def test_ports_that_are_asked_for_follow_each_other() -> None:
    for _ in range(50):  # somebody may have taken the next one
        first = free_port()
        try:
            async with Stage(SCENES[:3], first_port=first) as stage:
                assert list(stage.urls.values()) == [f"http://127.0.0.1:{first + number}" for number in range(3)]
        except OSError:
            continue
        return
    pytest.fail("no three free ports in a row")
