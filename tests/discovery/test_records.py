"""Records of a real name server as targets: what is found, what is none, and what a failure keeps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.discovery import records
from exporter.discovery.listing import Choice, Listing
from exporter.discovery.records import Question, read
from exporter.model.failure import Failure, Reason
from tests.support.daemon import Daemon
from tests.support.dnsmasq import Dnsmasq
from tests.support.fake import Fake
from tests.support.web import until

pytestmark = pytest.mark.slow

ZONE = (
    "srv-host=_http._tcp.llm.test,one.llm.test,8000,1,10",
    "srv-host=_http._tcp.llm.test,two.llm.test,8001,2,10",
    "srv-host=_http._tcp.gone.test",
    "host-record=one.llm.test,127.0.0.2,fd00::2",
    "host-record=one.llm.test,127.0.0.3",
    "cname=alias.test,one.llm.test",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Dnsmasq]:
    with Dnsmasq(tmp_path, ZONE) as made:
        yield made


def question(server: Dnsmasq, *names: str, **other: Any) -> Question:
    values: dict[str, Any] = {"type": "SRV", "port": 0, "timeout": 5.0, **other}
    return Question(names, servers=(("127.0.0.1", server.port),), **values)


async def addresses(asked: Question) -> list[str] | None:
    (part,) = await read(asked)
    return None if part.entries is None else sorted(entry["__address__"] for entry in part.entries)


async def test_srv_records_bring_their_ports(server: Dnsmasq) -> None:
    (part,) = await read(question(server, "_http._tcp.llm.test."))
    assert sorted(part.entries or (), key=str) == [
        {
            "__meta_dns_name": "_http._tcp.llm.test.",
            "__meta_dns_srv_record_target": f"{name}.llm.test",
            "__meta_dns_srv_record_port": port,
            "__address__": f"{name}.llm.test:{port}",
        }
        for name, port in (("one", "8000"), ("two", "8001"))
    ]


@pytest.mark.parametrize(
    ("name", "type", "found"),
    [
        ("one.llm.test", "A", ["127.0.0.2:80", "127.0.0.3:80"]),
        ("alias.test", "A", ["127.0.0.2:80", "127.0.0.3:80"]),
        ("one.llm.test", "AAAA", ["[fd00::2]:80"]),
        ("_http._tcp.gone.test", "SRV", []),  # "." says there is no service
        ("two.llm.test", "A", []),  # no such name
        ("one.llm.test", "SRV", []),  # no such records
    ],
)
async def test_what_a_name_has(server: Dnsmasq, name: str, type: str, found: list[str]) -> None:
    assert await addresses(question(server, name, type=type, port=80)) == found


async def test_a_server_that_refuses_or_is_silent_says_nothing_about_what_exists(server: Dnsmasq) -> None:
    (part,) = await read(question(server, "models.example", type="A"))
    assert part.entries is None
    assert "REFUSED" in part.problem
    server.freeze()
    (part,) = await read(question(server, "one.llm.test", type="A", timeout=0.2))
    assert (part.entries, part.reason) == (None, Reason.DNS)
    assert part.problem == "one.llm.test: no answer within 0.2 s"


async def test_each_name_keeps_what_it_had(server: Dnsmasq) -> None:
    asked = question(server, "_http._tcp.llm.test", "_http._tcp.more.test", timeout=0.5)

    def name_of(labels: Any) -> str:
        return str(labels["__address__"])

    listing = Listing("l", "p", 1.0, lambda: read(asked), Choice((), name_of, 10))
    assert (await listing.find()).names == ("one.llm.test:8000", "two.llm.test:8001")
    server.set("srv-host=_http._tcp.more.test,three.test,1,1,1", "server=/llm.test/127.0.0.1#9")  # no server there
    found = await listing.find()
    assert found.names == ("one.llm.test:8000", "three.test:1", "two.llm.test:8001")
    assert found.failure is not None
    assert found.failure.reason is Reason.DNS
    assert found.failure.detail.startswith("_http._tcp.llm.test: ")


async def test_nothing_ever_found_is_a_failure(server: Dnsmasq) -> None:
    server.freeze()
    listing = Listing("l", "p", 1.0, lambda: read(question(server, "a.test", timeout=0.1)), Choice((), str, 10))
    with pytest.raises(Failure) as caught:
        await listing.find()
    assert caught.value.reason is Reason.DNS


async def test_look_ups_go_side_by_side(server: Dnsmasq, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead names cost the time of one for each `AT_ONCE` of them."""
    under_way: list[int] = [0, 0]
    real = records._look_up

    def counted(asked: Question, name: str) -> Any:
        under_way[0] += 1
        under_way[1] = max(under_way)
        try:
            return real(asked, name)
        finally:
            under_way[0] -= 1

    monkeypatch.setattr(records, "_look_up", counted)
    server.freeze()
    parts = await read(question(server, *(f"n{number}.test" for number in range(20)), timeout=0.3))
    assert len(parts) == 20
    assert under_way[1] == records.AT_ONCE


def test_a_daemon_follows_the_records(server: Dnsmasq, tmp_path: Path) -> None:
    """A target appears with its record, stays while the name server is silent, and leaves with its record."""
    source = "a:llm.test"
    with Fake(lambda request: (200, "ok", {})) as fake:
        port = int(fake.url.rpartition(":")[2])
        server.set("host-record=llm.test,127.0.0.1")
        dns = {"names": ["llm.test"], "type": "A", "port": port, "servers": [server.address], "interval": "200ms",
               "timeout": "500ms"}  # fmt: skip
        zone = {"source_labels": ["__meta_dns_name"], "target_label": "zone"}
        config = {
            "defaults": {"interval": "200ms", "timeout": "2s"},
            "modules": {"plain": {"protocol": "http", "probes": {"health": {}}}},
            "discovery": [{"dns": dns, "module": "plain", "relabel_configs": [zone]}],
        }
        with Daemon(tmp_path, config) as daemon:

            def told(name: str) -> float | None:
                return daemon.scrape().value(f"model_exporter_{name}", source=source)

            up = daemon.until_state(f"127.0.0.1:{port}", "healthy", within=20)
            assert up.labels("model_probe_state", zone="llm.test", state="healthy")
            server.freeze()
            until("a failure", lambda: told("discovery_failures_total"), within=20)
            assert told("targets") == 1
            server.set("host-record=other.test,127.0.0.9")
            until("the target to leave", lambda: told("targets") == 0, within=20)
    (line,) = [each for each in daemon.events() if each["msg"] == "discovery failed, what was found last stays"]
    assert (line["reason"], line["detail"]) == ("dns", "llm.test: no answer within 0.5 s")
