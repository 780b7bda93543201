"""TorchServe registers an archive, gives it workers, makes it the default, and takes all of it back."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.conformance.running import Running
from tests.real.conformance.servers.mlserver import ROWS
from tests.real.conformance.servers.torchserve import SPECS, command
from tests.real.conformance.spec import served_by
from tests.real.rollouts.by_config import Site
from tests.support.web import fetch

pytestmark = [pytest.mark.real, served_by("torchserve")]


@pytest.fixture
def torchserve(server: str, tmp_path: Path) -> Iterator[Running]:
    spec = replace(SPECS[0], command=lambda place: (*command(place), "--enable-model-api"))
    running = Running(spec, tmp_path / "torchserve")
    running.start()
    yield running
    running.end()


def archive(store: Path, version: str) -> None:
    """Another version of `iris`, the same but for its number."""
    with zipfile.ZipFile(store / "iris.mar") as old, zipfile.ZipFile(store / f"iris-{version}.mar", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "MAR-INF/MANIFEST.json":
                manifest = json.loads(data)
                manifest["model"]["modelVersion"] = version
                data = json.dumps(manifest).encode()
            new.writestr(name, data)


def versions(running: Running) -> tuple[list[str], str]:
    """All versions of `iris`, and the default one."""
    management = running.spec.target(running.place)["management"]
    every = fetch(f"{management}/models/iris/all").json()
    (default,) = fetch(f"{management}/models/iris").json()
    return sorted(each["modelVersion"] for each in every), default["modelVersion"]


def test_a_version_beside_the_old_one_and_back(torchserve: Running, tmp_path: Path) -> None:
    archive(torchserve.place.folder / "store", "8.0")
    expect = {"json": {"path": "classes", "equals": [0, 2]}}
    target = {
        "protocol": "torchserve", "model": "iris", **torchserve.spec.target(torchserve.place),
        "probes": {"metadata": {}, "infer": {"interval": "1s", "body": {"rows": ROWS}, "expect": expect}},
    }  # fmt: skip
    site = Site(torchserve, tmp_path, target, {"torchserve": {"url": "{model}-{version}.mar"}})
    assert versions(torchserve) == (["7.0"], "7.0")

    done = site.deploy("--model", "iris", "--version", "8.0", "--to", "one")
    assert done.code == 0, done.stderr + str(done.told)
    assert len(done.told["environments"][0]["calls"]) == 3
    assert versions(torchserve) == (["7.0", "8.0"], "8.0")

    again = site.deploy("--model", "iris", "--version", "8.0", "--to", "one")
    assert again.code == 0
    assert again.told["environments"][0]["calls"] == []

    back = site.deploy("--rollback", done.told["id"])
    assert back.code == 0, back.stderr + str(back.told)
    assert versions(torchserve) == (["7.0"], "7.0")

    none = site.deploy("--model", "iris", "--version", "9.0", "--to", "one")
    assert none.code == 1
    assert "HTTP 404" in none.told["environments"][0]["detail"]
    assert versions(torchserve) == (["7.0"], "7.0")
