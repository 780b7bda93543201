"""The commands on a terminal, a pseudo one."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.demo.scenes import SCENES
from exporter.demo.stage import Stage

pytestmark = pytest.mark.slow

PATIENCE = 180
COLUMNS = 80
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")


async def on_terminal(*args: Any, **variables: str) -> tuple[int, str]:
    """Exit code and everything that was drawn, escapes included."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter", *map(str, args),
        stdin=terminal, stdout=terminal, stderr=terminal, env={**env, "TERM": "xterm-256color", **variables},
    )  # fmt: skip
    os.close(terminal)

    def read() -> bytes:
        drawn = b""
        while True:
            try:
                piece = os.read(screen, 65536)
            except OSError:  # the other end is closed: how Linux says so
                return drawn
            if not piece:
                return drawn
            drawn += piece

    try:
        drawn = await asyncio.wait_for(asyncio.to_thread(read), PATIENCE)
        return await process.wait(), drawn.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(screen)


def lines(drawn: str) -> list[str]:
    """What was drawn as text; what is drawn over it later follows below."""
    return _ESCAPE.sub("", drawn).replace("\r\n", "\n").replace("\r", "\n").split("\n")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """The scenes of the demo, stopped at their first moment."""
    async with Stage([scene for scene in SCENES if scene.name in ("assistant", "late")], clock=lambda: 0.0) as stage:
        yield stage


async def test_probe(stage: Stage) -> None:
    code, drawn = await on_terminal("probe", stage.urls["assistant"], "--stream", "--count", "2")
    assert code == 0
    assert "2/2" in drawn
    assert "1 of 2" in drawn
    assert max(map(len, lines(drawn))) <= COLUMNS


async def test_no_color_takes_the_colour_away(stage: Stage) -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:[349]|10)[0-8](?:;\d+)*m")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
        code, drawn = await on_terminal("probe", stage.urls["assistant"], "--probe", "health", **variables)
        assert code == 0
        assert "healthy" in drawn
        assert bool(colour.search(drawn)) is coloured, variables


async def test_the_demo_is_live() -> None:
    code, drawn = await on_terminal("demo", "--duration", "3s")
    assert code == 0
    text = lines(drawn)
    assert max(map(len, text)) <= COLUMNS
    last = max(number for number, line in enumerate(text) if line.startswith("Live states after 3"))
    heads = text[last + 2].split()
    assert heads == ["server", "state", "since", "latency", "1st", "token", "tokens/s", "seen"]
    rows = {line.split()[0]: line.split()[1] for line in text[last + 4 : last + 4 + len(SCENES)]}
    assert list(rows) == [scene.name for scene in SCENES]
    assert rows["assistant"] == "healthy"
    assert rows["late"] == "loading"
    assert "\x1b[32mhealthy" in drawn
    assert "\x1b[?25h" in drawn.rpartition("\x1b[?25l")[2], "the cursor must be shown again"


async def test_wait_shows_how_far_it_is(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "models.yml"
    targets = [
        {
            "name": name,
            "url": url,
            "protocol": "openai",
            "model": "tiny-llama",
            "probes": {"ready": {"interval": "200ms"}},
        }
        for name, url in stage.urls.items()
    ]
    path.write_text(yaml.safe_dump({"targets": targets}))
    code, drawn = await on_terminal("wait", "--config", path, "--timeout", "2s")
    assert code == 1
    text = lines(drawn)
    assert max(map(len, text)) <= COLUMNS
    assert any(line.startswith("1 of 2 targets good, ") for line in text)
    assert any(line.startswith("not good: 1 of 2 targets, after ") for line in text)
