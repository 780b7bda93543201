"""Budgets and maintenance of a running exporter: spent, kept over a reload, announced and taken back."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon, command
from tests.support.fake import Fake, Reply, Request
from tests.support.web import until

pytestmark = pytest.mark.slow

PATH = "/api/v1/maintenance"


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def fake(asked: list[str]) -> Iterator[Fake]:
    def answer(request: Request) -> Reply:
        asked.append(request.path)
        return 200, "ok"

    with Fake(answer) as server:
        yield server


def watching(url: str, **more: Any) -> dict[str, Any]:
    probes = {
        "health": {"interval": "100ms", "timeout": "2s"},
        "infer": {"interval": "200ms", "timeout": "2s", "path": "/predict", "body": {}},
    }
    target = {"name": "a", "url": url, "protocol": "litserve", "labels": {"team": "ml"}, "probes": probes}
    return {"limits": {"budget": {"requests": 1000}}, "targets": [target | more]}


def test_a_budget_is_spent_once_and_a_reload_keeps_that(tmp_path: Path, fake: Fake, asked: list[str]) -> None:
    def predictions() -> int:
        return asked.count("/predict")

    def spent(limit: int) -> bool:
        skipped = daemon.scrape().value("model_probe_skipped_total", target="a", probe="infer", reason="budget")
        return predictions() == limit and bool(skipped)

    config = watching(fake.url, budget={"requests": 3})
    with Daemon(tmp_path, config, args=["--reload-interval", "0"]) as daemon:
        until("the budget to be spent", lambda: spent(3), within=30, log=daemon.process.tail)
        scrape = daemon.until_state("a", "healthy", within=10)
        assert scrape.value("model_probe_verified", target="a") == 0
        assert scrape.value("model_probe_budget_remaining_requests", target="a") == 0
        assert scrape.value("model_probe_paused", target="a", probe="infer", reason="budget") == 1
        daemon.write(watching(fake.url, budget={"requests": 5}))
        assert daemon.get("/-/reload", method="POST").status == 200
        until("two more runs", lambda: spent(5), within=30, log=daemon.process.tail)
        told = daemon.get("/api/v1/targets").json()
        assert told["budget"]["remaining_requests"] == 995
        assert told["targets"][0]["budget"]["limit_requests"] == 5


def test_maintenance_is_announced_survives_a_reload_and_ends(tmp_path: Path, fake: Fake, asked: list[str]) -> None:
    with Daemon(tmp_path, watching(fake.url), args=["--reload-interval", "0"]) as daemon:
        daemon.until_state("a", "healthy", within=30)
        wish = {"select": {"team": "ml"}, "for": "30m", "comment": "a new one"}
        assert daemon.get(PATH, method="POST", body=wish, headers={"Origin": "http://elsewhere.example"}).status == 403
        assert daemon.get(PATH, method="POST", body=wish | {"for": "soon"}).status == 400
        made = daemon.get(PATH, method="POST", body=wish)
        assert (made.status, made.json()["matches"]) == (201, 1)
        paused = {"target": "a", "probe": "health", "reason": "maintenance"}
        assert daemon.scrape().value("model_probe_paused", **paused) == 1
        daemon.write(watching(fake.url, labels={"team": "ml", "size": "large"}))
        assert daemon.get("/-/reload", method="POST").status == 200
        before = len(asked)
        until("skips", lambda: (daemon.scrape().value("model_probe_skipped_total", **paused) or 0) > 10, within=30)
        assert len(asked) - before <= 2  # at most what was under way
        assert daemon.scrape().state("a") == "healthy"
        assert daemon.get(PATH).json()["targets_in_maintenance"] == 1
        assert daemon.get(f"{PATH}/{made.json()['id']}", method="DELETE").status == 200
        until("probes again", lambda: len(asked) - before > 5, within=30)
        assert daemon.scrape().value("model_probe_paused", **paused) == 0
        told = [event["msg"] for event in daemon.events() if "maintenance" in event["msg"]]
        assert told == [
            "maintenance announced", "maintenance begins", "maintenance withdrawn", "maintenance ends",
        ]  # fmt: skip


def test_wait_heeds_no_window(tmp_path: Path, fake: Fake) -> None:
    path = tmp_path / "config.yml"
    path.write_text(json.dumps(watching(fake.url, maintenance=[{"at": "00:00", "for": "24h"}])))
    done = subprocess.run(
        [*command(), "wait", "--config", str(path), "--timeout", "20s"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
