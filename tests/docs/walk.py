"""Commands of a page, run as they stand, one block after the other, by the shell a reader would use."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
#: What begins a command that a page says to leave running.
_STAYS = ("model-exporter demo", "model-exporter run", "prometheus ")


def blocks(page: Path) -> list[str]:
    """The console blocks of a page, in order."""
    return _BLOCK.findall(page.read_text())


def stays(block: str) -> bool:
    """Whether the block is one command that does not end by itself."""
    return block.startswith(_STAYS)


@dataclass
class Shell:
    """Runs commands in `folder`, with the programs of this environment on the path. What stays is ended with it."""

    folder: Path
    staying: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def run(self, block: str, within: float = 60.0) -> str:
        """What the commands print; each must end well."""
        made = subprocess.run(
            ["sh", "-euc", block], cwd=self.folder, env=self._environment(), capture_output=True, text=True,
            timeout=within, check=False,
        )  # fmt: skip
        assert made.returncode == 0, f"{block}\n{made.stdout}{made.stderr}"
        return made.stdout

    def repeat(self, block: str, wanted: str, within: float) -> str:
        """The first output that has `wanted` in it: a reader looks again, too."""
        until, seen = time.monotonic() + within, ""
        while time.monotonic() < until:
            try:
                seen = self.run(block)
            except AssertionError as error:
                seen = str(error)
            if wanted in seen:
                return seen
            time.sleep(0.5)
        raise AssertionError(f"no {wanted!r} within {within:g} s: {seen}\n{self.said()}")

    def leave(self, block: str) -> None:
        """Start a command and leave it running."""
        with (self.folder / f"{len(self.staying)}.out").open("wb") as out:
            self.staying.append(
                subprocess.Popen(
                    shlex.split(block), cwd=self.folder, env=self._environment(), stdout=out, stderr=out,
                    start_new_session=True,
                )
            )  # fmt: skip

    def said(self, index: int | None = None) -> str:
        """What the commands that stay have printed, or one of them."""
        files = sorted(self.folder.glob("*.out")) if index is None else [self.folder / f"{index}.out"]
        return "\n".join(path.read_text() for path in files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.staying:
            process.send_signal(signal.SIGTERM)
        for process in self.staying:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
