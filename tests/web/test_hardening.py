"""What clients do to the exporter's own port: one row each, against the real process on its real loop.

What needs doors a test can move, or times a test can shorten, stands in tests/web: half heads and clients that do not
read (test_connection), floods of what is no HTTP (test_connection), passwords (test_passwords, test_access), TLS
(test_access), the allow-list of /probe (test_admission, test_on_demand).
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from tests.support import lateness
from tests.support.crowd import crowd
from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.machine import Machine
from tests.support.web import fetch

pytestmark = pytest.mark.slow

NASTY = """<img src=x onerror=alert(1)>"}\\' &amp; {{7*7}}"""
#: At once; more than there are places for.
SCRAPES = int(os.environ.get("SCRAPES", "5000"))
HALF = 2000
HEAD = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n"


def answer(request: Request) -> Reply:
    if request.path.startswith("/nasty"):
        return 401, json.dumps({"error": {"message": NASTY}}), {"Content-Type": "application/json"}
    return 200, "ok"


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with Fake(answer) as server:
        yield server


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, fake: Fake) -> Iterator[Daemon]:
    health = {"health": {"interval": "2s", "timeout": "1s"}}
    targets: list[dict[str, Any]] = [
        {"name": f"target-{number}", "url": fake.url, "protocol": "http", "probes": health} for number in range(20)
    ]
    nasty = {"name": NASTY, "protocol": "http", "labels": {"team": NASTY}, "probes": health}
    targets.append({**nasty, "url": f"{fake.url}/nasty"})
    with Daemon(tmp_path_factory.mktemp("web"), {"targets": targets}) as running:
        running.until_state(NASTY, "unhealthy", within=30)
        running.until_state("target-0", "healthy", within=30)
        yield running


@pytest.fixture(autouse=True)
def unhurt(daemon: Daemon) -> Iterator[None]:
    """Whatever a row did, the exporter is well afterwards and has seen no bug of its own."""
    yield
    assert daemon.process.returncode is None, daemon.process.tail()
    assert daemon.get("/-/healthy").status == 200
    scrape = daemon.scrape()
    assert not list(scrape.all("model_exporter_internal_errors_total")), daemon.process.tail()
    daemon.until_state("target-0", "healthy", within=30)  # its server is in this process, which may have stood still
    assert "Traceback" not in daemon.process.stderr


def memory(daemon: Daemon, key: str = "VmRSS") -> int:
    """Bytes of the process."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


async def speak(daemon: Daemon, said: bytes, *, within: float = 20) -> bytes:
    """Say something, and hear all until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    try:
        async with asyncio.timeout(within):
            writer.write(said)
            heard = b""
            while piece := await reader.read(65536):
                heard += piece
            return heard
    except ConnectionError:
        return heard
    finally:
        writer.close()


def scrapes(daemon: Daemon, go_on: Callable[[], bool]) -> list[float]:
    """Seconds that scrapes took, one after the other, the longest last."""
    took = []
    while go_on():
        answer = daemon.get("/metrics", timeout=60)
        assert answer.status == 200
        took.append(answer.seconds)
    return sorted(took)


def p99(took: list[float]) -> float:
    return took[int(0.99 * len(took))]


def test_w1_two_thousand_half_requests(daemon: Daemon) -> None:
    """Closed within 10 s; of the scrapes meanwhile 99 of 100 take at most 200 ms, or thrice what they take alone."""
    before, quiet = descriptors(daemon), time.perf_counter() + 2
    alone = scrapes(daemon, lambda: time.perf_counter() < quiet)
    with Machine(daemon.process.pid) as machine, crowd(daemon.port, HALF, HEAD.decode()) as clients:
        began = time.perf_counter()
        beside = scrapes(daemon, lambda: clients.there)
        ends, ended = clients.ends(), time.perf_counter()
        print(f"{HALF} half requests: closed after {ends.longest:.2f} s at most; {len(beside)} scrapes meanwhile took "
              f"{p99(beside):.3f} s (p99), {beside[-1]:.3f} s at most; alone {p99(alone):.3f} s (p99)")  # fmt: skip
        assert ends.statuses == {"cut": HALF}
        taken = machine.at_once(began, ended)
        assert ends.longest <= 10 + taken
        assert p99(beside) <= max(0.2, 3 * p99(alone)) + taken
    while descriptors(daemon) > before + 2:
        time.sleep(0.1)


