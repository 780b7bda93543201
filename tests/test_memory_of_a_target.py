"""What a target takes, in bytes that Python's allocator handed out: a count, unlike resident memory, and the same
anywhere.

Whoever makes a target larger has to say here that it is worth it.
"""

import asyncio
import gc
import json
import linecache
import tracemalloc

import pytest

from exporter.app import Daemon, Options
from exporter.contracts import Headers, Response
from exporter.metrics.negotiation import OPENMETRICS
from exporter.transport.http import HttpExchange

#: Bytes of a target with a health probe, scraped as text, by its series: with the usual buckets, and with two.
MOST = {51: 11_300, 40: 10_150}

pytestmark = pytest.mark.slow

FEW, MANY = 50, 450
AT_ONCE = 10


async def answered(self, method, path, **_):
    """As a server does that is quick and says nothing; every number has an object of its own, as measured ones have."""
    self._outgoing.head(method, path, (), None, self._trace_id, self._hidden)
    account, began = self._account, self.now()
    account.begin(began)
    account.address = self._outgoing.addresses[0]
    for name in ("connect", "first_byte", "transfer"):
        account.phase(name, began - (began - 0.004))
    account.http_status, account.response_bytes = 200, 2
    account.end(began + 0.012)
    return Response(200, Headers(), b"{}", began + 0.012)


class Watching:
    """An exporter at work, of so many targets."""

    def __init__(self, folder, count, bounds):
        probes = {"health": {"interval": "1h"}}
        self.config = folder / f"{count}.yml"
        self.config.write_text(
            json.dumps(
                {
                    "metrics": {"buckets": {"duration": bounds}} if bounds else {},
                    "modules": {"asked": {"protocol": "http", "probes": probes}},
                    "targets": [
                        {
                            "name": f"t{number}",
                            "url": f"http://127.1.{number // 250}.{number % 250}:8000/health",
                            "module": "asked",
                        }
                        for number in range(count)
                    ],
                }
            )
        )
        self.landed = asyncio.Queue()
        options = Options(config=(self.config,), listen=(("127.0.0.1", 0),), reload_interval=0)
        self.daemon = Daemon(options, self.landed.put_nowait)

    async def run(self):
        """All once, a few at a time: what runs at the same moment takes memory of its own."""
        while not self.daemon.ready:
            await asyncio.sleep(0)
        names = list(self.daemon.ledger.targets)
        for start in range(0, len(names), AT_ONCE):
            waiting = set(names[start : start + AT_ONCE])
            for name in waiting:
                assert self.daemon.engine.pull(name)
            while waiting:
                result = await asyncio.wait_for(self.landed.get(), 60)
                waiting.discard(result.job.target.name)

    def held(self):
        """Bytes, without the attempts that are over and wait among the timers to be forgotten."""
        self.daemon.engine._runner._timers.sweep()
        return held()

    async def scrape(self):
        """Series of a target."""
        seen = 0
        async for text in self.daemon.exposition.render(OPENMETRICS):
            seen += text.count(b"\nmodel_probe_")
        return seen / len(self.daemon.ledger.targets)


def held():
    """Bytes, once nothing is garbage; without the sources that were read to tell where the loop stood still."""
    linecache.clearcache()
    gc.unfreeze()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(HttpExchange, "request", answered)
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(("series", "bounds"), [(51, None), (40, [0.1, 1.0])])
async def test_a_target_takes_few_bytes(tmp_path, counting, series, bounds):
    sizes = {}
    for count in (FEW, FEW, MANY):  # what all share is there after the first
        before = held()
        watching = Watching(tmp_path, count, bounds)
        await watching.daemon.start()
        try:
            await watching.run()
            await watching.scrape()
            await watching.run()
            assert await watching.scrape() == pytest.approx(series, abs=0.5)
            sizes[count] = watching.held() - before
        finally:
            await watching.daemon.stop()
    each = (sizes[MANY] - sizes[FEW]) / (MANY - FEW)
    print(f"\n{series} series: {each:.0f} bytes")
    assert each <= MOST[series]


async def test_a_reload_leaves_nothing_of_the_old_config(tmp_path, counting):
    """Nothing changed, and what was made of the old file is gone."""
    for count in (FEW, MANY):  # what the first reload of all loads is there after that of the few
        watching = Watching(tmp_path, count, None)
        await watching.daemon.start()
        try:
            await watching.run()
            await watching.run()
            before = watching.held()
            await watching.daemon.reload()
            await watching.run()
            more = (watching.held() - before) / count
        finally:
            await watching.daemon.stop()
    print(f"\na reload: {more:.0f} bytes more")
    assert more < 200
