"""When the exporter itself is sick it says so, and what crashes comes back: the whole daemon, in this process."""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from exporter import app, garbage, pulse, supervisor
from exporter.config.watching import Watcher
from exporter.config.web_watch import WebFile
from exporter.discovery import _Loop
from exporter.engine.engine import Engine
from exporter.engine.wheel import Wheel
from exporter.ledger import Ledger
from exporter.metrics.exposition import Exposition
from exporter.sinks.jsonl import JsonlSink
from exporter.training.follow import Follower
from tests.support.fake import Fake, Reply, Request
from tests.support.scrape import Scrape
from tests.support.web import Answer, fetch

pytestmark = pytest.mark.slow

#: Who creates which tasks, and so ends them: by the name of the coroutine's function.
OWNERS = {
    "Supervisor._keep_running": "the supervisor: components",
    "Daemon._ask_again": "the supervisor: single questions",
    "Runner._fly": "the engine: a run",
    "Runner._read_load": "the engine: the load beside a run",
    "Lane._write": "a sink",
    "Exposition._render": "the exposition: one rendering for all who scrape",
    "Lease._fly": "the leases: what many ask once",
    "RequestHandler.start": "the web server: a client's connection",
    "_Reader._read": "training: a log being read",
    "Backlog._read": "training: a log being read",
    "BaseServer.serve_forever": "the web server",
}


@pytest.fixture
def fake() -> Iterator[Fake]:
    def well(request: Request) -> Reply:
        return 200, "ok"

    with Fake(well) as server:
        yield server


class Running:
    """The daemon on this loop; it is asked from a thread, as others ask."""

    def __init__(self, daemon: app.Daemon) -> None:
        self.daemon = daemon
        self.url = f"http://127.0.0.1:{daemon.addresses[0][1]}"

    async def get(self, path: str, timeout: float = 20) -> Answer:
        return await asyncio.to_thread(fetch, self.url + path, timeout=timeout)

    async def until(self, what: str, true: Callable[[], Any], within: float = 30) -> None:
        end = time.monotonic() + within
        while not true():
            assert time.monotonic() < end, f"waited in vain for {what}"
            await asyncio.sleep(0.02)

    def probed(self) -> float:
        record = self.daemon.ledger.targets["a"]
        return float(sum(probe.runs for probe in record.probes.values()))


Start = Callable[[], Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """A daemon with every component there is."""
    monkeypatch.setattr(supervisor, "_BACKOFF", (0.05, 0.4))
    (tmp_path / "more.yml").write_text("[]")
    log = tmp_path / "train.log"
    log.write_text("step=1 loss=0.5\n")
    password = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"rate_limit: {{interval: 1ms, burst: 1000}}\n# {password}\n")
    probes = {"health": {"interval": "100ms", "timeout": "2s"}}
    config = {
        "modules": {"plain": {"protocol": "http", "probes": probes}},
        "targets": [{"name": name, "url": fake.url, "module": "plain"} for name in ("a", "b")],
        "discovery": [{"file": {"paths": ["more.yml"]}, "module": "plain"}],
        "training": [{"job": "job", "file": {"path": str(log)}, "preset": "plain"}],
        "sinks": [{"jsonl": {"path": str(tmp_path / "out.jsonl"), "rotate": "1MB"}}],
    }
    path = tmp_path / "models.yml"
    path.write_text(json.dumps(config))
    options = app.Options(
        config=(path,), listen=(("127.0.0.1", 0),), web_config=tmp_path / "web.yml", reload_interval=0.2,
        shutdown_grace=1.0,
    )  # fmt: skip
    started: list[app.Daemon] = []

    async def run() -> Running:
        daemon = app.Daemon(options)
        await daemon.start()
        started.append(daemon)
        running = Running(daemon)
        await running.until("the first runs", lambda: running.probed() > 2)
        return running

    yield run
    for daemon in started:
        await daemon.stop()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"tasks that outlive the daemon: {left}"


async def test_every_task_has_an_owner(start: Start) -> None:
    before = asyncio.all_tasks()
    running = await start()
    components: set[str] = set()
    for _ in range(40):
        scraping = asyncio.create_task(running.get("/metrics"))
        for task in asyncio.all_tasks() - before - {scraping}:
            name = getattr(task.get_coro(), "__qualname__", "")
            if name.startswith("BaseEventLoop") or name in ("Running.get", "to_thread"):
                continue
            assert name in OWNERS, f"nobody owns {task}"
            if name == "Supervisor._keep_running":
                components.add(task.get_name())
        await scraping
    assert components == {"wheel", "reload", "detection", "memory", "watcher", "web_config", "discovery", "training"}


#: Component -> what of it is made to crash, the first times it runs.
CRASHES: dict[str, tuple[Any, str]] = {
    "wheel": (Engine, "run"),
    "reload": (app.Daemon, "reload"),
    "detection": (app.Daemon, "_apply"),
    "watcher": (Watcher, "digest"),
    "web_config": (WebFile, "_digest"),
    "discovery": (_Loop, "run"),
    "training": (Follower, "run"),
    "memory": (garbage, "give_back"),
}


