from typing import Any

import pytest

from exporter.ledger.drift import Drift
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.state import State, Verdict
from exporter.web.page.charts import STRIP_RUNS, STRIP_STEP
from exporter.web.page.rows import row
from tests.web.conftest import WALL  # type: ignore[import-not-found]


def test_the_canary_speaks_for_the_latency(house: Any) -> None:
    health, infer = house.watch(probes=[("health", Kind.HEALTH), ("infer", Kind.INFER)])
    house.book(health, duration=0.001)
    assert row(house.ledger.targets["chat"], WALL).latency_of == "health"
    house.book(infer, duration=0.5)
    shown = row(house.ledger.targets["chat"], WALL)
    assert (shown.latency_of, shown.latency) == ("infer", "500 ms")


def test_nothing_has_run_yet(house: Any) -> None:
    house.watch("new", State.UNKNOWN)
    shown = row(house.ledger.targets["new"], WALL)
    assert (shown.latency, shown.strip, shown.first_token) == ("", None, "")
    assert shown.notes == ("no probe has finished yet",)
    assert [(probe.mood, probe.word) for probe in shown.probes] == [("none", "has not run yet")]


@pytest.mark.parametrize(
    ("kinds", "verified", "words"),
    [
        ([("health", Kind.HEALTH)], False, ("cheap checks only, no real request is made",)),
        ([("infer", Kind.INFER)], False, ("no real request has confirmed it lately",)),
        ([("infer", Kind.INFER)], True, ()),
    ],
)
def test_healthy_says_what_it_rests_on(house: Any, kinds: Any, verified: bool, words: tuple[str, ...]) -> None:
    house.watch(probes=kinds)
    house.ledger.targets["chat"].verdict = Verdict(State.HEALTHY, verified=verified)
    assert row(house.ledger.targets["chat"], WALL).notes == words


@pytest.mark.parametrize(
    ("days", "note"), [(31, None), (12.5, "certificate ends in 12 d 12 h"), (-2, "certificate ended 2 d ago")]
)
def test_certificates_near_their_end(house: Any, days: float, note: str | None) -> None:
    house.watch(state=State.LOADING)
    house.ledger.targets["chat"].certificate_not_after = WALL + days * 86400
    assert row(house.ledger.targets["chat"], WALL).notes == ((note,) if note else ())


@pytest.mark.parametrize(
    ("match", "gap", "changes", "note"),
    [
        (None, None, 0, ()),
        (True, 0.0, 0, ()),
        (True, 0.0, 1, ("infer: its answer changed once",)),
        (None, None, 3, ("infer: its answer changed 3 times",)),  # the last run brought none
        (
            False,
            0.4219,
            4,
            ("infer: the last answer is another than those before, distance 0.42; it changed 4 times so far",),
        ),
        (False, None, 1, ("infer: the last answer is another than those before",)),
    ],
)
def test_an_answer_that_is_another(house: Any, match: Any, gap: Any, changes: int, note: tuple[str, ...]) -> None:
    house.watch(state=State.LOADING, probes=[("health", Kind.HEALTH), ("infer", Kind.INFER)])
    drift = house.ledger.targets["chat"].probes["infer"].drift = Drift()
    drift.match, drift.gap, drift.changes = match, gap, changes
    assert row(house.ledger.targets["chat"], WALL).notes == note


def test_metadata_that_changed(house: Any) -> None:
    [job] = house.watch(state=State.LOADING)
    for version in ("3", "4", "3", "4"):
        house.book(job, observation=Observation(info={"model_version": version}, facts={"total_slots": 2}))
    assert row(house.ledger.targets["chat"], WALL).notes == ("changed: model_version 3 times",)


def test_the_strip_shows_one_stretch_of_time_in_order(house: Any) -> None:
    [job] = house.watch()
    house.book(job, Reason.RESET, at=WALL - 10_000)  # long ago: successes since then fell out of the store
    for number in range(22):
        house.book(job, at=WALL - 100 + number)
    house.book(job, Reason.RESET, at=WALL)
    strip = row(house.ledger.targets["chat"], WALL).strip
    assert strip is not None
    assert strip.words == "last 21 runs of health: 1 failed, 12.3 ms to 12.3 ms"
    assert strip.healthy.count("z") == 20
    assert strip.failed == "M100 24v-11h4v11zM100 11v-11h4v11z"
    for number in range(10):
        house.book(job, Reason.RESET, at=WALL + number)
    strip = row(house.ledger.targets["chat"], WALL).strip
    assert strip is not None
    assert strip.width <= STRIP_RUNS * STRIP_STEP
    assert strip.words.startswith(f"last {STRIP_RUNS} runs of health: 11 failed")


def test_paused_and_planned(house: Any) -> None:
    [job] = house.watch()
    probe = house.ledger.targets["chat"].probes["health"]
    probe.paused = {"asleep": True, "budget": False}
    house.ledger.planned(job, 15.0, WALL + 8)
    shown = row(house.ledger.targets["chat"], WALL)
    assert [(mark.mood, mark.word) for mark in shown.probes] == [("paused", "paused: asleep")]
    assert shown.next is not None
    assert shown.next.span == "8 s"
