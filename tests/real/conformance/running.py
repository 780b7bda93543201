"""A real server while it runs, and how it is asked: with the same code as the daemon's probes."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exporter import once
from exporter.model.failure import Reason, Status
from exporter.model.job import Kind
from exporter.model.result import Result
from exporter.once import ProbeReport
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import REAL
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.programs import absent
from tests.support.web import until

#: Marks every process of a server: some start children in sessions of their own, or leave them behind.
_MARK = "MODEL_EXPORTER_TEST_SERVER"
#: Seconds one attempt may take while all is well, and while it is not.
PATIENT, QUICK = 30.0, 1.0


def run(place: Place, *command: str | Path, within: float = 300, env: Mapping[str, str] | None = None) -> None:
    """A program of the server's venv, run to its end in its folder; its output is told when it fails."""
    path = f"{place.bin}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=place.folder,
        env={**os.environ, "PATH": path, **(env or {})},
        capture_output=True,
        text=True,
        timeout=within,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


class Running:
    """One server: `start`, ask, `end`."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self.spec = spec
        binaries = REAL / spec.venv / "bin"
        if not binaries.is_dir():
            absent(spec.venv, f"sh tests/real/servers/install.sh {spec.venv}")
        folder.mkdir(parents=True, exist_ok=True)
        self.place = Place(folder, free_port(), free_port, binaries)
        self.url = f"{spec.scheme}://127.0.0.1:{self.place.port}{spec.path}"
        self.seen_starting: set[Reason] = set()
        self._mark = uuid.uuid4().hex
        self._process: Process | None = None
        self._ended = False

    # Life.

    def start(self) -> None:
        """Start it and ask it until it is healthy, noting every reason it gave until then."""
        spec, place = self.spec, self.place
        spec.prepare(place)
        env = {"PATH": f"{place.bin}{os.pathsep}{os.environ['PATH']}", _MARK: self._mark, **spec.env(place)}
        self._process = Process(spec.name, spec.command(place), place.folder, env=env)
        until = time.perf_counter() + spec.patience
        while True:
            result = self.ask(spec.starting, retry=False, timeout=QUICK)
            if result.status is Status.HEALTHY:
                return
            assert result.reason is not None
            self.seen_starting.add(result.reason)
            assert self._process.returncode is None, f"{spec.name} ended:\n{self._process.tail()}"
            assert time.perf_counter() < until, f"{spec.name} is not ready: {result.detail}\n{self._process.tail()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Let no process of it go on; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `stop`."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it with all it started. Safe to call twice."""
        if self._process is None:
            return
        self._ended = True
        self._process.kill()
        self._signal(signal.SIGKILL)
        until(f"{self.spec.name} to be gone", lambda: not _listens(self.place.port), within=30, log=self.tail)

    @property
    def alive(self) -> bool:
        """Whether it was started, and neither ended by itself nor by `end`."""
        return self._process is not None and not self._ended and self._process.returncode is None

    def switch(self, word: str) -> None:
        """How its models misbehave from now on, where they know such words (tests/real/servers/switch.py)."""
        (self.place.folder / "switch").write_text(word)

    def tail(self) -> str:
        """The end of its log."""
        return "" if self._process is None else self._process.tail()

    def _signal(self, number: signal.Signals) -> None:
        # Twice: a process may have started another meanwhile.
        for _ in range(2):
            for pid in _marked(f"{_MARK}={self._mark}"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    # Questions.

    def find(self) -> ProbeReport:
        """What the url alone tells: detection, and the default probes."""
        return asyncio.run(once.probe(self.url, protocol="auto" if self.spec.found else self.spec.protocol))

    def ask(
        self,
        kind: str,
        settings: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        retry: bool = True,
        timeout: float = PATIENT,
    ) -> Result:
        """One probe, with the protocol named."""
        own: dict[str, Any] = {"timeout": f"{round(timeout * 1000)}ms", **(settings or {})}
        if not retry:
            own["retry"] = {"attempts": 1}
        more = {**self.spec.target(self.place), "probes": {kind: own}}
        report = asyncio.run(
            once.probe(
                self.url,
                protocol=self.spec.protocol,
                model=self.spec.model if model is None else model,
                kinds=(Kind(kind),),
                settings=more,
            )
        )
        (result,) = report.results
        return result


def _listens(port: int) -> bool:
    """Whether anything takes connections there: the sockets of a killed process close a moment after it."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _marked(mark: str) -> Sequence[int]:
    """Processes whose environment holds a mark, newest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return sorted(found, reverse=True)
