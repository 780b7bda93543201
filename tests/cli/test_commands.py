"""The commands as a user runs them: as processes, against fake model servers."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from exporter.demo.chat_server import ChatServer, Voice
from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.scenes import SCENES, Scene
from exporter.demo.stage import Stage

pytestmark = pytest.mark.slow

#: For what should take a few seconds at most; a busy machine may need more.
PATIENCE = 60


class Ended(NamedTuple):
    code: int
    out: str
    err: str


async def run(*args: Any, **env: str) -> Ended:
    """Runs `model-exporter` to its end, without a terminal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter", *map(str, args),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Traceback" not in err.decode(), err.decode()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def chat(name: str, mood: Mood) -> Scene:
    """A chat server that never changes its mood."""

    def build(clock: Callable[[], float]) -> ChatServer:
        return ChatServer("tiny-llama", Timeline((Act(mood, 3600),), clock), Voice(0.02, 0.002))

    return Scene(name, "", build, {})


FRAUD = next(scene for scene in SCENES if scene.name == "fraud")


@pytest.fixture
async def urls() -> AsyncIterator[dict[str, str]]:
    """Urls of servers in one mood each, by name."""
    scenes = [chat("well", Mood.WELL), chat("busy", Mood.BUSY), chat("loading", Mood.LOADING), FRAUD]
    async with Stage(scenes, clock=lambda: 0.0) as stage:
        yield stage.urls


async def test_probe_tells_a_person(urls: dict[str, str]) -> None:
    ended = await run("probe", urls["well"], "--stream")
    assert ended.code == 0, ended.out
    lines = ended.out.splitlines()
    assert lines[0] == f"{urls['well']} is openai (vllm)"
    assert lines[3].split()[:3] == ["PROBE", "STATUS", "TOTAL"]
    assert [line.split()[0] for line in lines[4:8]] == ["health", "ready", "metadata", "stream"]
    for found in (
        "first token after",
        "tokens/s",
        "tokens: 6 input, 13 output",
        "it said: OK.",
        "max_model_len   8192",
    ):
        assert found in ended.out
    assert "\x1b" not in ended.out
    assert not ended.err


async def test_probe_of_a_server_that_is_not_well_is_exit_code_1(urls: dict[str, str]) -> None:
    ended = await run("probe", urls["busy"], "--stream")
    assert ended.code == 1
    assert "rate_limited: HTTP 429" in ended.out
    assert "busy, not broken" in ended.out


async def test_probe_for_machines(urls: dict[str, str]) -> None:
    ended = await run("probe", urls["well"], "--probe", "health", "--stream", "--count", "2", "--json")
    assert ended.code == 0, ended.out
    found = json.loads(ended.out)
    assert (found["url"], found["healthy"], found["detection"]["server"]) == (urls["well"], True, "vllm")
    assert [(probe["probe"], len(probe["runs"])) for probe in found["probes"]] == [("health", 2), ("stream", 2)]
    stream = found["probes"][1]["runs"][0]
    assert 0 < stream["stream"]["ttft_seconds"]["content"] < stream["duration_seconds"]
    assert found["probes"][1]["summary"]["output_tokens_per_second"]["min"] > 0


async def test_probe_of_nobody(free_port: Callable[[], int]) -> None:
    ended = await run("probe", f"http://127.0.0.1:{free_port()}")
    assert ended.code == 1
    assert "connect_refused" in ended.out
    assert "is the server running" in ended.out


async def test_init_writes_a_config_that_passes_its_check_and_works(
    urls: dict[str, str], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    ended = await run("init", urls["well"], urls["fraud"], nobody)
    assert ended.code == 1
    assert nobody in ended.err
    path = tmp_path / "models.yml"
    path.write_text(ended.out)
    well, fraud, unknown = yaml.safe_load(ended.out)["targets"]
    assert (well["protocol"], well["model"], list(well["probes"])) == (
        "openai", "tiny-llama", ["health", "ready", "metadata", "stream"],
    )  # fmt: skip
    assert fraud["probes"]["infer"]["inputs"] == [
        {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.0, 0.0, 0.0, 0.0]}
    ]
    assert unknown == {"name": nobody.removeprefix("http://"), "url": nobody, "protocol": "auto"}
    checked = await run("check", path)
    assert (checked.code, checked.out) == (0, "good: 3 targets, 9 probes\n")
    waited = await run("wait", "--config", path, "--select", "protocol=openai", "--select", "protocol=open_inference")
    assert (waited.code, waited.out.startswith("good: 2 targets")) == (0, True), waited.out


