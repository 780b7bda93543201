"""docs/client.md under test: its blocks run against the demo's servers, and print what they say they print."""

import ast
import asyncio
import inspect
import re
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.stage import Stage

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
#: A call of print, and in its comment what it prints: ` / ` parts lines, `...` stands for any text.
PRINTS = re.compile(r"^.*\bprint\(.*\)  +# (.*)$", re.M)


def promised(block: str) -> str:
    """A pattern of the lines a block says it prints."""
    lines = [line for said in PRINTS.findall(block) for line in said.split(" / ")]
    return "\n".join(re.escape(line).replace(r"\.\.\.", ".*") for line in lines)


async def run(block: str, names: dict[str, Any]) -> str:
    """What a block prints. It runs as in `python -m asyncio`: with `await` at the top level."""
    out = StringIO()
    code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names["print"] = lambda *values: out.write(" ".join(map(str, values)) + "\n")
    done = eval(code, names)
    if inspect.iscoroutine(done):
        await asyncio.wait_for(done, 60)
    return out.getvalue()


async def test_every_block_runs_and_prints_what_it_says(stage: Stage) -> None:
    stage.servers["fraud"].timeline = Timeline([Act(Mood.WELL, 3600.0)], time.monotonic)  # its first version, for long
    names: dict[str, Any] = {}
    for block in BLOCKS:
        code = block.replace("http://127.0.0.1:8000", stage.urls["assistant"])
        code = code.replace("http://127.0.0.1:8080", stage.urls["fraud"])
        printed = (await run(code, names)).rstrip("\n")
        assert re.fullmatch(promised(block), printed), f"{block}\n--- printed:\n{printed}"


@pytest.mark.parametrize("block", BLOCKS)
def test_every_print_says_what_comes_out(block: str) -> None:
    assert len(PRINTS.findall(block)) == len(re.findall(r"\bprint\(", block))
