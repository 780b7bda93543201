import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter.model.state import State
from exporter.web import api, connection, scrape

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]

HOSTILE = 'a"} 1\nx{\\n="<b>'


async def test_the_default_is_text(client: Client, house: Any) -> None:
    house.watch(HOSTILE)
    house.watch("b", State.ERROR)
    answer = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in answer.headers
    [up] = [family for family in parse(await answer.text()) if family.name == "model_probe_up"]
    assert {sample.labels["target"]: sample.value for sample in up.samples} == {HOSTILE: 1, "b": 0}


async def test_openmetrics_by_negotiation(client: Client, house: Any) -> None:
    house.watch("a")
    accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,text/plain;version=0.0.4;q=0.4"
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert "model_probe_up" in {family.name for family in openmetrics(await answer.text())}
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "garbage", "a/b;q=x", ";;;,,,", "text/plain;q=0", "x" * 8000, "text/html"]
)
async def test_odd_accepts_get_the_default(client: Client, accept: str) -> None:
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.content_type == "text/plain"


async def test_a_thousand_encodings(client: Client) -> None:
    many = ",".join(f"x{number}" for number in range(1000))
    answer = await client.get("/metrics", headers={"Accept-Encoding": many})
    assert answer.status == 200
    assert "Content-Encoding" not in answer.headers


async def test_gzip_when_accepted(client: Client, house: Any) -> None:
    for number in range(200):
        house.watch(f"t{number}")
    plain = await (await client.get("/metrics", headers={"Accept-Encoding": "identity"})).text()
    async with client.session.get(
        client.make_url("/metrics"), headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = await answer.read()
    assert len(packed) < len(plain) / 4
    kept = [line for line in plain.splitlines() if line.startswith("model_probe_")]
    assert [line for line in gzip.decompress(packed).decode().splitlines() if line.startswith("model_probe_")] == kept
    refused = await client.get("/metrics", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers


async def test_many_scrapes_at_once(client: Client, house: Any) -> None:
    for number in range(100):
        house.watch(f"t{number}")

    async def one() -> bytes:
        async with client.session.get(
            client.make_url("/metrics"), headers={"Accept-Encoding": "gzip"}, auto_decompress=False
        ) as answer:
            assert answer.status == 200
            return zlib.decompress(await answer.read(), 31)

    for body in await asyncio.gather(*(one() for _ in range(60))):
        assert body.count(b"\nmodel_probe_up{") == 100


async def test_scrapes_that_get_no_turn_are_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch, open_client: Any, house: Any
) -> None:
    monkeypatch.setattr(scrape, "AT_ONCE", 1)
    monkeypatch.setattr(scrape, "PATIENCE", 0.05)
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 0.3)
    for number in range(1000):
        house.watch(f"{number}" * 60)
    client = await open_client()
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stuck, (client.host, client.port))
        await loop.sock_sendall(stuck, b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
        await loop.sock_recv(stuck, 100)
        answer = await client.get("/metrics")
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        async with asyncio.timeout(10):  # the stuck reader loses its place
            while (await client.get("/metrics")).status != 200:
                await asyncio.sleep(0.02)


async def test_only_so_many_wait_for_a_turn(monkeypatch: pytest.MonkeyPatch, open_client: Any, house: Any) -> None:
    """Those beyond are told at once, and the others get their turn."""
    monkeypatch.setattr(scrape, "AT_ONCE", 1)
    monkeypatch.setattr(scrape, "WAITING", 3)
    monkeypatch.setattr(scrape, "PATIENCE", 60.0)
    for number in range(100):
        house.watch(f"t{number}")
    client = await open_client()

    async def one() -> int:
        async with client.get("/metrics") as answer:
            await answer.read()
            status: int = answer.status
            return status

    found = await asyncio.gather(*(one() for _ in range(40)))
    assert set(found) == {200, 503}
    assert found.count(200) >= 4
    assert await one() == 200


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/targets"])
async def test_a_reader_has_its_time_however_long_the_answer_takes_to_make(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any, path: str
) -> None:
    """A machine that is short of CPU may need longer to write a scrape than its reader may to read it."""
    house.watch("a")

    async def late(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            await asyncio.sleep(0.6)
            yield item

    render, unhurried = scrape.Exposition.render, api.unhurried
    monkeypatch.setattr(scrape.Exposition, "render", lambda *args, **kind: late(render(*args, **kind)))
    monkeypatch.setattr(api, "unhurried", lambda items: late(unhurried(items)))
    monkeypatch.setattr(connection, "READ_TIMEOUT", 0.5)
    answer = await client.get(path, headers={"Accept-Encoding": "identity"})
    text = await answer.text()
    assert text.endswith("]}\n") if path.startswith("/api") else "model_probe_runs_total{" in text
