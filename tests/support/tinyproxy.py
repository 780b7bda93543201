"""A real HTTP proxy on loopback: tinyproxy, from Debian."""

import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port
from tests.support.programs import need
from tests.support.web import until


class Tinyproxy:
    """Runs until the block ends. With `user` and `password` it lets in nobody else."""

    def __init__(self, folder: Path, *, user: str = "", password: str = "") -> None:
        self.program = need("tinyproxy", "apt-get install tinyproxy")
        self.port = free_port()
        config = folder / f"tinyproxy-{self.port}.conf"
        lines = [f"Port {self.port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 50", "Allow 127.0.0.1",
                 "Allow ::1", "LogLevel Error"]  # fmt: skip
        if user:
            lines.append(f"BasicAuth {user} {password}")
        config.write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen(
            [self.program, "-d", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        until("tinyproxy to listen", self._listens, within=20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _listens(self) -> bool:
        assert self._process.poll() is None, "tinyproxy has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
