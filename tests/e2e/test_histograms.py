"""Native histograms and exemplars, all the way: a real Prometheus asks for protobuf, and answers from what it got.

Debian's Prometheus 2, and Prometheus 3 where `sh tests/real/servers/install.sh otlp` has built it.
"""

import asyncio
import json
import math
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.ledger import Bounds, Form, Ledger
from exporter.ledger.native import SCHEMA
from exporter.metrics.exposition import Exposition
from exporter.web.connection import Runner
from exporter.web.scrape import Scrapes
from tests.metrics.world import World, job
from tests.real.prometheus import Prometheus
from tests.support.daemon import Daemon
from tests.support.fake import Fake, Request
from tests.support.ports import free_port
from tests.support.programs import need
from tests.support.web import until

pytestmark = pytest.mark.slow

THREE = Path(os.environ.get("MODEL_EXPORTER_REAL", Path(__file__).parents[2] / ".real"), "otlp", "prometheus")
VERSIONS = [2, 3] if THREE.exists() else [2]

#: Neighbouring edges of native buckets are this far apart: so wrong may a quantile be.
GROWTH = 2**2**-SCHEMA


@contextmanager
def prometheus(version: int, folder: Path, scraped: str, **more: Any) -> Iterator[Prometheus]:
    """One that takes native histograms and exemplars. `more`: keys of its scrape config that Prometheus 3 knows."""
    job = {"job_name": "models", "static_configs": [{"targets": [scraped.removeprefix("http://")]}]}
    if version == 2:
        program = need("prometheus", "apt-get install prometheus")
        features, config = "native-histograms,exemplar-storage", {}
    else:
        program, features = str(THREE), "exemplar-storage"
        config = {"scrape_configs": [{**job, "scrape_native_histograms": True, **more}]}
    running = Prometheus(program, folder, scraped, f"--enable-feature={features}", **config)
    try:
        yield running
    finally:
        running.process.kill()


@asynccontextmanager
async def served(ledger: Ledger) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/metrics", Scrapes(Exposition(ledger)).get)
    runner, port = Runner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


def spread(count: int) -> dict[str, list[float]]:
    """Durations as models have them: steady, of two kinds, and over six powers of ten, zeros among them."""
    dice = random.Random(9)
    return {
        "steady": [dice.lognormvariate(math.log(0.03), 0.2) for _ in range(count)],
        "two": [dice.choice((0.02, 3.0)) * dice.uniform(0.9, 1.1) for _ in range(count)],
        "wide": [0.0 if number % 50 == 0 else 10 ** dice.uniform(-4, 2) for number in range(count)],
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_prometheus_knows_the_quantiles(version: int, tmp_path: Path) -> None:
    world = World()
    world.ledger.bounds = Bounds(form=Form.NATIVE)
    samples = spread(3000)
    for name, values in samples.items():
        of = job(name)
        world.watch(of)
        for value in values:
            world.run(world.result(of, duration=value))
    async with served(world.ledger) as url:
        with prometheus(version, tmp_path, url) as asked:

            async def ask(expression: str) -> float | None:
                return await asyncio.to_thread(asked.value, expression)

            async with asyncio.timeout(60):
                while await ask("histogram_count(sum(model_probe_duration_seconds))") != 9000:
                    await asyncio.sleep(0.1)
            assert await ask("count(model_probe_duration_seconds_bucket)") is None
            for name, values in (*samples.items(), ("", list(chain(*samples.values())))):
                series = f'model_probe_duration_seconds{{target=~"{name or ".*"}"}}'
                assert await ask(f"histogram_sum(sum({series}))") == pytest.approx(sum(values), rel=1e-9)
                for part in (0.1, 0.5, 0.9, 0.99):
                    true = sorted(values)[math.ceil(part * len(values)) - 1]
                    told = await ask(f"histogram_quantile({part}, sum({series}))")
                    assert told is not None
                    assert true / GROWTH < told < true * GROWTH, f"{name or 'all'}, {part}: {told} where it is {true}"


def answered() -> Callable[[Request], tuple[int, str]]:
    return lambda request: (200, "ok")


def exemplars(asked: Prometheus, expression: str) -> set[str]:
    """Trace ids that Prometheus keeps of some series."""
    found = asked.api(f"query_exemplars?query={expression}&start=0&end=9999999999")
    return {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}


@pytest.mark.parametrize("form", ["both", "native"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_daemon_and_its_traces(version: int, form: str, tmp_path: Path) -> None:
    with Fake(answered()) as model:
        probes = {"health": {"interval": "200ms", "timeout": "1s"}}
        target = {"name": "a", "url": model.url, "protocol": "http", "probes": probes}
        daemon = Daemon(tmp_path, {"targets": [target], "metrics": {"histograms": form}})
        name = "model_probe_duration_seconds"
        try:
            more = {"always_scrape_classic_histograms": True} if form == "both" else {}
            with prometheus(version, tmp_path, daemon.url, **more) as asked:
                until("ten runs", lambda: (asked.value(f"histogram_count({name})") or 0) >= 10, within=60)
                assert asked.value('up{job="models"}') == 1
                told = asked.value(f"histogram_quantile(0.5, {name})")
                assert told is not None
                assert 0 < told < 1
                classic = asked.value(f'{name}_bucket{{le="+Inf"}}')
                if (form, version) == ("both", 3):
                    assert classic is not None
                    assert classic >= 10
                else:
                    assert classic is None
                own = asked.value("sum(model_exporter_loop_lag_seconds_bucket)")
                assert own is not None, "the exporter's own stay classic"
                if (form, version) == ("native", 2):
                    return  # it looks for them at classic buckets alone
                until("exemplars", lambda: exemplars(asked, name), within=30)
                sent = {request.headers["traceparent"].split("-")[1] for request in model.requests}
                assert exemplars(asked, name) <= sent
        finally:
            daemon.process.kill()
        events = [json.loads(line) for line in daemon.process.tail(200).splitlines() if line.startswith("{")]
        assert not [event for event in events if event.get("level") == "ERROR"]
