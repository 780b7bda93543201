"""The farm of cheap model servers: built from farm.c, run as a process of its own."""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

SOURCE = Path(__file__).with_name("farm.c")
TARGETS = 1000


class Arrivals(NamedTuple):
    """What the farm saw since the last reset, in seconds.

    p50 and p99 say how far the gaps between two requests to a target were from the interval; `first` is when the first
    request came, on the clock of `time.monotonic`, 0 when none did.
    """

    requests: int
    gaps: int
    p50: float
    p99: float
    shortest: float
    longest: float
    first: float


class Certificate(NamedTuple):
    """What a farm that speaks TLS shows, and its key."""

    path: Path
    key: Path


def build(folder: Path) -> Path:
    """Compile the farm; a clear message where there is no C compiler. With TLS where OpenSSL's headers are."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        raise SystemExit("bench: needs a C compiler for the farm of fake servers (apt-get install gcc libc6-dev)")
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "farm"
    command = [compiler, "-O2", "-Wall", "-o", program, SOURCE]
    if subprocess.run([*command, "-DTLS", "-lssl", "-lcrypto"], capture_output=True, check=False).returncode:
        subprocess.run(command, check=True)
    return program


def certificate(folder: Path) -> Certificate | None:
    """One made for the occasion; None where there is no `openssl`."""
    made = Certificate(folder / "farm.crt", folder / "farm.key")
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", *request, "-subj", "/CN=farm", "-keyout", str(made.key), "-out", str(made.path)]
    if shutil.which("openssl") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return made


class Farm:
    """`count` addresses that answer every request with a 200; over TLS where there is a certificate."""

    def __init__(
        self, program: Path, port: int, core: int, count: int = TARGETS, shown: Certificate | None = None
    ) -> None:
        scheme = "http" if shown is None else "https"
        self._origins = [f"{scheme}://127.1.{i // 250}.{i % 250 + 1}:{port}" for i in range(count)]
        self.urls = self.at("/health")
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), program, str(port), str(count), *(shown or ())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def at(self, path: str) -> list[str]:
        """The same path at every address."""
        return [origin + path for origin in self._origins]

    def reset(self, interval: float) -> None:
        """Forget what was seen; compare gaps with this interval from now on."""
        self._say(f"reset {round(interval * 1e6)}")
        assert self._answer() == "ok"

    def report(self) -> Arrivals:
        """What was seen since the last reset."""
        self._say("report")
        requests, gaps, *times = map(int, self._answer().split())
        return Arrivals(requests, gaps, *(time / 1e6 for time in times))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"bench: the farm ended with {self._process.wait()}")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
