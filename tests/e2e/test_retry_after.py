"""A server that asks to be left alone is left alone, for ten intervals at most, whatever form it asks in."""

import time
from collections import defaultdict
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.web import until

pytestmark = pytest.mark.slow

INTERVAL = 0.2
MOST = 10 * INTERVAL
#: What is said, by who says it, and the interval that comes of it.
SAID: dict[str, tuple[str, float]] = {
    "seconds": ("1", 1.0),
    "an-hour": ("3600", MOST),
    "thirty-years": ("999999999", MOST),
    "the-end-of-time": ("Fri, 31 Dec 9999 23:59:59 GMT", MOST),
    "tomorrow": (formatdate(time.time() + 86_400, usegmt=True), MOST),
    "yesterday": (formatdate(time.time() - 86_400, usegmt=True), INTERVAL),
    "soon-enough": ("0", INTERVAL),
    "negative": ("-3600", INTERVAL),
    "no-number": ("NaN", INTERVAL),
    "without-end": ("inf", INTERVAL),
    "large-exponent": ("1e300", INTERVAL),
    "endless-digits": ("9" * 400, INTERVAL),
    "no-date": ("Mon, 99 Nov 2026 99:99:99 GMT", INTERVAL),
    "words": ("soon", INTERVAL),
    "nothing": ("", INTERVAL),
}


def test_a_retry_after_stretches_the_interval_to_ten_of_it_at_most(tmp_path: Path) -> None:
    arrived: dict[str, list[float]] = defaultdict(list)

    def answer(request: Request) -> Reply:
        name = request.path.removeprefix("/")
        arrived[name].append(time.monotonic())
        return 429, "slow down", {"Retry-After": SAID[name][0]}

    health = {"interval": "200ms", "timeout": "200ms", "retry": {"attempts": 1}}
    with Fake(answer) as fake:
        targets = [
            {"name": name, "url": f"{fake.url}/{name}", "protocol": "http", "probes": {"health": health}}
            for name in SAID
        ]
        with Daemon(tmp_path, {"limits": {"per_host": 100}, "targets": targets}) as daemon:
            until("five runs of each", lambda: all(len(arrived[name]) >= 5 for name in SAID), within=120)
            scrape = daemon.scrape()
            in_force = {
                name: scrape.value("model_probe_interval_seconds", target=name, probe="health") for name in SAID
            }
            assert daemon.terminate() == 0
    assert in_force == {name: pytest.approx(interval) for name, (_, interval) in SAID.items()}
    for name, (said, interval) in SAID.items():
        # Behind the first run, which does not come on the grid. Late ones are the machine's; the shortest is ours.
        shortest = min(after - before for before, after in pairwise(arrived[name][1:]))
        assert shortest <= interval + INTERVAL, f"{said!r} kept us away for {shortest:.2f} s"
        if interval > INTERVAL:
            assert shortest > 0.9 * interval, f"{said!r} was not heeded"
