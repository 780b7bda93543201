"""A program that scores: one JSON line in for each example, one line out. It runs as long as the evaluation does."""

import asyncio
import contextlib
import json
import math
import os
import signal
from collections.abc import Sequence
from typing import Any

from exporter.evaluation.answers import Unreadable

#: Seconds for one example, bytes of one line, and failures in a row after which the program is not started again.
PATIENCE, LONGEST, STARTS = 10.0, 1_000_000, 3


class Program:
    """`command`, started by the first example. Examples are put to it one after the other.

    In: `{"id", "input", "expected", "answer"}`. Out: a number, or an object with the number `score`. Its standard error
    is ours.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._failures = 0

    async def score(self, example: dict[str, Any]) -> float:
        """What it says of an example. Raises `Unreadable`."""
        line = json.dumps(example, separators=(",", ":")).encode() + b"\n"
        if len(line) > LONGEST:
            raise Unreadable(f"the example is longer than {LONGEST} bytes: the command was not asked")
        async with self._turn:
            if self._failures >= STARTS:
                raise Unreadable(f"the command failed {STARTS} times in a row")
            try:
                async with asyncio.timeout(PATIENCE):
                    found = _score(await self._asked(line))
            except BaseException as error:
                # What it has still to say would be taken for the answer to the next example.
                await self.close()
                self._failures += 1
                if isinstance(error, Exception):
                    raise Unreadable(_why(error)) from None
                raise
            self._failures = 0
            return found

    async def close(self) -> None:
        """End the program, and whatever it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()

    async def _asked(self, line: bytes) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LONGEST,
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(line)
        await self._process.stdin.drain()
        return await self._process.stdout.readline()


def _score(line: bytes) -> float:
    if not line.endswith(b"\n"):
        raise Unreadable("the command ended without an answer")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise Unreadable("the command's answer is not JSON") from None
    found = said.get("score") if isinstance(said, dict) else said
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise Unreadable("the command's answer is neither a number nor an object with the number score")
    return float(found)


def _why(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"the command did not answer within {PATIENCE:g} s"
    if isinstance(error, ValueError):  # the reader's: the line is longer than it may be
        return f"the command's answer is longer than {LONGEST} bytes"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"the command cannot be started: {error.strerror}"
    return f"the command failed: {type(error).__name__}"
