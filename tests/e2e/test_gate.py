"""/api/v1/gate of a running exporter, against servers that are not good yet, or no longer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from exporter import app
from exporter.demo.mood import Mood
from tests.fakes.llama_cpp import LlamaCpp
from tests.rollout.servers import Moody, moody

pytestmark = pytest.mark.slow


class Running:
    """An exporter in this process, and the one who asks it."""

    def __init__(self, daemon: app.Daemon, session: aiohttp.ClientSession) -> None:
        self.daemon = daemon
        self._session = session
        self.url = f"http://127.0.0.1:{daemon.addresses[0][1]}"

    async def gate(self, *select: str, **query: Any) -> tuple[int, Any]:
        """Status and body."""
        asked = urlencode([*(("select", each) for each in select), *query.items()])
        async with self._session.get(f"{self.url}/api/v1/gate?{asked}") as answer:
            return answer.status, await answer.json()

    async def until(self, status: int, *select: str, **query: Any) -> Any:
        """Ask until the answer has this status; returns the body."""
        async with asyncio.timeout(30):
            while (found := await self.gate(*select, **query))[0] != status:
                await asyncio.sleep(0.05)
        return found[1]

    async def post(self, path: str, **body: Any) -> Any:
        async with self._session.post(self.url + path, json=body) as answer:
            assert answer.ok, await answer.text()
            return await answer.text()


@asynccontextmanager
async def running(folder: Path, *targets: Any, **more: Any) -> AsyncIterator[Running]:
    path = folder / "models.yml"
    path.write_text(json.dumps({"targets": targets, **more}))
    daemon = app.Daemon(app.Options(config=(path,), listen=(("127.0.0.1", 0),), reload_interval=0, shutdown_grace=0))
    await daemon.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Running(daemon, session)
    finally:
        await daemon.stop()


@pytest.fixture
async def server() -> AsyncIterator[Moody]:
    async with moody() as fake:
        yield fake


async def test_ready_before_it_is_warm_and_warm(server: Moody, tmp_path: Path) -> None:
    server.mood = Mood.HANGING
    target = server.target(labels={"team": "risk"})
    target["probes"]["infer"]["timeout"] = "300ms"
    async with running(tmp_path, target) as exporter:
        async with asyncio.timeout(30):
            while (body := (await exporter.gate("team=risk"))[1])["blocking"][0]["state"] != "zombie":
                await asyncio.sleep(0.05)
        assert (body["blocking"][0]["reason"], body["blocking"][0]["have"]) == ("timeout", 0)
        server.mood = Mood.WELL
        server.server.closing.set()
        assert await exporter.until(200, "team=risk") == {"ready": True, "targets": 1, "blocking": []}
        now = time.time()
        status, body = await exporter.gate("team=risk", since=now)
        assert (status, body["blocking"][0]["have"]) == (503, 0)
        await exporter.until(200, "team=risk", since=now)


async def test_what_flaps_never_gets_through(server: Moody, tmp_path: Path) -> None:
    server.refusing = lambda number: number % 3 == 0
    async with running(tmp_path, server.target()) as exporter:
        answers = set()
        while len(server.infers) < 12:
            answers.add((await exporter.gate())[0])
            await asyncio.sleep(0.05)
        assert answers == {503}
        await exporter.until(200, consecutive=2)


async def test_another_version(server: Moody, tmp_path: Path) -> None:
    """The metadata have an hour between them: whoever asks for another version than was told has it asked anew."""
    target = server.target()
    target["probes"]["metadata"] = {"interval": "1h"}
    async with running(tmp_path, target) as exporter:
        await exporter.until(200, version="1")
        status, body = await exporter.gate(version="2")
        (blocking,) = body["blocking"]
        assert (status, blocking["reason"], blocking["version"]) == (503, "version", "1")
        server.version = "2"
        server.infers.clear()
        await exporter.until(200, version="2")
        assert server.infers.count("2") >= 3
        assert server.metadata < 20
        assert (await exporter.gate(version="1"))[0] == 503


async def test_a_version_that_nobody_asks_for(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target(probes={"health": {"interval": "100ms"}})) as exporter:
        await exporter.until(200)
        _, body = await exporter.gate(version="1")
        assert (body["blocking"][0]["reason"], body["blocking"][0]["hint"]) == ("version", "probes: {metadata: {}}")


async def test_one_bad_address(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target(replicas=["127.0.0.1", "127.0.0.2"])) as exporter:
        good, bad = (f"fraud@127.0.0.{number}:{server.port}" for number in (1, 2))
        await exporter.until(200, f"address=127.0.0.1:{server.port}")
        _, body = await exporter.gate("target=fraud")
        assert [(each["target"], each["reason"]) for each in body["blocking"]] == [(bad, "connect_refused")]
        _, body = await exporter.gate("target=fraud", min_addresses=3)
        assert [(each["target"], each["reason"]) for each in body["blocking"]][1:] == [("fraud", "addresses")]
        assert good in exporter.daemon.ledger.targets


async def test_a_reload_keeps_what_stays_and_starts_anew_what_changes(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target(), server.target("other")) as exporter:
        await exporter.until(200)
        config = json.loads((tmp_path / "models.yml").read_text())
        config["targets"][1]["probes"]["infer"]["interval"] = "1h"
        config["targets"][1]["labels"] = {"team": "new"}
        (tmp_path / "models.yml").write_text(json.dumps(config))
        assert (await exporter.gate("team=new"))[0] == 400
        await exporter.post("/-/reload")
        assert (await exporter.gate("target=fraud"))[0] == 200
        status, body = await exporter.gate("team=new")
        assert (status, body["blocking"][0]["target"]) == (503, "other")
        assert body["blocking"][0]["have"] <= 1


async def test_maintenance(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target()) as exporter:
        await exporter.until(200)
        await exporter.post("/api/v1/maintenance", **{"targets": ["fraud"], "for": "1h"})
        (blocking,) = (await exporter.until(503))["blocking"]
        assert (blocking["reason"], blocking["state"]) == ("maintenance", "healthy")


async def test_a_budget_that_is_spent(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target(budget={"requests": 3, "per": "1d"})) as exporter:
        async with asyncio.timeout(30):
            while (body := (await exporter.gate())[1])["ready"] or body["blocking"][0]["reason"] != "budget":
                await asyncio.sleep(0.05)
        assert (body["blocking"][0]["have"], body["blocking"][0]["want"]) == (3, 3)
        assert len(server.infers) == 3


async def test_a_model_that_sleeps(tmp_path: Path) -> None:
    async with LlamaCpp() as fake:
        fake.sleeping = True
        target = {
            "name": "t", "url": fake.url, "protocol": "openai", "model": fake.model,
            "probes": {"health": {"interval": "200ms"}, "stream": {"interval": "200ms"}},
        }  # fmt: skip
        async with running(tmp_path, target) as exporter:
            async with asyncio.timeout(30):
                while (body := (await exporter.gate())[1])["blocking"][0]["reason"] != "asleep":
                    await asyncio.sleep(0.05)
            assert body["blocking"][0]["hint"] == "wake: true"
            assert fake.woken == 0


async def test_bounds_of_time(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target()) as exporter:
        await exporter.until(200, max_duration="5s")
        _, body = await exporter.gate(max_duration="1ms")
        assert body["blocking"][0]["reason"] == "slow"
        assert (await exporter.gate(max_ttft="1s"))[1]["blocking"][0]["hint"] == "probes: {stream: {}}"


async def test_what_cannot_be_asked(server: Moody, tmp_path: Path) -> None:
    async with running(tmp_path, server.target()) as exporter:
        await exporter.until(200)
        assert (await exporter.gate("team=x"))[0] == 400
        assert (await exporter.gate(consecutive="many"))[0] == 400
        assert (await exporter.gate(evaluate="true"))[0] == 400
