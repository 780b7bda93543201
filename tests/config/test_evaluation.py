"""An evaluate probe as a config has it, and the questions that are made of a data set's rows."""

import json
from typing import Any

import pytest

from exporter.config import build, loader, on_demand
from exporter.config.check import check
from exporter.config.spending import spending
from exporter.evaluation.cost import cost_of
from exporter.evaluation.dataset import BadDataset
from exporter.model.cost import Cost
from exporter.model.evaluation import Threshold, Unusable
from exporter.model.job import Kind, Retry, Schedule, Thresholds
from exporter.protocols import NAMES, load
from exporter.protocols.family import Canary
from tests.config.make import built, jobs, loaded

URL = "https://data.example/golden.jsonl?key=s3cr3t"
GOLDEN: dict[str, Any] = {"kind": "evaluate", "dataset": {"url": URL}, "scorer": "accuracy"}
TENSOR = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}


def golden(target: dict[str, Any], **keys: Any) -> Any:
    name = target.get("name", "t")
    made = jobs({"name": name, "model": "m", **target, "probes": {"golden": {**GOLDEN, **keys}}})
    return made[name, "golden"]


def openai(**keys: Any) -> Any:
    return golden({"protocol": "openai"}, **keys)


def test_what_holds_without_a_word() -> None:
    job = openai()
    assert job.kind is Kind.EVALUATE
    assert job.schedule == Schedule(21600.0, 30.0, 5.0)
    assert job.retry == Retry(3, 0.5, 5.0)
    assert job.thresholds == Thresholds(1, 1)
    evaluation = job.evaluation
    assert (evaluation.min_coverage, evaluation.in_flight, evaluation.save) == (0.95, 1, "")
    assert evaluation.threshold == Threshold()
    assert (evaluation.source.url, evaluation.source.form, evaluation.source.limit) == (URL, "jsonl", 10_000_000)
    assert evaluation.source.name == "https://data.example/golden.jsonl"
    assert (evaluation.scoring.scorer, evaluation.scoring.average) == ("accuracy", "macro")
    assert not job.canary


def test_what_it_says_is_taken(tmp_path: Any) -> None:
    (tmp_path / "golden.CSV").write_text("id,input.prompt,expected\n1,hi,2\n")
    (tmp_path / "config.yaml").write_text(
        """
defaults: {interval: 10s, timeout: 9s}
targets:
  - name: t
    url: http://127.0.0.1:9
    protocol: openai
    model: m
    probes:
      golden:
        kind: evaluate
        interval: 1h
        dataset: {file: golden.CSV, max_size: 1MB}
        scorer: rmse
        answer: choices[0].message.content
        drop: 0.5
        baseline: base.json
        min_coverage: 0.5
        in_flight: 4
        save: out.json
        retry: {attempts: 2, on: [timeout]}
"""
    )
    found = loader.load([tmp_path / "config.yaml"])
    assert [str(warning) for warning in found.warnings] == [
        f"{tmp_path}/config.yaml:16:19: targets[0].probes.golden.baseline: file not found: {tmp_path}/base.json; write "
        "it with model-exporter evaluate --save-baseline; until then no run says anything"
    ]
    (job,) = build.build(found.file).jobs
    evaluation = job.evaluation
    assert evaluation is not None
    assert (job.schedule.interval, job.schedule.timeout, job.retry.attempts) == (3600.0, 9.0, 2)
    assert (evaluation.source.path, evaluation.source.form) == (f"{tmp_path}/golden.CSV", "csv")
    assert evaluation.source.limit == 1_000_000
    assert evaluation.threshold == Threshold(None, 0.5, f"{tmp_path}/base.json")
    assert evaluation.save == f"{tmp_path}/out.json"
    assert evaluation.scoring.answer == "choices[0].message.content"
    assert cost_of(evaluation) is not None


@pytest.mark.parametrize("name", sorted(name for name in NAMES if name != "auto" and Kind.INFER in load(name).kinds))
def test_every_protocol_that_can_be_asked_can_be_evaluated(name: str) -> None:
    job = golden({"protocol": name})
    assert job.evaluation is not None
    with pytest.raises(Unusable) as caught:
        job.evaluation.question({"no_such_key": 1})
    assert caught.value.problems[0][0] == "no_such_key"


def test_keys_of_infer_hold_for_all_examples_and_those_of_a_row_over_them() -> None:
    question = openai(max_tokens=64, temperature=0.5, expect={"regex": "."}).evaluation.question
    settings = settings_of(question({"prompt": "hello", "temperature": 0.1}))
    assert (settings.max_tokens, settings.temperature, settings.prompt) == (64, 0.1, "hello")
    # A prompt is asked as it is written, and not so that no cache knows it.
    assert settings.words() == "hello"
    assert settings_of(openai(cache="bypass").evaluation.question({"prompt": "hello"})).words() != "hello"


def settings_of(question: Any) -> Any:
    settings = question.ask.__self__.settings
    assert isinstance(settings, Canary)
    return settings


def test_what_a_question_costs_is_known() -> None:
    question = openai(max_tokens=100).evaluation.question
    assert 100 < question({"prompt": "hello"}).cost.tokens < 200
    assert question({"prompt": "hello" * 1000}).cost.tokens > 1000


