"""Golden sets in the exporter as a process: beside probes, through reloads, and at its end."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.predictor import Model
from tests.support.scrape import Scrape
from tests.support.web import until

pytestmark = pytest.mark.slow

EXAMPLES = 60


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.end()


def config(folder: Path, model: Model, **keys: Any) -> dict[str, Any]:
    rows = [{"id": n, "input": {"inputs": [n]}, "expected": n % 2} for n in range(EXAMPLES)]
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    golden = {"kind": "evaluate", "dataset": {"file": "golden.jsonl"}, "scorer": "accuracy", "at_least": 0.9,
              "interval": "60s", "save": "saved.json", **keys}  # fmt: skip
    probes = {"health": {"interval": "500ms"}, "infer": {"interval": "500ms", "inputs": [1000]}, "golden": golden}
    target = {"name": "odd", "url": model.url, "protocol": "mlflow", "probes": probes, "labels": {"team": "risk"}}
    return {"targets": [target], "sinks": [{"jsonl": {"path": str(folder / "records.jsonl")}, "only": ["evaluation"]}]}


def runs(seen: Scrape, probe: str = "golden") -> float:
    return seen.value("model_probe_runs_total", target="odd", probe=probe) or 0


def finished(exporter: Daemon, count: int = 1) -> Scrape:
    until(f"run {count}", lambda: runs(exporter.scrape()) >= count, within=60, log=exporter.process.tail)
    return exporter.scrape()


def test_a_score_is_told_kept_and_judged(model: Model, tmp_path: Path) -> None:
    model.wrong = 20
    with Daemon(tmp_path, config(tmp_path, model, recheck="60s")) as exporter:
        seen = finished(exporter)
        assert seen.value("model_probe_evaluation_score", evaluation="golden", metric="accuracy") == 40 / 60
        assert seen.value("model_probe_evaluation_threshold", evaluation="golden", metric="accuracy") == 0.9
        assert seen.value("model_probe_evaluation_coverage", evaluation="golden", team="risk") == 1
        assert seen.value("model_probe_evaluation_examples_total", outcome="scored") == EXAMPLES
        exporter.until_state("odd", "unhealthy", within=10)
        saved = json.loads((tmp_path / "saved.json").read_text())
        assert (saved["target"], saved["score"], len(saved["examples"])) == ("odd", 40 / 60, EXAMPLES)
        assert seen.labels("model_probe_evaluation_info")["dataset"] == saved["dataset"]
        until("the record", lambda: (tmp_path / "records.jsonl").exists(), within=10, log=exporter.process.tail)
        until(
            "its line", lambda: "\n" in (tmp_path / "records.jsonl").read_text(), within=10, log=exporter.process.tail
        )
        record = json.loads((tmp_path / "records.jsonl").read_text().splitlines()[0])
        assert (record["type"], record["target"], record["evaluation"]) == ("evaluation", "odd", "golden")
        assert (record["score"], record["status"], record["outcomes"]["scored"]) == (40 / 60, "unhealthy", EXAMPLES)
        change = next(event for event in exporter.events() if event.get("to") == "unhealthy")
        assert "accuracy is 0.6667" in change["detail"]
        asked = Counter(model.asked)
        assert all(asked[number] == 1 for number in range(EXAMPLES))
        page = exporter.get("/api/v1/targets/odd").json()
        golden = next(probe for probe in page["probes"] if probe["name"] == "golden")
        assert golden["kind"] == "evaluate"


def test_probes_keep_their_schedule_while_it_runs(model: Model, tmp_path: Path) -> None:
    model.latency = 0.2
    with Daemon(tmp_path, config(tmp_path, model, in_flight=4)) as exporter:
        until("the run to begin", lambda: len(model.asked) > 5, within=30, log=exporter.process.tail)
        before = exporter.scrape()
        began = time.monotonic()
        until("half of it", lambda: len(model.asked) > 40, within=30, log=exporter.process.tail)
        after, took = exporter.scrape(), time.monotonic() - began
        for probe in ("health", "infer"):
            made = runs(after, probe) - runs(before, probe)
            assert made >= 0.5 * took / 0.5 - 1  # the machine may have other work
        finished(exporter)


def test_a_reload_that_leaves_it_alone_interrupts_nothing(model: Model, tmp_path: Path) -> None:
    model.latency = 0.05
    made = config(tmp_path, model)
    with Daemon(tmp_path, made) as exporter:
        until("the run to begin", lambda: len(model.asked) > 10, within=30, log=exporter.process.tail)
        made["targets"][0]["labels"] = {"team": "fraud"}
        exporter.write(made)
        assert exporter.get("/-/reload", method="POST").status == 200
        seen = finished(exporter)
        assert seen.value("model_probe_evaluation_examples_total", outcome="scored", team="fraud") == EXAMPLES
        asked = Counter(model.asked)
        assert all(asked[number] == 1 for number in range(EXAMPLES))


def test_another_question_begins_it_anew(model: Model, tmp_path: Path) -> None:
    model.latency = 0.05
    made = config(tmp_path, model)
    with Daemon(tmp_path, made) as exporter:
        until("the run to begin", lambda: len(model.asked) > 10, within=30, log=exporter.process.tail)
        made["targets"][0]["probes"]["golden"]["at_least"] = 0.5
        exporter.write(made)
        assert exporter.get("/-/reload", method="POST").status == 200
        seen = finished(exporter)
        assert runs(seen) == 1
        assert seen.value("model_probe_evaluation_threshold", metric="accuracy") == 0.5
        assert seen.value("model_probe_evaluation_examples_total", outcome="scored") == EXAMPLES


def test_the_end_of_the_exporter_does_not_wait_for_it(model: Model, tmp_path: Path) -> None:
    model.latency = 0.2
    with Daemon(tmp_path, config(tmp_path, model)) as exporter:
        until("the run to begin", lambda: len(model.asked) > 5, within=30, log=exporter.process.tail)
        began = time.monotonic()
        assert exporter.terminate() == 0
        assert time.monotonic() - began < 4  # of a grace of 5 s, and of 12 s that the run would take
        assert "Traceback" not in exporter.process.stderr
        assert not (tmp_path / "saved.json").exists()


def test_a_data_set_may_come_and_go(model: Model, tmp_path: Path) -> None:
    made = config(tmp_path, model, interval="2s", timeout="1s")
    with Daemon(tmp_path, made) as exporter:
        finished(exporter)
        good = (tmp_path / "golden.jsonl").read_text()
        (tmp_path / "golden.jsonl").write_text(good + "{}\n")

        def failed() -> bool:
            return exporter.scrape().value("model_probe_failures_total", reason="inconclusive") is not None

        until("a run of a bad set", failed, within=30, log=exporter.process.tail)
        problems = [event["problem"] for event in exporter.events() if "problem" in event]
        assert f"{tmp_path}/golden.jsonl:{EXAMPLES + 1}: id: required key is missing" in problems
        assert exporter.scrape().state("odd") == "healthy"
        (tmp_path / "golden.jsonl").write_text(good)
        before = runs(exporter.scrape())
        seen = finished(exporter, int(before) + 2)
        assert seen.value("model_probe_evaluation_score", metric="accuracy") == 1.0
