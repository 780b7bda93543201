"""A real name server on loopback: dnsmasq, from Debian."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.nameserver
import dns.resolver

from tests.support.ports import free_port
from tests.support.programs import need
from tests.support.web import until


class Dnsmasq:
    """Knows the domain `test` by `records` (lines of its config) and refuses every other; runs until the block ends."""

    def __init__(self, folder: Path, records: Sequence[str] = ()) -> None:
        self._program = need("dnsmasq", "apt-get install dnsmasq-base")
        self._config = folder / "dnsmasq.conf"
        self._records = records
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def set(self, *records: str) -> None:
        """Serve these from now on."""
        self._stop()
        self._records = records
        self._start()

    def freeze(self) -> None:
        """Answer nothing."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again."""
        self._running().send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        own = [
            "no-resolv",
            "no-hosts",
            "bind-interfaces",
            "listen-address=127.0.0.1",
            "local=/test/",
            f"port={self.port}",
        ]
        self._config.write_text("\n".join([*own, *self._records]) + "\n")
        user = ["--user=root"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [self._program, "--keep-in-foreground", *user, f"--conf-file={self._config}", "--pid-file="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until("dnsmasq to answer", self._answers, within=20)

    def _stop(self) -> None:
        process = self._running()
        process.kill()
        process.wait(10)

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def _answers(self) -> bool:
        assert self._running().poll() is None, "dnsmasq has ended"
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", self.port)]
        try:
            resolver.resolve("nobody.test", lifetime=0.2)
        except dns.resolver.NXDOMAIN:
            return True
        except dns.exception.DNSException:
            return False
        return True