@pytest.mark.parametrize(
    ("protocol", "row", "problems"),
    [
        ("openai", {"prompt": "a", "messages": []}, [("messages", None)]),
        ("openai", {"prmpt": "a"}, [("prmpt", "unknown field; did you mean prompt?")]),
        ("openai", {"prompt": 5}, [("prompt", None)]),
        ("openai", {"max_tokens": 0}, [("max_tokens", "found 0; allowed: an integer >= 1")]),
        ("open_inference", {}, [("inputs", "missing; needs inputs, or a body")]),
        ("open_inference", {"inputs": [{**TENSOR, "data": [1, 2]}]}, [("inputs[0].data", None)]),
        ("mlflow", {"inputs": [1], "instances": [1]}, [("instances", None)]),
        ("bentoml", {"path": "/predict"}, [("body", None)]),
    ],
)
def test_a_row_that_cannot_be_asked_is_told(protocol: str, row: dict[str, Any], problems: list[Any]) -> None:
    with pytest.raises(Unusable) as caught:
        golden({"protocol": protocol}).evaluation.question(row)
    found = caught.value.problems
    assert [path for path, _ in found] == [path for path, _ in problems]
    for (_, message), (_, wanted) in zip(found, problems, strict=True):
        assert message
        assert wanted is None or message == wanted


@pytest.mark.parametrize(
    ("protocol", "row"),
    [
        ("openai", {"prompt": {"file": "/etc/hostname"}}),
        ("openai", {"messages": {"file": "/etc/hostname"}}),
        ("http", {"headers": {"X-Key": {"env": "HOME"}}}),
        ("http", {"headers": {"X-Key": {"file": "/etc/hostname"}}}),
        ("http", {"body": {"file": "/etc/hostname"}}),
        ("openai", {"expect": {"json_schema": {"file": "/etc/hostname"}}}),
    ],
)
def test_a_row_names_no_file_and_no_variable_of_this_machine(protocol: str, row: dict[str, Any]) -> None:
    """It may come from somebody else."""
    try:
        question = golden({"protocol": protocol}).evaluation.question(row)
    except Unusable:
        return
    sent = repr(question.ask.__self__.settings)
    with open("/etc/hostname") as file:
        assert file.read().strip() not in sent


def test_targets_and_modules_are_merged() -> None:
    made = jobs(
        {"name": "a", "module": "chat", "model": "m", "probes": {"golden": {"at_least": 0.5}}},
        {"name": "b", "module": "chat", "model": "m", "probes": {"golden": None, "health": {}}},
        modules={"chat": {"protocol": "openai", "probes": {"golden": GOLDEN}}},
    )
    assert made["a", "golden"].evaluation.threshold.bound == 0.5
    assert ("b", "golden") not in made


def test_half_of_it_may_stand_in_a_module() -> None:
    half = {"kind": "evaluate", "scorer": "accuracy"}
    values = {
        "modules": {"chat": {"protocol": "openai", "probes": {"golden": half}}},
        "targets": [
            {"url": "http://h", "module": "chat", "model": "m", "probes": {"golden": {"dataset": {"url": URL}}}}
        ],
    }
    assert check(loader.load_values(values, name="values").file) == []


def test_a_change_of_any_key_is_another_job() -> None:
    prints = {
        openai(**keys).fingerprint
        for keys in (
            {},
            {"at_least": 0.5},
            {"scorer": "f1"},
            {"max_tokens": 5},
            {"in_flight": 2},
            {"min_coverage": 0.5},
        )
    }
    assert len(prints) == 6
    assert openai().fingerprint == openai().fingerprint


def test_a_scrape_starts_no_evaluation() -> None:
    modules = {"chat": {"protocol": "openai", "probes": {"health": {}, "golden": GOLDEN}}}
    file = built({"targets": [], "modules": modules, "on_demand": {"allow": ["h"]}}).file
    assert [job.probe for job in on_demand.jobs_for_module(file, "chat", "http://h", "m")] == ["health"]
    with pytest.raises(LookupError, match="known: health"):
        on_demand.jobs_for_module(file, "chat", "http://h", "m", "golden")


def test_the_config_in_force_shows_no_secret() -> None:
    dataset = {"url": URL, "headers": {"Authorization": "Bearer s3cr3t"}}
    found = built(
        {
            "targets": [
                {
                    "url": "http://h",
                    "protocol": "openai",
                    "model": "m",
                    "probes": {"golden": {**GOLDEN, "dataset": dataset}},
                }
            ]
        }
    )
    shown = build.dump(found)
    assert "golden.jsonl" in shown
    assert "s3cr3t" not in shown
    assert "s3cr3t" not in repr(found.jobs[0].evaluation.source.headers)


def test_a_day_of_it_is_counted_example_by_example(tmp_path: Any) -> None:
    rows = [{"id": number, "input": {"prompt": "x" * number}, "expected": "x"} for number in range(1, 11)]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = """
targets:
  - name: t
    url: http://h
    protocol: openai
    model: m
    probes: {{golden: {{kind: evaluate, dataset: {{{where}}}, scorer: accuracy}}}}
"""
    found = build.build(loaded(tmp_path, text.format(where="file: golden.jsonl")).file)
    (canary,) = spending(found).canaries
    (job,) = found.jobs
    assert job.evaluation is not None
    assert canary.worst == cost_of(job.evaluation)
    assert canary.worst.requests == 10
    assert canary.runs == 4
    (canary,) = spending(build.build(loaded(tmp_path, text.format(where='url: "http://d/g"')).file)).canaries
    assert (canary.note, canary.worst) == ("each example", Cost(0, 1))
    (tmp_path / "golden.jsonl").write_text("{}\n")
    with pytest.raises(BadDataset):
        spending(found)