@pytest.mark.parametrize("component", CRASHES)
async def test_a_component_that_crashes_is_counted_and_comes_back(
    component: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = CRASHES[component]
    real, crashes, again = getattr(owner, name), [0], asyncio.Event()
    # These run from the start; the others when something is.
    armed = component in ("wheel", "discovery", "training", "memory")

    def broken(*args: Any, **kwargs: Any) -> Any:
        if armed and crashes[0] < 2:
            crashes[0] += 1
            raise RuntimeError(f"injected into {component}")
        if armed:
            again.set()
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)
    running = await start()
    armed, own = True, running.daemon.ledger.own
    for _ in range(3):
        if component == "reload":
            running.daemon.reload_soon()
        if component == "detection":
            running.daemon._apply_wanted.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(again.wait(), 1)
    await asyncio.wait_for(again.wait(), 30)
    assert own.component_restarts[component] >= 2
    assert own.internal_errors[component] >= 2
    probed = running.probed()
    await running.until("further runs", lambda: running.probed() > probed)
    scrape = Scrape((await running.get("/metrics")).body)
    assert (scrape.value("model_exporter_component_restarts_total", component=component) or 0) >= 2


async def test_a_sink_that_crashes_is_counted_and_goes_on(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, crashed = JsonlSink.send, asyncio.Event()

    async def broken(self: JsonlSink, payload: Any, key: str) -> None:
        if not crashed.is_set():
            crashed.set()
            raise RuntimeError("injected into the sink")
        await real(self, payload, key)

    monkeypatch.setattr(JsonlSink, "send", broken)
    running = await start()
    await asyncio.wait_for(crashed.wait(), 30)
    written = running.daemon.ledger.own.sink_written
    await running.until("records written after the crash", lambda: sum(written.values()) > 0)
    assert running.daemon.ledger.own.internal_errors["sinks"] == 1


async def test_what_crashes_without_end_fails_liveness(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF", (0.001, 60.0))
    monkeypatch.setattr(supervisor, "HOPELESS", 3)

    async def broken(self: Follower) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(Follower, "run", broken)
    running = await start()
    await running.until("many crashes", lambda: running.daemon.ledger.own.component_restarts["training"] >= 3)
    told = await running.get("/-/healthy")
    assert told.status == 503
    assert told.body.startswith("not healthy: training crashed ")
    assert (await running.get("/-/ready")).status == 200


def late(text: str) -> float:
    """Turns of the loop that came more than a second late so far."""
    scrape = Scrape(text)
    soon = scrape.value("model_exporter_loop_lag_seconds_bucket", le="1.0") or 0
    return (scrape.value("model_exporter_loop_lag_seconds_count") or 0) - soon


async def test_a_blocked_loop_is_told_by_liveness_and_metrics(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start()
    assert (await running.get("/-/healthy")).status == 200
    before = (await running.get("/metrics")).body
    blocked = threading.Event()
    stood: list[float] = []

    def block() -> None:
        blocked.set()
        began = time.perf_counter()
        time.sleep(2.5)
        stood.append(time.perf_counter() - began)

    def ask(timeout: float) -> Answer:
        blocked.wait(20)
        return fetch(f"{running.url}/-/healthy", timeout=timeout)

    during = asyncio.create_task(asyncio.to_thread(ask, 1.0))
    patient = asyncio.create_task(asyncio.to_thread(ask, 20.0))
    asyncio.get_running_loop().call_later(0.05, block)
    with pytest.raises(OSError, match="timed out"):
        await during
    told = await patient
    assert told.status == 503
    said = re.match(r"not healthy: the event loop stood still for (\d+\.\d+) s", told.body)
    assert said, told.body
    assert 2.0 <= float(said[1]) < stood[0] + 0.5  # longer where the machine stood still besides
    after = (await running.get("/metrics")).body
    assert late(after) - late(before) >= 1
    assert pulse.TOLD < 1.0, "kubelet asks again after a second at the soonest"
    end = time.monotonic() + 20
    while (await running.get("/-/healthy")).status != 200:
        assert time.monotonic() < end, "the loop turns, and is told to be stuck"
        await asyncio.sleep(0.1)


async def test_a_wheel_that_stands_still_fails_liveness(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start()
    monkeypatch.setattr("exporter.engine.engine._SICK", 0.5)
    monkeypatch.setattr(Wheel, "_turn", lambda self: None)  # the timer fired, and nothing followed

    async def sick() -> bool:
        told = await running.get("/-/healthy")
        return told.status == 503 and "the schedule stands still" in told.body

    end = time.monotonic() + 20
    while not await sick():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_a_schedule_that_was_ended_fails_liveness(start: Start) -> None:
    running = await start()
    running.daemon.engine._wheel.stop()
    told = await running.get("/-/healthy")
    assert (told.status, told.body) == (503, "not healthy: no probe is being started\n")
    assert (await running.get("/-/ready")).status == 503


async def test_a_ledger_that_takes_nothing_fails_liveness(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start()
    monkeypatch.setattr("exporter.engine.engine._SICK", -1.9)  # deadlines here are two seconds

    def stuck(self: Ledger, result: Any) -> bool:
        raise RuntimeError("injected into the ledger")

    monkeypatch.setattr(Ledger, "record", stuck)
    await running.until("many runs that nobody books", lambda: running.daemon.ledger.own.internal_errors["engine"] > 3)
    await asyncio.sleep(0.3)
    told = await running.get("/-/healthy")
    assert told.status == 503
    assert "nothing is booked" in told.body
    monkeypatch.undo()


async def test_a_rendering_that_crashes_is_counted_and_the_next_works(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start()
    real = Exposition._render

    async def broken(self: Exposition, *args: Any) -> Any:
        raise RuntimeError("injected into the exposition")

    monkeypatch.setattr(Exposition, "_render", broken)
    with contextlib.suppress(OSError):  # cut off, where the answer had begun: no scraper takes that for a scrape
        assert (await running.get("/metrics")).status == 500
    monkeypatch.setattr(Exposition, "_render", real)
    assert (await running.get("/metrics")).status == 200
    assert running.daemon.ledger.own.internal_errors["web"] == 1
