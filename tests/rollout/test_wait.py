"""Which runs are pulled forward while somebody waits."""

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Job, Kind
from exporter.model.state import State, Verdict
from exporter.rollout.wait import Pace, Terms, pause
from tests.rollout.remembered import Remembered, job, result, target

HEALTH, METADATA, INFER = job(Kind.HEALTH), job(Kind.METADATA, interval=300.0), job(Kind.INFER)
GOLDEN = job(Kind.EVALUATE, probe="golden", interval=21600.0)


class Waiting:
    """Somebody who waits by some terms."""

    def __init__(self, *jobs: Job, **terms: object) -> None:
        self.seen = Remembered(*jobs)
        self.terms = Terms(**terms)  # type: ignore[arg-type]
        self.now = 0.0
        self.pace = Pace(self.terms, lambda: self.now)

    def run(self, of: Job, **how: object) -> None:
        """A run that ends now."""
        took = how.get("took", 0.1)
        assert isinstance(took, float)
        self.seen.run(of, **how)
        self.pace.feed(result(of, began=3600 + self.now - took, **how))

    def due(self, after: float = 0.0) -> list[str]:
        """The probes to run, so many seconds later."""
        self.now += after
        blocking = self.seen.verdict(consecutive=self.terms.consecutive, version=self.terms.version,
                                     evaluate=self.terms.evaluate).blocking  # fmt: skip
        return [probe for _, probe in self.pace.due(blocking, self.seen.ledger)]


@pytest.mark.parametrize(("took", "seconds"), [(0.01, 1.0), (0.3, 1.0), (0.5, 1.5), (19.0, 57.0), (30.0, 60.0)])
def test_the_next_run_waits_for_three_times_as_long_as_the_last_one_took(took: float, seconds: float) -> None:
    assert pause(result(INFER, took=took)) == pytest.approx(seconds)


def test_a_canary_goes_on_until_it_has_the_runs_it_needs() -> None:
    waiting = Waiting(HEALTH, INFER, consecutive=3)
    waiting.run(INFER, took=0.5)
    assert waiting.due(1.4) == []
    assert waiting.due(0.2) == ["infer"]
    assert waiting.due(60) == [], "each run pulls one"
    waiting.run(INFER)
    assert waiting.due(1.1) == ["infer"]
    waiting.run(INFER)
    assert waiting.due(60) == []


def test_of_several_canaries_only_those_that_lack_runs_go_on() -> None:
    stream = job(Kind.STREAM)
    waiting = Waiting(HEALTH, INFER, stream, consecutive=2)
    waiting.run(INFER)
    waiting.run(INFER)
    waiting.run(stream)
    assert waiting.due(60) == ["stream"]


def test_a_canary_that_failed_is_left_to_its_own_rechecks() -> None:
    waiting = Waiting(HEALTH, INFER)
    waiting.run(INFER)
    waiting.run(INFER, good=False)
    assert waiting.due(60) == []
    waiting.run(INFER)
    assert waiting.due(1.1) == ["infer"]


def test_cheap_probes_are_asked_again_where_they_count_or_the_state_is_bad() -> None:
    alone = Waiting(HEALTH)
    alone.run(HEALTH)
    assert alone.due(1.1) == ["health"]
    beside = Waiting(HEALTH, INFER)
    beside.run(HEALTH)
    assert beside.due(1.1) == []
    beside.seen.states(a=Verdict(State.LOADING, Reason.NOT_READY))
    assert beside.due() == ["health"]


def test_a_server_that_says_when_to_come_back_is_heeded() -> None:
    waiting = Waiting(HEALTH)
    waiting.run(HEALTH, good=False, retry_after=30.0)
    assert waiting.due(60) == []


def test_nothing_is_pulled_forward_for_a_target_that_is_good() -> None:
    other = job(Kind.HEALTH, target("b"))
    waiting = Waiting(HEALTH, other, consecutive=1)
    waiting.run(HEALTH)
    waiting.run(other, good=False)
    due = waiting.pace.due(waiting.seen.verdict().blocking, waiting.seen.ledger)
    assert due == []
    waiting.now += 2
    assert waiting.pace.due(waiting.seen.verdict().blocking, waiting.seen.ledger) == [("b", "health")]


def test_until_the_version_is_right_only_the_version_is_asked_for() -> None:
    waiting = Waiting(METADATA, INFER, version="2")
    waiting.run(METADATA, version="1")
    waiting.run(INFER)
    assert waiting.due(1.1) == ["metadata"]
    waiting.run(METADATA, version="2")
    assert waiting.due() == ["infer"]


def test_metadata_that_are_not_what_was_expected_are_asked_again() -> None:
    waiting = Waiting(METADATA, INFER)
    waiting.run(METADATA)
    assert waiting.due(2) == []
    waiting.seen.states(a=Verdict(State.UNHEALTHY, Reason.EXPECTATION, "version is 1", "metadata"))
    assert waiting.due() == ["metadata"]


def test_a_golden_set_is_asked_for_where_it_has_not_begun_by_itself() -> None:
    waiting = Waiting(INFER, GOLDEN, evaluate=True)
    assert waiting.due(1.0) == []
    assert waiting.due(1.1) == ["golden"]
    assert waiting.due(1.0) == []
    waiting.run(GOLDEN, good=False, took=30.0)
    assert waiting.due(89.0) == []
    assert waiting.due(2.0) == ["golden"]
    waiting.run(GOLDEN, took=30.0)
    assert waiting.due(600.0) == []
    assert Waiting(INFER, GOLDEN).due(60) == [], "nobody wants it"
