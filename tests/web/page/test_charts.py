from typing import Any

from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.web.page import charts
from tests.web.conftest import WALL  # type: ignore[import-not-found]


def streamed(seconds: float) -> Observation:
    return Observation(stream=StreamSummary(Outcome.COMPLETE, {Channel.CONTENT: seconds}, (), 0.1, 1.0, 9, None, None))


def test_a_bar_is_as_high_as_its_run_was_long(house: Any) -> None:
    [job] = house.watch()
    probe = house.ledger.targets["chat"].probes["health"]
    house.book(job, duration=1.0)
    assert charts.runs(probe) is None, "one run is no history"
    house.book(job, duration=0.5)
    house.book(job, duration=0.001)
    strip = charts.runs(probe)
    assert strip is not None
    assert strip.healthy == "M0 24v-24h4v24zM5 24v-12h4v12zM10 24v-2h4v2z"
    assert (strip.failed, strip.width) == ("", 14)
    assert strip.words == "last 3 runs of health: all healthy, 1.00 ms to 1.00 s"


def test_failures_that_are_kept_as_one_are_shown_as_many(house: Any) -> None:
    [job] = house.watch()
    probe = house.ledger.targets["chat"].probes["health"]
    house.book(job, at=WALL - 10)
    for second in range(5):
        house.book(job, Reason.RESET, at=WALL + second)
    house.book(job, at=WALL + 10)
    strip = charts.runs(probe)
    assert strip is not None
    assert strip.words.startswith("last 7 runs of health: 5 failed")
    assert [strip.healthy.count("z"), strip.failed.count("z")] == [2, 10]
    assert strip.healthy.startswith("M0 ")
    assert "M30 " in strip.healthy


def test_first_tokens_are_those_of_healthy_runs(house: Any) -> None:
    [job] = house.watch(probes=(("stream", Kind.STREAM),))
    probe = house.ledger.targets["chat"].probes["stream"]
    house.book(job, observation=streamed(0.5))
    house.book(job, Reason.STALLED, observation=streamed(9.0))
    assert charts.first_tokens(probe) is None
    house.book(job, observation=streamed(0.25))
    strip = charts.first_tokens(probe)
    assert strip is not None
    assert strip.healthy == "M0 24v-24h4v24zM5 24v-12h4v12z"
    assert strip.words == "first token of the last 2 healthy runs of stream, 250 ms to 500 ms"


def test_phases_fill_the_bar_in_their_order(house: Any) -> None:
    house.watch()
    probe = house.ledger.targets["chat"].probes["health"]
    assert charts.phases(probe) == ()
    probe.phases = {"transfer": 0.0, "first_byte": 0.3, "dns": 0.1}
    assert [(one.name, one.start, one.width, one.took) for one in charts.phases(probe)] == [
        ("dns", 0.0, 25.0, "100 ms"), ("first_byte", 25.0, 75.0, "300 ms"), ("transfer", 100.0, 0.0, "0.00 ms"),
    ]  # fmt: skip
    probe.phases = {"dns": 0.0}
    assert [(one.start, one.width) for one in charts.phases(probe)] == [(0.0, 0.0)]