def test_w2_thousands_of_scrapes_at_once(daemon: Daemon) -> None:
    """By clients that ask as soon as they are let in; answered or sent away, while probes keep their schedule."""
    daemon.get("/metrics")
    before, seen = memory(daemon), daemon.scrape()
    with Machine(daemon.process.pid) as machine:
        began = time.perf_counter()
        with crowd(daemon.port, SCRAPES, HEAD.decode() + "Connection: close\r\n\r\n") as clients:
            ends = clients.ends()
        after, ended = daemon.scrape(), time.perf_counter()
        late = lateness.between(seen, after, machine.at_once(began, ended))
    grown = memory(daemon, "VmHWM") - before
    print(f"{SCRAPES} scrapes in {ended - began:.1f} s: {ends.statuses}; {grown / 1e6:+.0f} MB; {late.told}")
    assert sum(ends.statuses.values()) == SCRAPES
    assert set(ends.statuses) <= {"200", "503", "cut"}, ends
    assert ends.statuses.get("200", 0) > 50, ends
    assert grown < 100_000_000
    health = {"target": "target-0", "probe": "health"}
    assert (after.value("model_probe_runs_total", **health) or 0) > (
        seen.value("model_probe_runs_total", **health) or 0
    )
    late.hold()


async def test_w4_bodies_and_heads_without_end(daemon: Daemon) -> None:
    before = memory(daemon)
    endless = [
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
        HEAD + b"Content-Length: 1000000000\r\n\r\n" + b"x" * 3_000_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 500_000 + b"\r\nx\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"\x1f\x8b" * 10,
    ]
    for said in endless * 3:
        heard = await speak(daemon, said)
        assert heard[5:10] in (b"1.1 4", b"1.0 4", b""), heard[:200]  # a reset may take the answer along
    assert memory(daemon) - before < 30_000_000


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "//etc/passwd", "/metrics/..;/config", "/metrics/",
        "/metrics%00", "/%00", "/static/../server.py", "/static/%2e%2e%2fserver.py", "/static//page.css",
        "/static/page.css/..", "/.git/config", "/metrics;x", "/METRICS", "/%6detrics/x", "/api/v1/", "/api/v2/targets",
        "/debug/pprof/", "/debug", "/-/quit", "/-/lifecycle", "/metrics\\..\\config",
    ],
)  # fmt: skip
async def test_w5_w13_paths_that_are_none(daemon: Daemon, path: str) -> None:
    heard = await speak(daemon, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert heard.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), heard[:100]
    assert b"root:" not in heard
    assert b"import" not in heard


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PUT", "PATCH", "OPTIONS", "FOO", "PROPFIND", "get", "QUERY"])
async def test_w6_methods_that_are_none(daemon: Daemon, method: str) -> None:
    target = "exporter:80" if method == "CONNECT" else "/metrics"
    said = f"{method} {target} HTTP/1.1\r\nHost: x\r\nX-Told: s3cr3t\r\nConnection: close\r\n\r\n"
    heard = await speak(daemon, said.encode())
    assert heard.startswith((b"HTTP/1.1 405 ", b"HTTP/1.0 405 ")), heard[:100]
    assert b"\r\nAllow: " in heard
    assert b"s3cr3t" not in heard, "TRACE threw the request back"
    assert f'"{method}"' not in daemon.scrape().text


