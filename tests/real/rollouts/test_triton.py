"""Triton takes a version, and gives the one before it back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.conformance.running import Running
from tests.real.conformance.servers.triton import IRIS, SPECS
from tests.real.conformance.spec import served_by
from tests.real.rollouts.by_config import Site
from tests.support.web import fetch, until

pytestmark = [pytest.mark.real, served_by("triton")]


@pytest.fixture
def triton(server: str, tmp_path: Path) -> Iterator[Running]:
    running = Running(next(spec for spec in SPECS if spec.name == "triton"), tmp_path / "triton")
    running.start()
    yield running
    running.end()


def ready(triton: Running) -> dict[str, list[str]]:
    """Models and their versions that the index says are ready."""
    found: dict[str, list[str]] = {}
    for entry in fetch(f"{triton.url}/v2/repository/index", method="POST", body={}).json():
        if entry.get("state") == "READY":
            found.setdefault(entry["name"], []).append(entry["version"])
    return found


def test_a_version_and_back(triton: Running, tmp_path: Path) -> None:
    models = triton.place.folder / "triton" / "models" / "iris"
    shutil.copytree(models / "1", models / "2")
    probes = {"ready": {"interval": "1s"}, "metadata": {}, "infer": {"interval": "1s", **IRIS}}
    site = Site(triton, tmp_path, {"protocol": "triton", "model": "iris", "probes": probes}, {})
    assert ready(triton)["iris"] == ["1"]

    done = site.deploy("--model", "iris", "--version", "2", "--to", "one")
    assert done.code == 0, done.stderr + str(done.told)
    assert ready(triton)["iris"] == ["2"]

    none = site.deploy("--model", "iris", "--version", "5", "--to", "one")
    assert none.code == 1
    assert "at least one version must be available" in none.told["environments"][0]["detail"]
    assert ready(triton)["iris"] == ["2"]
    nothing = site.deploy("--rollback", none.told["id"])
    assert nothing.code == 0
    assert nothing.told["rollback"][0]["outcome"] == "nothing"

    back = site.deploy("--rollback", done.told["id"])
    assert back.code == 0, back.stderr
    assert back.told["rollback"][0]["outcome"] == "done"
    until("version 1 alone", lambda: ready(triton)["iris"] == ["1"], within=30)


def test_a_version_of_a_model_that_is_not_loaded(triton: Running, tmp_path: Path) -> None:
    target = {"protocol": "triton", "model": "late", "probes": {"ready": {}}}
    done = Site(triton, tmp_path, target, {}).deploy("--model", "late", "--version", "1", "--to", "one")
    assert done.code == 2
    assert "set version_policy in the config.pbtxt of late" in done.stderr
    assert "late" not in ready(triton)
    done = Site(triton, tmp_path, target, {}).deploy("--model", "late", "--to", "one")
    assert done.code == 0, done.stderr
    assert ready(triton)["late"] == ["1"]
    assert Site(triton, tmp_path, target, {}).deploy("--rollback", done.told["id"]).code == 0
    until("late to be unloaded", lambda: "late" not in ready(triton), within=30)
