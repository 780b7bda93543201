"""`environments` and `deploy`: what they stand for, and that the daemon has no use for them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import build, loader
from exporter.config.environments import deployment
from exporter.config.roster import Roster
from exporter.model.deployment import Archives, Deployment
from exporter.model.endpoint import Basic, Bearer
from exporter.model.secret import Secret
from tests.config.make import built, loaded


@pytest.fixture(autouse=True)
def secrets_of_the_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_PROBES", "x")
    monkeypatch.setenv("T", "y")


def read(values: dict[str, Any]) -> Deployment:
    return deployment(loader.load_values(values, name="values").file)


TARGETS = [
    {"name": "a", "url": "http://h1:8000", "protocol": "open_inference", "model": "iris", "labels": {"env": "eu"}},
    {"name": "b", "url": "http://h2:8080", "protocol": "torchserve", "model": "iris", "labels": {"env": "us"}},
    {
        "name": "c", "url": "http://h3:8080", "protocol": "torchserve", "model": "iris", "module": "m",
        "management": {"url": "http://h3:9081", "token": {"env": "T"}}, "auth": {"bearer": {"env": "OF_THE_PROBES"}},
    },
]  # fmt: skip
VALUES = {
    "modules": {"m": {"labels": {"env": "us"}, "headers": {"X-Tenant": "t"}}},
    "targets": TARGETS,
    "environments": {
        "eu": {"select": {"env": "eu"}},
        "us": {"select": {"env": "us"}, "auth": {"basic": {"username": "me", "password": {"env": "PW"}}}},
        "c": {"select": {"target": "c", "protocol": "torchserve"}},
        "k": {"select": {"env": "eu"}, "kserve": {"namespace": "models", "storage_uri": "s3://m/{model}/{version}"}},
    },
    "deploy": {
        "auth": {"bearer": {"env": "TOKEN"}},
        "torchserve": {"url": "{model}-{version}.mar", "workers": 2},
        "ollama": {"create": {"from": "base"}},
    },
}


def test_what_they_stand_for() -> None:
    found = read(VALUES)
    names = {name: [site.target.name for site in each.sites] for name, each in found.environments.items()}
    assert names == {"eu": ["a"], "us": ["b", "c"], "c": ["c"], "k": ["a"]}
    assert found.archives == Archives("{model}-{version}.mar", 2)
    assert found.create == {"from": "base"}
    eu, us = found.environments["eu"], found.environments["us"]
    assert eu.auth == Bearer(Secret("env", "TOKEN"))
    assert us.auth == Basic("me", Secret("env", "PW"))
    assert [site.management for site in us.sites] == ["", "http://h3:9081"]
    service = found.environments["k"].service
    assert service is not None
    assert (service.name, service.storage_uri) == ("{model}", "s3://m/{model}/{version}")


def test_what_probes_send_to_identify_themselves_is_left_out() -> None:
    site = read(VALUES).environments["c"].sites[0]
    assert site.target.endpoint.auth is None
    assert site.target.endpoint.headers == (("X-Tenant", Secret("inline", "t")),)


def test_a_management_port_that_may_not_be_asked() -> None:
    target = {**TARGETS[1], "management": False}
    found = read({"targets": [target], "environments": {"us": {"select": {"env": "us"}}}})
    assert found.environments["us"].sites[0].management is None


def test_an_environment_without_targets_is_a_warning(tmp_path: Path) -> None:
    text = "targets: []\nenvironments:\n  eu: {select: {env: eu}}\n"
    (warning,) = loaded(tmp_path, text).warnings
    assert str(warning).endswith("config.yaml:3:16: environments.eu.select: no target has these labels")


def test_jobs_are_the_same_with_and_without() -> None:
    plain = {key: value for key, value in VALUES.items() if key not in ("environments", "deploy")}
    assert [job.fingerprint for job in built(plain).jobs] == [job.fingerprint for job in built(VALUES).jobs]


def test_a_secret_that_is_there_for_the_command_alone_does_not_stop_the_daemon(tmp_path: Path) -> None:
    values = {"targets": TARGETS[:1], "deploy": {"auth": {"bearer": {"file": "/no/such/secret"}}}}
    assert loaded(tmp_path, yaml.safe_dump(values)).warnings == []


def test_shown_without_credentials() -> None:
    shown = yaml.safe_load(build.dump(built(VALUES)))
    assert shown["environments"]["us"]["auth"]["basic"] == {"username": "<hidden>", "password": "<hidden>"}
    assert shown["deploy"]["auth"] == {"bearer": "<hidden>"}
    assert shown["environments"]["k"]["kserve"]["namespace"] == "models"


def test_in_a_file_of_their_own(tmp_path: Path) -> None:
    """The daemon need not see them at all."""
    blocks = ("environments", "deploy")
    (tmp_path / "models.yml").write_text(yaml.safe_dump({k: v for k, v in VALUES.items() if k not in blocks}))
    (tmp_path / "deploy.yml").write_text(yaml.safe_dump({k: v for k, v in VALUES.items() if k in blocks}))
    found = deployment(loader.load([tmp_path / "models.yml", tmp_path / "deploy.yml"]).file)
    assert [site.target.name for site in found.environments["us"].sites] == ["b", "c"]


class Nothing:
    """Nobody looked yet."""

    def found(self, source: str) -> None:
        return None

    def tried(self, source: str) -> bool:
        return False


def test_the_gate_of_an_environment_watches_its_targets_alone() -> None:
    """Neither other targets nor lists that are not read yet hold it up."""
    listed = {"catalogue": {"url": "http://gateway:4000", "protocol": "openai"}, "name": "gateway"}
    whole = built({**VALUES, "discovery": [listed]})
    roster = Roster(whole, [], None, frozenset({"a"}))
    assert {job.target.name for _, job in roster.jobs(Nothing())} == {"a"}
    assert list(roster.unread(Nothing())) == []
    assert len(list(Roster(whole, [], None).unread(Nothing()))) == 1
