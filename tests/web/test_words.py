import pytest

from exporter.model.failure import Reason
from exporter.model.state import State
from exporter.web.words import REASONS, STATES, age, latency, stamp


def test_every_reason_and_state_has_words() -> None:
    assert set(REASONS) == set(Reason)
    assert set(STATES) == set(State)
    assert len(set(REASONS.values())) == len(REASONS)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (0, "0 s"), (4.4, "4 s"), (59.4, "59 s"), (60, "1 min"), (95, "1 min 35 s"), (599, "9 min 59 s"),
     (605, "10 min"), (3600, "1 h"), (12_000, "3 h 20 min"), (86_400, "1 d"), (190_000, "2 d 4 h"),
     (40 * 86_400, "40 d")],
)  # fmt: skip
def test_ages(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.0, "0.00 ms"), (0.000812, "0.81 ms"), (0.0123, "12.3 ms"), (0.1234, "123 ms"), (1.239, "1.24 s"),
     (12.34, "12.3 s"), (120.0, "120 s")],
)  # fmt: skip
def test_latencies(seconds: float | None, words: str) -> None:
    assert latency(seconds) == words


def test_stamps_are_utc() -> None:
    assert stamp(None) is None
    assert stamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert stamp(1_800_000_000.1234) == "2027-01-15T08:00:00.123Z"
