"""Starts: one after the other on one port, ended at any moment, and with each config that is wrong."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from tests.support import wrong_configs
from tests.support.daemon import Daemon, command
from tests.support.fake import Fake
from tests.support.machine import Machine
from tests.support.ports import free_port, taken
from tests.support.web import answers, until

pytestmark = pytest.mark.slow

Size = Callable[[int, int], int]
Figure = Callable[[str], None]
#: What nobody can start faster than who is built on it.
YARDSTICK = "import aiohttp.web, pydantic, prometheus_client"
TROUBLE = ("Traceback", "Task was destroyed", "never retrieved", "never awaited", "Unclosed", "Warning")


def watching(url: str) -> dict[str, object]:
    probes = {"health": {"interval": "500ms", "timeout": "400ms"}}
    return {"targets": [{"name": "t", "url": url, "protocol": "http", "probes": probes}]}


def assert_quiet(daemon: Daemon) -> None:
    assert not [word for word in TROUBLE if word in daemon.process.stderr], daemon.process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_has_begun(tmp_path: Path, number: signal.Signals, fake: Fake) -> None:
    """At whatever moment of the start it comes, and when that is just over, it ends."""
    for wait in (0.0, 0.1, 0.3, 0.6, None):
        with (
            Daemon(tmp_path, watching(fake.url), ready=False, name=f"at-{wait}") as daemon,
            Machine(daemon.process.pid) as machine,
        ):
            if wait is None:
                daemon.wait_ready()
            else:
                time.sleep(wait)
            asked = time.perf_counter()
            daemon.process.signal(number)
            daemon.process.wait(20)
            ended = time.perf_counter()
            assert ended - asked <= 1.0 + machine.took(asked, ended)
            if number is signal.SIGTERM:
                assert_quiet(daemon)


def test_restarts_on_one_port(tmp_path: Path, fake: Fake, size: Size, figure: Figure) -> None:
    """By turns killed and asked to end, with a client connected; nothing of the one before is in the way. Between them,
    in the same run, the time of a Python that only loads what we are built on, and ends: from exec to exit, as ours is
    from exec to ready.
    """
    port = free_port()
    times, own, cpu = [], [], []  # by the clock; less what the machine took; of the CPU, until the end
    yardsticks, yardsticks_cpu = [], []
    for number in range(size(6, 50)):
        if number % size(1, 5) == 0:
            before, began = _used(), time.perf_counter()
            subprocess.run([sys.executable, "-c", YARDSTICK], check=True)
            yardsticks.append(time.perf_counter() - began)
            yardsticks_cpu.append(_used() - before)
        before, began = _used(), time.perf_counter()
        with (
            Daemon(tmp_path, watching(fake.url), port=port, ready=False) as daemon,
            Machine(daemon.process.pid) as machine,
        ):
            until("/-/ready", lambda: answers(f"{daemon.url}/-/ready"), within=60, every=0.01, log=daemon.process.tail)
            ready = time.perf_counter()
            times.append(ready - began)
            own.append(ready - began - machine.took(began, ready))
            with socket.create_connection(("127.0.0.1", port)):  # its end of it will outlive the process for a minute
                if number % 2:
                    assert daemon.terminate() == 0
                else:
                    daemon.process.signal(signal.SIGKILL)
                    daemon.process.wait(10)
            assert_quiet(daemon)
        cpu.append(_used() - before)
    assert not taken(port)
    ready, yardstick = median(times), median(yardsticks)
    figure(
        f"{len(times)} restarts: ready after {ready:.2f} s (median; {min(times):.2f} to {max(times):.2f} s), of which "
        f"{median(own):.2f} s were its own ({min(own):.2f} at least), "
        f"{median(cpu):.2f} s of CPU from start to end; a Python that only imports aiohttp.web, pydantic and "
        f"prometheus_client: {yardstick:.2f} s ({min(yardsticks):.2f} to {max(yardsticks):.2f} s); "
        f"{ready / yardstick:.2f} times as long"
    )
    assert ready < 2.5 * yardstick
    # A second, where such a Python takes 0.4 s of CPU.
    assert min(own) <= max(1.0, 2.5 * min(yardsticks_cpu))


class End(NamedTuple):
    """How a start ended; seconds by the clock and of the CPU."""

    code: int
    told: str
    took: float
    used: float


def start(path: Path, *more: object) -> End:
    """`model-exporter run` with this config, until it ends by itself."""
    return by_itself("run", "--listen", f"127.0.0.1:{free_port()}", "--config", path, *more)


def by_itself(*arguments: object) -> End:
    """A command, until it ends by itself."""
    before, began = _used(), time.perf_counter()
    done = subprocess.run([*command(), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    return End(done.returncode, done.stdout + done.stderr, time.perf_counter() - began, _used() - before)


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def good_start(tmp_path: Path, fake: Fake) -> Callable[[object], float]:
    """Seconds of CPU from the start with a good config until it is ready and has ended again."""

    def used(config: object) -> float:
        before = _used()
        with Daemon(tmp_path, config, name="good", ready=False) as daemon:
            daemon.wait_ready(within=120)
            assert daemon.terminate() == 0
        return _used() - before

    return used


def test_every_wrong_config_ends_the_start(
    tmp_path: Path, fake: Fake, good_start: Callable[[object], float], size: Size, figure: Figure
) -> None:
    """With code 2, the place, and no sooner could it have been ready."""
    wrong_configs.write_files(tmp_path / "files")
    wrong_configs.write_all(tmp_path)
    good = good_start(watching(fake.url))
    names = sorted(path.name for path in wrong_configs.BAD.glob("*.yaml"))[:: size(24, 1)]
    ends = {name: start(tmp_path / name) for name in names}
    for name, end in ends.items():
        assert end.code == 2, (name, end)
        assert f"{tmp_path / name}:" in end.told, (name, end)
        assert "Traceback" not in end.told
        assert "s3cr3t" not in end.told
        assert end.used < 1.5 * good, (name, end)
    slowest = max(ends, key=lambda name: ends[name].took)
    figure(
        f"{len(ends)} wrong configs: each ended the start with code 2, the slowest ({slowest}) after "
        f"{ends[slowest].took:.2f} s; {max(end.used for end in ends.values()):.2f} s of CPU at most "
        f"(a good start: {good:.2f})"
    )


def test_what_is_no_file_ends_the_start(
    tmp_path: Path, fake: Fake, good_start: Callable[[object], float], size: Size
) -> None:
    """With code 2, the path and what is there in place of a file; nobody waits for somebody to write to a FIFO."""
    good = good_start(watching(fake.url))
    config, folder, fifo, large = (tmp_path / name for name in ("config.yml", "folder", "fifo", "large"))
    config.write_text("targets: []\n")
    folder.mkdir()
    os.mkfifo(fifo)
    with large.open("wb") as file:
        file.truncate(50_000_000)
    missing = tmp_path / "missing"
    kinds = {fifo: "is a FIFO", folder: "is a directory", large: "size limit of 32MB", missing: "No such file"}
    for path, what in list(kinds.items())[: size(1, 4)]:
        for end in (
            start(path), start(config, "--web-config", path), by_itself("check", path, "--web-config", path)
        ):  # fmt: skip
            assert end.code == 2, (path, end)
            assert str(path) in end.told, (path, end)
            assert what in end.told, (path, end)
            assert "Traceback" not in end.told, (path, end)
            assert end.used < 1.5 * good, (path, end)


def test_a_large_wrong_config_ends_the_start(
    tmp_path: Path, good_start: Callable[[object], float], size: Size, figure: Figure
) -> None:
    """A megabyte whose last line is wrong. Lines are looked for in a second reading, which costs as much again."""
    line = "  - {{name: t{}, url: 'http://127.0.0.1:9/{}', protocol: http, labels: {{team: risk}}}}\n"
    text = "targets:\n" + "".join(line.format(number, number) for number in range(size(1_000, 11_000)))
    good = good_start(text)
    path = tmp_path / "wrong.yml"
    path.write_text(text + "  - {name: last, url: 'http://127.0.0.1:9/', intervall: 5s}\n")
    end = start(path)
    assert end.code == 2
    assert f"{path}:{text.count(chr(10)) + 1}:" in end.told
    assert end.used < 3 * good
    figure(
        f"a wrong config of {len(text) / 1e6:.1f} MB: ended after {end.took:.2f} s, {end.used:.2f} s of CPU "
        f"(a good start: {good:.2f})"
    )
