"""Budgets and maintenance as a config has them, and what canaries cost."""

import re
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from exporter.config import build, loader
from exporter.model.cost import ONE_REQUEST, Allowance, Cost
from exporter.model.maintenance import Span, Weekly
from tests.config.make import built, jobs, loaded

HOURLY, DAILY = {"tokens": 1000, "per": "1h"}, {"requests": 50}


def budget(target: dict[str, Any], **blocks: Any) -> Allowance | None:
    return next(iter(jobs(target, **blocks).values())).target.budget


def test_a_budget_is_of_a_day_unless_it_says_otherwise() -> None:
    assert budget({"budget": HOURLY}) == Allowance(1000, None, 3600.0)
    assert budget({"budget": DAILY}) == Allowance(None, 50, 86400.0)
    assert budget({}) is None


def test_target_over_module_over_defaults_as_a_whole() -> None:
    modules = {"m": {"protocol": "http", "budget": HOURLY}}
    assert budget({}, defaults={"budget": DAILY}) == Allowance(None, 50, 86400.0)
    assert budget({"module": "m"}, defaults={"budget": DAILY}, modules=modules) == Allowance(1000, None, 3600.0)
    assert budget({"module": "m", "budget": DAILY}, modules=modules) == Allowance(None, 50, 86400.0)
    assert budget({"module": "m", "budget": None}, modules=modules) is None


def test_the_budget_of_all_together() -> None:
    values = {"targets": [{"url": "http://h"}]}
    assert built(values).limits.budget is None
    given = built({**values, "limits": {"budget": HOURLY}}).limits.budget
    assert given is not None
    assert (given.tokens, given.requests, given.per) == (1000, None, "1h")


def test_windows(tmp_path: Path) -> None:
    file = loaded(
        tmp_path,
        """
defaults:
  maintenance: [{at: "04:00", for: 30m}]
targets:
  - name: a
    url: http://127.0.0.1:8000
    maintenance:
      - {from: 2026-12-01T02:00:00Z, until: 2026-12-01T05:30:00+02:00}
      - {days: [sat, sun], at: "23:30", for: 1h30m, timezone: Europe/Berlin}
  - {name: b, url: http://127.0.0.1:8001}
  - {name: c, url: http://127.0.0.1:8002, maintenance: []}
""",
    ).file
    windows = {job.target.name: job.target.maintenance for job in build.build(file).jobs}
    assert windows == {
        "a": (
            Span(
                datetime(2026, 12, 1, 2, tzinfo=UTC).timestamp(), datetime(2026, 12, 1, 3, 30, tzinfo=UTC).timestamp()
            ),
            Weekly(frozenset({5, 6}), time(23, 30), 5400.0, ZoneInfo("Europe/Berlin")),
        ),
        "b": (Weekly(frozenset(range(7)), time(4, 0), 1800.0, UTC),),
        "c": (),
    }


def test_neither_makes_another_job_of_it() -> None:
    """A reload that changes them keeps counters, phase and what is spent."""
    plain = jobs({"name": "a"})
    changed = jobs({"name": "a", "budget": HOURLY, "maintenance": [{"at": "02:00", "for": "2h"}]})
    assert [job.fingerprint for job in plain.values()] == [job.fingerprint for job in changed.values()]


def test_what_is_dumped_can_be_loaded_again() -> None:
    given = {
        "limits": {"budget": HOURLY},
        "modules": {"m": {"protocol": "http", "budget": DAILY}},
        "targets": [
            {
                "name": "a", "url": "http://127.0.0.1:8000", "module": "m", "budget": None,
                "maintenance": [
                    {"from": "2026-12-01T02:00:00.5Z", "until": "2026-12-01T05:30:00+02:00"},
                    {"days": ["sun"], "at": "12:30", "for": "2h", "timezone": "UTC"},
                ],
            }
        ],
    }  # fmt: skip
    text = build.dump(built(given))
    plain = yaml.safe_load(text)
    assert plain["limits"]["budget"] == {"tokens": 1000, "requests": None, "per": "1h"}
    assert plain["targets"][0]["maintenance"][0]["until"] == "2026-12-01T03:30:00Z"
    again = build.build(loader.load_values(plain, name="again").file)
    assert build.dump(again) == text
    assert again.jobs[0].target == built(given).jobs[0].target


def test_a_replica_has_the_budget_of_its_target() -> None:
    from exporter.config.replicas import Place, at

    made = list(jobs({"name": "a", "budget": HOURLY, "protocol": "http"}).values())
    assert at(made, Place("10.0.0.1"))[0].target.budget == Allowance(1000, None, 3600.0)


@pytest.mark.parametrize(
    ("protocol", "probe", "cost"),
    [
        ("tgi", {"infer": {"body": {"inputs": "aaaa", "max_tokens": 10}}}, Cost(21, 1)),
        ("tgi", {"stream": {"body": {"inputs": "aaaa", "max_tokens": 10}, "retry": {"attempts": 3}}}, Cost(21, 1)),
        ("http", {"infer": {"body": {"max_tokens": 10}}}, ONE_REQUEST),
        ("http", {"health": {}}, ONE_REQUEST),
    ],
)
def test_a_canary_knows_what_it_costs(protocol: str, probe: dict[str, Any], cost: Cost) -> None:
    (job,) = jobs({"protocol": protocol, "model": "m", "probes": probe}).values()
    assert job.cost == cost
    assert job.worst == cost.times(job.retry.attempts)


def test_the_configs_of_the_page_are_good(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        made = loaded(tmp_path, block, f"page{number}.yaml")
        assert made.warnings == []
        assert any(job.target.budget or job.target.maintenance for job in build.build(made.file).jobs)