async def test_init_keeps_the_canary_of_a_server_that_is_only_busy(urls: dict[str, str]) -> None:
    ended = await run("init", urls["busy"])
    assert ended.code == 0
    assert "It did not pass when it was tried just now: rate_limited" in ended.out
    assert "stream" in yaml.safe_load(ended.out)["targets"][0]["probes"]


@pytest.fixture
def config(urls: dict[str, str], tmp_path: Path) -> Path:
    probes = {"health": {}, "stream": {"interval": "300ms", "timeout": "5s"}}
    targets = [
        {"name": name, "url": urls[name], "labels": {"mood": name}, "protocol": "openai", "model": "tiny-llama",
         "probes": probes}
        for name in ("well", "busy")
    ]  # fmt: skip
    path = tmp_path / "models.yml"
    path.write_text(yaml.safe_dump({"defaults": {"interval": "300ms"}, "targets": targets}))
    return path


async def test_wait_until_good(config: Path) -> None:
    ended = await run("wait", "--config", config, "--select", "mood=well", "--consecutive", "3", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"ready": True, "targets": 1, "blocking": []}
    assert not ended.err


async def test_wait_gives_up(config: Path) -> None:
    ended = await run("wait", "--config", config, "--timeout", "4s")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0].startswith("not good: 1 of 2 targets, after ")
    assert lines[1].split() == ["TARGET", "STATE", "GOOD", "RUNS", "REASON", "DETAIL"]
    assert lines[2].split()[:4] == ["busy", "saturated", "0/3", "rate_limited"]


async def test_wait_for_nothing_is_wrong_usage(config: Path) -> None:
    ended = await run("wait", "--config", config, "--select", "mood=gone")
    assert ended.code == 2
    said = " ".join(ended.err.split())
    assert "No target is selected by mood=gone: in this config mood is busy, well." in said
    assert "model, mood, protocol, target" in said


async def test_wait_for_a_golden_set_that_nobody_has_is_wrong_usage(config: Path) -> None:
    ended = await run("wait", "--config", config, "--select", "mood=well", "--evaluate")
    assert ended.code == 2
    assert "no target that is selected has a probe of kind evaluate" in ended.err


async def test_wait_for_a_version_that_is_not_served(urls: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "models.yml"
    probes = {"health": {"interval": "300ms"}}
    target = {"name": "fraud", "url": urls["fraud"], "protocol": "open_inference", "model": "fraud", "probes": probes}
    path.write_text(yaml.safe_dump({"targets": [target]}))
    ended = await run("wait", "--config", path, "--version", "77", "--timeout", "2s", "--json")
    assert ended.code == 1, ended.err
    told = json.loads(ended.out)
    (blocking,) = told["blocking"]
    assert (told["ready"], told["targets"], blocking["reason"], blocking["want"]) == (False, 1, "version", 3)
    assert blocking["detail"] == f"it serves version {blocking['version']}, wanted is 77"


async def test_wait_with_a_wrong_config_is_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "models.yml"
    path.write_text("targets: [{}]\n")
    ended = await run("wait", "--config", path)
    assert ended.code == 2
    assert f"{path}:1:" in ended.err


async def test_run_that_cannot_listen_is_exit_code_1(urls: dict[str, str]) -> None:
    taken = urls["well"].removeprefix("http://")
    ended = await run("run", "--target", urls["well"], "--listen", taken)
    assert ended.code == 1
    assert f"cannot listen on {taken}" in ended.err


async def test_the_demo_ends_by_itself_and_tells_changes_a_line_each() -> None:
    ended = await run("demo", "--duration", "4s")
    assert ended.code == 0, ended.err
    exporter = re.search(r"metrics +(http://127\.0\.0\.1:\d+)/metrics", ended.out)
    assert exporter
    for scene in SCENES:
        assert re.search(rf"^{scene.name} +http://127\.0\.0\.1:\d+  ", ended.out, re.MULTILINE)
    assert re.search(r"^ +\d\.\ds  assistant: unknown -> healthy$", ended.out, re.MULTILINE)
    assert re.search(r"^ +\d\.\ds  late: unknown -> loading  \(not_ready: ", ended.out, re.MULTILINE)
    assert re.search(r"^The demo ends after 4", ended.out, re.MULTILINE)
    assert "\x1b" not in ended.out


async def test_the_demo_ends_well_after_ctrl_c() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter", "demo", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            async for line in process.stdout:
                if b"assistant: unknown -> healthy" in line:
                    break
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, err) == (0, b"")
    assert b"The demo ends after" in out
