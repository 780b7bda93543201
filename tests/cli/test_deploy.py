"""`model-exporter deploy` on servers of the tests: what is printed, where, and the exit code."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from exporter.cli.deploy import STATE
from tests.fakes.repository import Repository

pytestmark = pytest.mark.slow

NONE = "http://127.0.0.1:9"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(folder: Path, **urls: str) -> Path:
    """A config with a target and an environment for each url; a server is ready when it has the model."""
    probes = {"ready": {"interval": "200ms", "timeout": "2s"}}
    targets = [
        {"name": f"iris-{name}", "url": url, "protocol": "open_inference", "model": "iris", "labels": {"env": name},
         "probes": probes}
        for name, url in urls.items()
    ]  # fmt: skip
    path = folder / "models.yml"
    environments = {name: {"select": {"env": name}} for name in urls}
    path.write_text(yaml.safe_dump({"targets": targets, "environments": environments}))
    return path


async def run(invoke: Any, *args: Any) -> Result:
    """The command, in a thread: the servers answer on this loop."""
    within = () if "--timeout" in args else ("--timeout", "30s")
    return await asyncio.to_thread(invoke, ["deploy", *args, *within])


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


async def test_brought_and_taken_back(here: Path, invoke: Any) -> None:
    async with Repository() as eu, Repository() as us:
        path = config(here, eu=eu.url, us=us.url)
        done = await run(invoke, "--config", path, "--model", "iris", "--version", "7", "--to", "eu", "--to", "us")
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("good: 2 of 2 environments\n")
        assert [row[:3] for row in rows(done.stdout)[1:]] == [
            ["WAVE", "ENVIRONMENT", "OUTCOME"], ["1", "eu", "good"], ["2", "us", "good"],
        ]  # fmt: skip
        assert (eu.loaded, us.loaded) == (["7"], ["7"])
        identity = done.stderr.split()[1].rstrip(",")
        assert done.stderr == f"deployment {identity}, recorded in {STATE}\n"
        back = await run(invoke, "--config", path, "--rollback", identity)
        assert back.exit_code == 0, back.output
        assert back.stdout.startswith("good: 2 servers as before\n")
        assert (eu.loaded, us.loaded) == ([], [])


async def test_one_of_two_fails(here: Path, invoke: Any) -> None:
    async with Repository() as eu, Repository() as us:
        us.fails = 500
        path = config(here, eu=eu.url, us=us.url)
        done = await run(invoke, "--config", path, "--model", "iris", "--to", "us,eu", "--json")
        assert done.exit_code == 1
        told = json.loads(done.stdout)
        assert (told["good"], told["model"], told["version"], told["state"]) == (False, "iris", None, STATE)
        first, second = told["environments"]
        assert (first["outcome"], second["outcome"]) == ("failed", "good")
        load = f"POST {us.url}/v2/repository/models/iris/load"
        assert first["detail"] == f"iris-us: {load}: HTTP 500: RuntimeError: no such file"
        assert first["calls"] == [load]
        assert f"to take it back: model-exporter deploy --config {path} --state {STATE} --rollback {told['id']}" in (
            done.stderr
        )


async def test_a_dry_run_changes_nothing(here: Path, invoke: Any) -> None:
    async with Repository() as eu, Repository(triton=True) as us:
        us.loaded, us.versions = ["1"], ["1", "7"]
        path = config(here, eu=eu.url, us=us.url)
        args = ("--config", path, "--model", "iris", "--version", "7", "--to", "eu", "--to", "us", "--dry-run")
        done = await run(invoke, *args)
        assert done.exit_code == 0, done.output
        load = "v2/repository/models/iris/load"
        assert [" ".join(row) for row in rows(done.stdout)[1:]] == [
            f"1 eu iris-eu POST {eu.url}/{load}", f"2 us iris-us POST {us.url}/{load} version 7", "nothing was changed",
        ]  # fmt: skip
        told = json.loads((await run(invoke, *args, "--json")).stdout)
        assert told["plan"][1] == {
            "wave": 2, "environment": "us", "target": "iris-us", "failure": None,
            "calls": [{"call": f"POST {us.url}/{load}", "note": "version 7"}],
        }  # fmt: skip
        assert (eu.loaded, us.loaded) == ([], ["1"])
    assert not (here / STATE).exists()


async def test_a_dry_run_of_one_that_is_not_there(here: Path, invoke: Any) -> None:
    done = await run(invoke, "--config", config(here, eu=NONE), "--model", "iris", "--to", "eu", "--dry-run")
    assert done.exit_code == 1
    assert "none: GET http://127.0.0.1:9/v2: connect_refused (ECONNREFUSED)" in done.stdout


async def test_what_cannot_be_done_touches_nothing(here: Path, invoke: Any) -> None:
    async with Repository() as eu, Repository() as us:
        eu.versions = ["7", "8"]
        path = config(here, eu=eu.url, us=us.url)
        done = await run(invoke, "--config", path, "--model", "iris", "--version", "8", "--to", "eu", "--to", "us")
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: us: {us.url} cannot load version 8 of iris: a load takes no version")
        assert (eu.loaded, us.loaded) == ([], [])
    assert not (here / STATE).exists()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--to", "eu"], "Missing option '--model'"),
        (["--model", "iris"], "Missing option '--to'"),
        (["--model", "iris", "--to", "eu,,us"], "'eu,,us' has an empty name in it"),
        (["--model", "iris", "--to", "eu", "--to", "us,eu"], "eu would be deployed to twice"),
        (["--model", "iris", "--to", "asia"], "unknown environment 'asia'; known: eu"),
        (["--model", "words", "--to", "eu"], "no target of this environment asks for the model words, only for iris"),
        (["--model", "iris", "--rollback", "x"], "--rollback takes back all of a deployment"),
        (["--rollback", "x", "--dry-run"], "--dry-run and --rollback do not go together"),
        (["--rollback", "x"], f"{STATE}: No such file"),
        (["--model", "iris", "--to", "eu", "--state", "no/folder"], "no/folder: No such file or directory; every step"),
    ],
)
def test_wrong_usage(here: Path, invoke: Any, args: Sequence[str], why: str) -> None:
    done = invoke(["deploy", "--config", config(here, eu=NONE), *args])
    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())


def test_a_wrong_config(here: Path, invoke: Any) -> None:
    path = here / "models.yml"
    path.write_text("targets: []\ndeploy: {auth: {}}\n")
    done = invoke(["deploy", "--config", path, "--model", "iris", "--to", "eu"])
    assert done.exit_code == 2
    assert "models.yml:2:16: deploy.auth: found none" in done.stderr


async def test_a_secret_appears_nowhere(here: Path, invoke: Any) -> None:
    async with Repository() as eu:
        eu.token = "t0p-s3cr3t"
        path = config(here, eu=eu.url)
        values = yaml.safe_load(path.read_text())
        (here / "token").write_text("wr0ng-s3cr3t")
        values["deploy"] = {"auth": {"bearer": {"file": str(here / "token")}}}
        path.write_text(yaml.safe_dump(values))
        done = await run(invoke, "--config", path, "--model", "iris", "--to", "eu")
        assert done.exit_code == 1
        assert "denied, as is" in done.stdout
        assert "s3cr3t" not in done.output + (here / STATE).read_text()
        (here / "token").write_text("t0p-s3cr3t")
        (await run(invoke, "--config", path, "--model", "iris", "--to", "eu", "--timeout", "2s"))
        assert eu.loaded == ["7"]
        assert "s3cr3t" not in (here / STATE).read_text()
