"""A target whose name has addresses that come and go: the daemon in this process, with a resolver the test moves."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import USER_AGENT, once
from exporter.app import Daemon, Options
from exporter.discovery import dns
from exporter.model.state import State
from exporter.rollout.wait import Terms
from exporter.transport import Resolver, Transport
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

PROBES = {"health": {"interval": "100ms", "timeout": "2s"}}


class Names:
    """What the resolver says: addresses, or an error; `asked` are the names."""

    def __init__(self) -> None:
        self.addresses: list[str] | None = None
        self.asked: list[str] = []

    def lookup(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if self.addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return self.addresses


async def until(condition: Callable[[], Any], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    monkeypatch.setattr(dns, "INTERVAL", 0.1)
    return Names()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on three addresses of the loopback, at one port."""
    port = free_port()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    servers = [await asyncio.start_server(answer, f"127.0.0.{number}", port) for number in (1, 2, 3)]
    yield port
    for server in servers:
        server.close()


def config(tmp_path: Path, port: int) -> Options:
    target = {
        "name": "g",
        "url": f"http://models.test:{port}/",
        "protocol": "http",
        "replicas": "dns",
        "probes": PROBES,
    }
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"targets": [target, {**target, "name": "h"}]}))
    return Options(config=(path,), listen=(), reload_interval=0.0, shutdown_grace=0.0)


@pytest.fixture
async def daemon(tmp_path: Path, port: int, names: Names) -> AsyncIterator[Daemon]:
    daemon = Daemon(config(tmp_path, port))
    daemon.transport = Transport(user_agent=USER_AGENT, resolver=Resolver(names.lookup))
    yield daemon
    await daemon.stop()


def watched(daemon: Daemon, name: str = "g") -> set[str]:
    return {record.target.address for record in daemon.ledger if record.target.title == name}


async def test_addresses_come_and_go_and_the_others_keep_their_counters(
    daemon: Daemon, names: Names, port: int
) -> None:
    names.addresses = ["127.0.0.2", "127.0.0.1"]
    await daemon.start()
    assert watched(daemon) == set(), "nothing is asked by name while the first look-up is under way"
    await until(lambda: watched(daemon) == {f"127.0.0.1:{port}", f"127.0.0.2:{port}"})
    assert watched(daemon, "h") == watched(daemon)
    stays = daemon.ledger.targets[f"g@127.0.0.1:{port}"]
    await until(lambda: stays.probes["health"].runs >= 2)
    names.addresses = ["127.0.0.3", "127.0.0.1"]
    await until(lambda: watched(daemon) == {f"127.0.0.1:{port}", f"127.0.0.3:{port}"})
    assert daemon.ledger.targets[f"g@127.0.0.1:{port}"] is stays
    assert stays.probes["health"].runs >= 2
    await until(lambda: dict(daemon.ledger.groups["g"].states()) == {State.HEALTHY: 2})
    assert set(names.asked) == {"models.test"}, "the probes themselves look nothing up"


async def test_a_look_up_that_fails_keeps_the_last_addresses_and_is_counted(
    daemon: Daemon, names: Names, port: int
) -> None:
    names.addresses = ["127.0.0.1"]
    await daemon.start()
    await until(lambda: watched(daemon))
    names.addresses = None
    failures = daemon.ledger.own.discovery_failures
    await until(lambda: failures["dns:models.test"] >= 3)
    assert watched(daemon) == {f"127.0.0.1:{port}"}
    names.addresses = ["127.0.0.2"]
    await until(lambda: watched(daemon) == {f"127.0.0.2:{port}"})


async def test_a_name_that_was_never_looked_up_is_watched_by_name(daemon: Daemon, names: Names, port: int) -> None:
    await daemon.start()
    await until(lambda: watched(daemon) == {""})
    await until(lambda: daemon.ledger.targets["g"].state is State.ERROR)
    assert daemon.ledger.targets["g"].verdict.reason == "dns"
    assert daemon.ledger.groups == {}
    names.addresses = ["127.0.0.1"]
    await until(lambda: watched(daemon) == {f"127.0.0.1:{port}"})


async def test_more_addresses_than_are_watched_are_counted(daemon: Daemon, names: Names, port: int) -> None:
    names.addresses = [f"127.0.1.{number}" for number in range(70)]
    await daemon.start()
    await until(lambda: watched(daemon))
    assert len(watched(daemon)) == 64
    assert daemon.ledger.own.discovery_over_limit["dns:models.test"] == 6


async def test_a_reload_goes_on_with_what_is_known(daemon: Daemon, names: Names, port: int) -> None:
    names.addresses = ["127.0.0.1"]
    await daemon.start()
    await until(lambda: watched(daemon))
    names.addresses = None
    record = daemon.ledger.targets[f"g@127.0.0.1:{port}"]
    path = daemon.options.config[0]
    path.write_text(path.read_text().replace('"h"', '"i"'))
    assert await daemon.reload() == []
    assert daemon.ledger.targets[f"g@127.0.0.1:{port}"] is record
    assert watched(daemon, "i") == {f"127.0.0.1:{port}"}
    assert watched(daemon, "h") == set()


async def test_waiting_waits_until_every_address_is_known_and_good(
    tmp_path: Path, port: int, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def transport(**given: Any) -> Transport:
        return Transport(resolver=Resolver(names.lookup), **given)

    monkeypatch.setattr("exporter.app.Transport", transport)
    seen: list[set[str]] = []

    def look(verdict: Any) -> None:
        seen.append({f"{standing.target}: {standing.detail}" for standing in verdict.blocking})
        if len(seen) == 1:
            names.addresses = ["127.0.0.1", "127.0.0.2"]

    options = config(tmp_path, port)
    verdict = await once.wait(options, Terms(select=(("target", "g"),)), timeout=20, on_update=look)
    assert verdict.ready
    assert "g: what is there was not found yet" in seen[0]
    assert {standing.target for standing in verdict.standings} == {f"g@127.0.0.1:{port}", f"g@127.0.0.2:{port}"}
