"""Programs run by tests: started in a session of their own, ended by their process group."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Process:
    """A running program whose standard output and error go to files in `folder`.

    Its children are in its process group, so that they are paused and ended with it.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], folder: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.stdout_path = folder / f"{name}.out"
        self.stderr_path = folder / f"{name}.err"
        self._folder = folder
        self._env = {**os.environ, **(env or {})}
        self._popen: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, again after an end; output is appended."""
        with self.stdout_path.open("ab") as out, self.stderr_path.open("ab") as err:
            self._popen = subprocess.Popen(
                self.command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also the group's."""
        assert self._popen is not None
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, None while it runs."""
        return None if self._popen is None else self._popen.poll()

    @property
    def stdout(self) -> str:
        """What it wrote so far."""
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it logged so far."""
        return self.stderr_path.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        os.kill(self.pid, number)

    def pause(self) -> None:
        """Stop it with all its children: connections stay open and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def wait(self, timeout: float) -> int:
        """Wait for its end and return the exit code. Fails with its log when it does not end."""
        assert self._popen is not None
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout} s; its log ends:\n{self.tail()}") from None

    def kill(self) -> None:
        """End it at once, with its children."""
        if self._popen is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it and all its children are gone already
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._popen = None

    def tail(self, size: int = 3000) -> str:
        """The end of what it wrote, for messages."""
        return f"{self.stdout[-size:]}\n{self.stderr[-size:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
