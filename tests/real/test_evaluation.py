"""Golden sets of real servers: the score is that of scikit-learn, and a server that dies on the way changes nothing."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import once
from exporter.config import build, loader
from exporter.engine import Limits
from exporter.evaluation import Progress
from exporter.model.failure import Reason, Status
from exporter.model.score import Outcome
from tests.real.fleet import SERVERS, Server
from tests.support.daemon import Daemon, command
from tests.support.ports import free_port
from tests.support.scrape import Scrape
from tests.support.web import until

pytestmark = pytest.mark.real

SCORERS = ("accuracy", "f1", "mae", "rmse")
FLOWERS = 150


def iris(folder: Path) -> Server:
    server = Server("mlserver", folder, "/v2/models/iris/ready")
    assert server.model().wait(300) == 0, (server.folder / "make_model.log").read_text()
    ports = {"http_port": server.port, "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_dir": str(server.folder), **ports}
    (server.folder / "model" / "settings.json").write_text(json.dumps(settings))
    return server


def serve_iris(server: Server) -> None:
    server.run(server.bin / "mlserver", "start", server.folder / "model")
    server.wait_ready()


def flowers(folder: Path) -> Server:
    server = Server("mlflow", folder, "/ping")
    assert server.model().wait(300) == 0, (server.folder / "make_model.log").read_text()
    return server


def serve_flowers(server: Server) -> None:
    serve = ["models", "serve", "--model-uri", "model", "--env-manager", "local", "--host", "127.0.0.1"]
    server.run(server.bin / "mlflow", *serve, "--port", str(server.port))
    server.wait_ready()


def golden_set(server: Server, file: Path, copies: int = 1) -> dict[str, float]:
    """Write it; scikit-learn's scores."""
    made = subprocess.run(
        [server.bin / "python", SERVERS / "golden_set.py", server.name, server.folder / "model", file, str(copies)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    scores: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return scores


def config(server: Server, file: Path, **keys: Any) -> dict[str, Any]:
    protocol = {"mlserver": {"protocol": "open_inference", "model": "iris"}, "mlflow": {"protocol": "mlflow"}}
    golden = {"kind": "evaluate", "dataset": {"file": str(file)}}
    probes = {scorer: {**golden, "scorer": scorer, **keys} for scorer in SCORERS}
    return {"targets": [{"name": "iris", "url": server.url, **protocol[server.name], "probes": probes}]}


@pytest.fixture(scope="module", params=["mlserver", "mlflow"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("golden")
    server = iris(folder) if request.param == "mlserver" else flowers(folder)
    try:
        (serve_iris if request.param == "mlserver" else serve_flowers)(server)
        yield server
    finally:
        server.end()


def test_scores_are_those_of_scikit_learn(served: Server, tmp_path: Path) -> None:
    file, path = tmp_path / "golden.jsonl", tmp_path / "models.yml"
    wanted = golden_set(served, file)
    assert 0.9 < wanted["accuracy"] < 1.0  # it is not right by doing nothing
    path.write_text(json.dumps(config(served, file, in_flight=2)))
    for scorer in SCORERS:
        report = tmp_path / f"{scorer}.xml"
        asked = ["--config", path, "--target", "iris", "--probe", scorer, "--json", "--junit", report]
        ended = subprocess.run(
            [*command(), "evaluate", *asked],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        found = json.loads(ended.stdout)
        assert found["outcomes"] == {"scored": FLOWERS, "unreadable": 0, "failed": 0, "not_asked": 0}
        assert found["score"] == pytest.approx(wanted[scorer], abs=1e-9)
        assert found["low"] <= found["score"] <= found["high"]
        assert f'tests="{FLOWERS + 1}"' in report.read_text()


def test_a_server_that_dies_half_way_loses_no_example(tmp_path: Path) -> None:
    server = iris(tmp_path)
    file = tmp_path / "golden.jsonl"
    golden_set(server, file)
    built = build.build(loader.load_values(config(server, file, in_flight=2), name="values").file)
    job = next(job for job in built.jobs if job.probe == "accuracy")

    def watch(progress: Progress) -> None:
        if progress.outcomes[Outcome.SCORED] == FLOWERS // 2:
            server.end()

    serve_iris(server)
    try:
        found = asyncio.run(once.evaluate(job, Limits(), on_progress=watch))
    finally:
        server.end()
    assert found.record is not None
    outcomes = found.record.fields["outcomes"]
    assert sum(outcomes.values()) == FLOWERS
    assert FLOWERS // 2 <= outcomes["scored"] <= FLOWERS // 2 + 2  # two were under way
    assert outcomes["failed"] == FLOWERS - outcomes["scored"]
    assert len({each.example.id for each in found.record.asked}) == FLOWERS
    assert all(each.tries == 3 for each in found.record.asked if each.outcome is Outcome.FAILED)
    assert (found.result.status, found.result.reason) == (Status.ERROR, Reason.INCONCLUSIVE)


def test_the_state_is_that_of_the_probes_when_it_dies(tmp_path: Path) -> None:
    server = iris(tmp_path)
    file, copies = tmp_path / "golden.jsonl", 8
    wanted = golden_set(server, file, copies)
    target = config(server, file)["targets"][0]
    golden = {**target["probes"]["accuracy"], "at_least": 0.9, "interval": "60s", "timeout": "2s"}
    target["probes"] = {"health": {"interval": "1s", "timeout": "1s"}, "golden": golden}
    serve_iris(server)
    try:
        with Daemon(tmp_path, {"targets": [target]}) as exporter:
            exporter.until_state("iris", "healthy", within=30)
            time.sleep(3)  # some of twelve hundred
            server.end()
            exporter.until_state("iris", "error", within=30)
            time.sleep(2)
            serve_iris(server)
            exporter.until_state("iris", "healthy", within=30)
            until("the first run to end", lambda: runs(exporter.scrape()) >= 1, within=120, log=exporter.process.tail)
            seen = exporter.scrape()
            counted = {outcome: examples(seen, outcome) for outcome in Outcome}
            assert sum(counted.values()) == FLOWERS * copies * runs(seen)
            assert counted[Outcome.SCORED] > 0
            states = [event["to"] for event in exporter.events() if event.get("msg") == "state changed"]
            assert {"error", "healthy"} <= set(states)
            assert "unhealthy" not in states
            assert exporter.scrape().state("iris") == "healthy"
            until(
                "a run that is complete",
                lambda: score(exporter.scrape()) is not None and coverage(exporter.scrape()) == 1,
                within=240,
                log=exporter.process.tail,
            )
            assert score(exporter.scrape()) == pytest.approx(wanted["accuracy"], abs=1e-9)
    finally:
        server.end()


def runs(seen: Scrape) -> float:
    return seen.value("model_probe_runs_total", target="iris", probe="golden") or 0


def examples(seen: Scrape, outcome: str) -> float:
    return seen.value("model_probe_evaluation_examples_total", evaluation="golden", outcome=outcome) or 0


def coverage(seen: Scrape) -> float | None:
    return seen.value("model_probe_evaluation_coverage", evaluation="golden")


def score(seen: Scrape) -> float | None:
    return seen.value("model_probe_evaluation_score", evaluation="golden", metric="accuracy")
