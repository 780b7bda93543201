"""Entries of `training` as what is followed."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config import build, loader, on_demand
from exporter.config.training import Preset, Training, followed
from exporter.model.endpoint import Basic, Bearer, HeaderAuth, Service
from exporter.model.secret import Secret
from exporter.model.training import Divergence, Outcome, Rules
from exporter.training.folder import Folder
from exporter.training.follow import Job
from exporter.training.parsers import PRESETS
from exporter.training.sources.file import File
from exporter.training.sources.http import Http
from exporter.training.sources.kubernetes import Kubernetes
from exporter.training.sources.mlflow import Mlflow


def made(**entry: Any) -> Job | Folder:
    file = loader.load_values({"training": [entry]}, name="values", folder="/etc/models").file
    (only,) = followed(file.training or ())
    return only


def test_the_smallest_entry() -> None:
    assert made(job="a", file={"path": "a.log"}) == Job("a", File("/etc/models/a.log"), preset="plain")


def test_everything_of_a_job() -> None:
    job = made(
        job="a", file={"path": "/a.log", "start": "end"}, regex=r"loss=(?P<loss>\S+)",
        ends={"finished": "done", "killed": "9"}, stall_after="1m", names=["loss"],
        diverged={"factor": 3, "values": 5},
    )  # fmt: skip
    assert job == Job(
        "a", File("/a.log", "end"), regex=r"loss=(?P<loss>\S+)", ends={Outcome.FINISHED: "done", Outcome.KILLED: "9"},
        rules=Rules(60.0, frozenset({"loss"}), Divergence("loss", 3.0, 5)),
    )  # fmt: skip


def test_a_folder_of_jobs() -> None:
    folder = made(job_from="folder", file={"glob": "runs/*/train.log", "forget": "2h", "limit": 7}, preset="json")
    assert folder == Folder("/etc/models/runs/*/train.log", Job("", File(""), preset="json"), "folder", 7200.0, 7)
    usual = made(job_from="filename", file={"glob": "*.log"})
    assert isinstance(usual, Folder)
    assert (usual.forget, usual.limit, usual.job_from) == (3600.0, 100, "filename")


@pytest.mark.parametrize(
    ("block", "auth"),
    [
        ({"bearer": {"env": "HOME"}}, Bearer(Secret("env", "HOME"))),
        ({"basic": {"username": "u", "password": "p"}}, Basic("u", Secret("inline", "p"))),
        ({"header": {"name": "X-Key", "value": "k"}}, HeaderAuth("X-Key", Secret("inline", "k"))),
    ],
)
def test_servers(block: Any, auth: Any) -> None:
    log = made(job="a", http={"url": "HTTP://h:1/log/?key=s3cr3t", "auth": block, "headers": {"X": "1"}})
    assert isinstance(log, Job)
    headers = (("X", Secret("inline", "1")),)
    assert log.source == Http(Service("http://h:1/log/?key=s3cr3t", auth, headers))
    assert "s3cr3t" not in log.source.shown
    run = made(job="a", mlflow={"url": "https://h/base/", "run": "abc", "auth": block})
    assert isinstance(run, Job)
    assert run.source == Mlflow(Service("https://h/base", auth), "abc")


def test_pods() -> None:
    job = made(job="a", kubernetes={"selector": "job-name=a", "namespace": "jobs", "kubeconfig": "kc", "context": "c"})
    assert isinstance(job, Job)
    assert job.source == Kubernetes(
        selector="job-name=a", namespace="jobs", kubeconfig="/etc/models/kc", context="c"
    )  # fmt: skip


def test_every_preset_may_be_named() -> None:
    assert set(Preset.__args__) == set(PRESETS)
    for preset in PRESETS:
        assert Training.model_validate({"preset": preset}).preset == preset
    with pytest.raises(ValidationError):
        Training.model_validate({"preset": "nope"})


def test_the_config_that_is_shown_holds_no_secret(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    token.chmod(0o600)
    values = {
        "training": [
            {"job": "a", "http": {"url": "http://h/log?key=s3cr3t", "headers": {"X": "s3cr3t"}}},
            {"job": "b", "mlflow": {"url": "http://h", "run": "abc", "auth": {"bearer": "s3cr3t"}}},
            {"job": "c", "file": {"path": "c.log"}, "stall_after": "90s"},
        ]
    }
    built = build.build(loader.load_values(values, name="values").file)
    shown = build.dump(built)
    assert "s3cr3t" not in shown
    assert "stall_after: 1m30s" in shown
    assert "run: abc" in shown


def test_jobs_alone_are_a_config_and_probes_on_demand_go_on() -> None:
    file = loader.load_values({"training": []}, name="values").file
    assert build.build(file).jobs == []
    jobs = on_demand.jobs_for_module(file, "", "http://127.0.0.1:8000")
    assert {job.target.endpoint.port for job in jobs} == {8000}


def test_a_job_that_is_forgotten_before_it_stalls_is_warned_of() -> None:
    entry = {"job_from": "filename", "file": {"glob": "*.log"}, "stall_after": "2h"}
    (warning,) = loader.load_values({"training": [entry]}, name="values").warnings
    assert str(warning) == (
        "values: training[0].file: not above stall_after: a stalled job is forgotten before it is told"
    )
