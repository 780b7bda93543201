"""Is what is reported true? Held against a server that knows when it was asked and when it answered.

The exporter is a process, is scraped all the while, and has a null engine beside it that suffers the same machine and
does nothing but measure: `python -m benchmarks.truth` prints the same figures at the size of docs/accuracy.md.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks import truth
from benchmarks.truth import PARTS, Error, Round, part, quantile

pytestmark = pytest.mark.slow

#: What the null engine's error may be multiplied with, at this quantile. A machine that is busy makes both larger, and
#: where many answers come at once each is read after those before it.
BOUNDS = {0.5: 5.0, 0.9: 6.0}
#: Seconds below which an error is none: a few switches between processes.
FLOOR = 0.0005
ROUNDS = 4
#: Ninety targets answer at once, every two seconds; as many of the null engine's, a second later.
BURST, OTHER_BURST = "b2000.0", "b2000.1000"
#: The part of the time in which others had the core, above which what is marked as suspect is none of its doing.
BUSY = 0.5
#: Runs of which a quantile says something.
ENOUGH = 20
#: Stamps may be rounded on their way into a record.
GRAIN = 2e-6


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[Round]:
    """Rounds of some seconds, until one is good or there were enough: what is asked is what it can, not its luck."""
    found: list[Round] = []
    while len(found) < ROUNDS:
        folder = tmp_path_factory.mktemp(f"round{len(found)}")
        found.append(
            truth.measure(
                folder,
                targets=300,
                interval=2.0,
                seconds=6.0,
                rest=BURST,
                scrape_every=0.2,
                null_rate=80.0,
                beside=[*truth.CLASSES, *13 * [OTHER_BURST]],
            )
        )
        truth.report(found[-1])
        if not outside(found[-1]):
            break
    return found


def outside(found: Round) -> list[str]:
    """What is beyond the bounds."""
    wrong = []
    for name, burst, (q, times) in itertools.product(PARTS, (False, True), BOUNDS.items()):
        sure = [error for error in found.ours if found.waited < BUSY or not error.suspect]
        ours, null = (_sizes(errors, name, burst) for errors in (sure, found.null))
        if len(ours) < ENOUGH:
            continue  # no stream answers in a burst
        if not null:  # the null engine knows nothing of tokens: their first is in the first read
            null = _sizes(found.null, "first_byte", burst)
        bound = max(FLOOR, times * quantile(null, q))
        if quantile(ours, q) > bound:
            what = f"{name}{' in a burst' if burst else ''}"
            wrong.append(f"{what}: {quantile(ours, q) * 1e3:.2f} ms at {q}, allowed are {bound * 1e3:.2f} ms")
    return wrong


def _sizes(errors: Sequence[Error], name: str, burst: bool) -> list[float]:
    """Sizes of errors, of those that come in bursts or of all others."""
    return sorted(map(abs, part([error for error in errors if error.what.startswith("b") is burst], name)))


def test_what_is_reported_is_as_true_as_the_machine_allows(rounds: list[Round]) -> None:
    assert not outside(rounds[-1])


def test_of_each_class_of_delay_there_are_enough_runs(rounds: list[Round]) -> None:
    counted = {what: len(part(rounds[-1].ours, "first_byte", what)) for what in (*truth.CLASSES, "b2000")}
    assert min(counted.values()) >= 30, counted
    assert rounds[-1].scrapes


def test_nothing_is_reported_shorter_than_it_was(rounds: list[Round]) -> None:
    """An answer cannot be there before it was sent: this holds on any machine."""
    for found in rounds:
        for error in found.ours:
            assert error.first_byte > -GRAIN, error
            assert error.duration > -GRAIN, error
            assert error.ttft is None or error.ttft > -GRAIN, error


def test_the_scrape_says_what_was_recorded(rounds: list[Round]) -> None:
    """Histograms, phases and counters of the last scrape are those of the runs until then."""
    found, seen = rounds[-1], 0
    of_target: dict[str, list[dict[str, Any]]] = {}
    for record in found.records:
        of_target.setdefault(record["target"], []).append(record)
    samples: dict[str, dict[tuple[str, str], float]] = {}
    for sample in found.scrape.samples:
        labels = sample.labels
        detail = labels.get("le", "") + labels.get("phase", "")
        samples.setdefault(labels.get("target", ""), {})[sample.name, detail] = sample.value
    for target, shown in samples.items():
        count = int(shown.get(("model_probe_runs_total", ""), 0))
        runs = of_target.get(target, [])[:count]
        if not count or len(runs) < count:
            continue  # no target, or its newest run was not written yet
        for phase in ("connect", "first_byte", "transfer"):
            told = runs[-1]["phases_seconds"][phase]
            assert shown["model_probe_phase_seconds", phase] == pytest.approx(told, abs=GRAIN), (target, phase)
        healthy = [record for record in runs if record["status"] == "healthy"]
        _same("model_probe_duration_seconds", [record["duration_seconds"] for record in healthy], shown)
        if any(record["stream"] for record in healthy):
            _same("model_probe_ttft_seconds", [r["stream"]["ttft_seconds"]["content"] for r in healthy], shown)
        seen += 1
    assert seen > 200


def _same(name: str, values: Sequence[float], shown: Mapping[tuple[str, str], float]) -> None:
    bounds = [le for family, le in shown if family == f"{name}_bucket"]
    assert bounds
    for le in bounds:
        expected = {sum(value <= float(le) + slack for value in values) for slack in (-GRAIN, GRAIN)}
        assert shown[f"{name}_bucket", le] in expected, (name, le)
    assert shown[f"{name}_sum", ""] == pytest.approx(sum(values), abs=GRAIN * len(values))


def test_marked_runs_are_counted(rounds: list[Round]) -> None:
    found = rounds[-1]
    marked = found.scrape.value("model_exporter_suspect_measurements_total")
    counted = sum(sample.value for sample in found.scrape.all("model_probe_runs_total"))
    assert marked is not None
    assert marked <= sum(record["suspect"] for record in found.records)
    assert marked >= sum(record["suspect"] for record in found.records[: int(counted)]) - 50  # in flight at the scrape