def test_w7_a_host_header_moves_nothing(daemon: Daemon) -> None:
    for path in ("/", "/api/v1/targets", "/metrics", "/openapi.json"):
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        heard = daemon.get(path, headers=evil)
        assert "evil.example" not in heard.body
        assert "evil.example" not in str(heard.headers)
    refused = daemon.get("/-/reload", method="POST", headers={"Host": "evil.example", "Origin": "http://exporter"})
    assert refused.status == 403


def test_w8_names_and_errors_are_text_wherever_they_stand(daemon: Daemon) -> None:
    page = daemon.get("/").body
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert "javascript:" not in page.lower()
    assert "49" not in page.partition("&amp;amp;")[2][:40], "the name is read as a template"
    named = daemon.get(f"/api/v1/targets/{quote(NASTY, safe='')}")
    assert named.headers["Content-Type"].startswith("application/json")
    assert json.loads(named.body)["name"] == NASTY
    assert json.loads(daemon.get("/api/v1/targets").body)
    for path in (f"/ready/{quote(NASTY, safe='')}", f"/probe?target={quote(NASTY)}", f"/probe?module={quote(NASTY)}"):
        heard = daemon.get(path)
        assert heard.headers["Content-Type"].startswith("text/plain"), path
    plain = daemon.get("/metrics", headers={"Accept": "text/plain"}).body
    exposed = daemon.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"}).body
    for read, body in ((text, plain), (openmetrics, exposed)):
        found = {sample.labels.get("target") for family in read(body) for sample in family.samples}
        assert NASTY in found


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/config", "/-/healthy", "/nowhere", "/api/v1/targets", "/probe", "/static/page.css"]
)
def test_w9_headers(daemon: Daemon, path: str) -> None:
    headers = daemon.get(path).headers
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "model-exporter"
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "asked",
    [
        {"Accept": "x" * 5000}, {"Accept": "text/plain;q=banana, */*;q=nan"}, {"Accept": ";;;,,,="}, {"Accept": "\xff"},
        {"Accept": "application/openmetrics-text;q=1e999"}, {"Accept": "text/html;level=1;level=2;q=0"},
        {"Accept": ",".join(["text/plain;q=0.1"] * 1000)}, {"Accept-Encoding": ",".join(["gzip;q=0.5"] * 1000)},
        {"Accept-Encoding": "gzip;q=x, \x01"}, {"Accept-Encoding": "identity;q=0, *;q=0"},
    ],
    ids=lambda asked: repr(asked)[:40],
)  # fmt: skip
def test_w12_garbage_in_accept(daemon: Daemon, asked: dict[str, str]) -> None:
    heard = fetch(f"{daemon.url}/metrics", headers=asked)
    assert heard.status == 200 or 400 <= heard.status < 500
    assert heard.status != 200 or "Content-Type" in heard.headers


@pytest.mark.parametrize(
    "query",
    ["?name[]=nothing", "?collect[]=x", "?name[]=" + "a" * 5000, "?" + "&".join(["name[]=up"] * 2000), "?%", "?a=%ff"],
)
def test_w12_filters(daemon: Daemon, query: str) -> None:
    heard = daemon.get(f"/metrics{query}")
    assert heard.status == 200 or 400 <= heard.status < 500
    if heard.status == 200:
        assert list(text(heard.body))


@pytest.mark.parametrize(
    "said",
    [
        HEAD
        + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 44\r\n\r\nabcGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\nGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\nHost: x\n\nGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Folded: a\r\n b\r\n\r\nGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length : 3\r\n\r\nabcGET /config HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["cl-te", "two-cl", "te-te", "te-vt", "bare-lf", "obs-fold", "space-colon"],
)
async def test_w14_smuggling(daemon: Daemon, said: bytes) -> None:
    heard = await speak(daemon, said)
    assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), heard[:200]
    assert heard.count(b"HTTP/1.") == 1, "what follows was taken for a request"
    assert heard.startswith(b"HTTP/1.0 ") or b"\r\nConnection: close\r\n" in heard
