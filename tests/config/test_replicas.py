"""Addresses of one target: how they are written, and what its jobs become at each of them."""

from pathlib import Path
from typing import Any

import pytest

from exporter.config import build
from exporter.config.replicas import Place, at, parse
from exporter.contracts import Found
from exporter.model.job import Kind
from exporter.model.observation import Detection
from tests.config.make import built, loaded

VLLM = Detection("openai", "vllm", ("health", "ready"), "why")


@pytest.mark.parametrize(
    ("written", "place", "shown"),
    [
        ("10.0.0.1", Place("10.0.0.1"), "10.0.0.1:80"),
        ("10.0.0.1:8000", Place("10.0.0.1", 8000), "10.0.0.1:8000"),
        ("[::1]", Place("::1"), "[::1]:80"),
        ("[fd00:0::1]:8000", Place("fd00::1", 8000), "[fd00::1]:8000"),
        ("fd00::1", Place("fd00::1"), "[fd00::1]:80"),
        ("fe80::1%eth0", Place("fe80::1%eth0"), "[fe80::1%eth0]:80"),
    ],
)
def test_addresses(written: str, place: Place, shown: str) -> None:
    assert parse([written]) == (place,)
    assert place.shown(80) == shown


def of(target: dict[str, Any], place: Place) -> list[Any]:
    return at(built({"targets": [{"url": "http://m.svc:80", **target}]}).jobs, place)


def test_a_replica_is_a_target_of_its_own_at_its_address() -> None:
    target = {"name": "a", "protocol": "open_inference", "model": "m", "labels": {"team": "x"}}
    health, ready, *_ = of(target, Place("10.0.0.1", 8000))
    assert (health.key, ready.key) == (("a@10.0.0.1:8000", "health"), ("a@10.0.0.1:8000", "ready"))
    watched = health.target
    assert watched is ready.target, "they share one memory"
    assert (watched.title, watched.group, watched.address) == ("a", "a", "10.0.0.1:8000")
    assert (watched.model, watched.labels) == ("m", {"team": "x"})
    endpoint = watched.endpoint
    assert (endpoint.addresses, endpoint.connect_port) == (("10.0.0.1",), 8000)
    assert (endpoint.host, endpoint.port, endpoint.authority) == ("m.svc", 80, "m.svc"), "what the server is told"
    assert watched.peer == ("10.0.0.1", 8000)


def test_the_urls_port_holds_where_an_address_has_none() -> None:
    for place in (Place("10.0.0.1"), Place("10.0.0.1", 80)):
        target = of({"name": "a", "protocol": "http"}, place)[0].target
        assert (target.name, target.endpoint.address_port, target.peer) == ("a@10.0.0.1:80", 0, ("10.0.0.1", 80))


def test_replicas_have_fingerprints_of_their_own() -> None:
    target = {"name": "a", "protocol": "http"}
    prints = {of(target, Place(address))[0].fingerprint for address in ("10.0.0.1", "10.0.0.2")}
    assert len(prints) == 2
    assert of(target, Place("10.0.0.1"))[0].fingerprint in prints


def test_what_auto_finds_at_one_address_holds_for_that_address() -> None:
    (question,) = of({"name": "a"}, Place("10.0.0.1", 8000))
    assert (question.kind, question.target.name) == (Kind.DETECT, "a@10.0.0.1:8000")
    health, ready = build.jobs_for_detection(question, VLLM)
    assert [health.key, ready.key] == [("a@10.0.0.1:8000", "health"), ("a@10.0.0.1:8000", "ready")]
    assert (health.target.protocol, health.target.group, health.target.address) == ("openai", "a", "10.0.0.1:8000")
    assert health.target.endpoint.addresses == ("10.0.0.1",)
    assert health.target.peer == ("10.0.0.1", 8000)


def test_replicas_are_in_the_dump_as_they_were_written(tmp_path: Path) -> None:
    text = (
        "targets:\n- {name: a, url: 'http://h', replicas: [10.0.0.1, '[::1]:90']}\n- {url: 'http://g', replicas: dns}\n"
    )
    shown = build.dump(build.build(loaded(tmp_path, text).file))
    assert "replicas:\n  - 10.0.0.1\n  - '[::1]:90'\n" in shown
    assert "replicas: dns\n" in shown
    assert loaded(tmp_path, shown, "again.yaml").file.targets == loaded(tmp_path, text).file.targets


def test_what_a_file_says_of_replicas_is_kept_by_name() -> None:
    made = built({"targets": [{"url": "http://h", "replicas": "dns"}, {"url": "http://g"}]})
    assert dict(made.replicas) == {"h:80": "dns"}
    assert Found(("10.0.0.1",)).names == ("10.0.0.1",)
