"""The newest healthy runs: few bytes each, and never more of them than wanted."""

import pickle

from exporter.ledger import RECENT_GOOD, Good, Recent


def test_the_newest_come_first_and_the_oldest_go() -> None:
    recent = Recent()
    for number in range(RECENT_GOOD + 5):
        recent.add(100.0 + number, 0.25, took=0.5, ttft=0.125)
    found = list(recent.newest(100))
    assert len(found) == len(recent) == RECENT_GOOD
    assert found[0] == Good(100.0 + RECENT_GOOD + 4 - 0.5, 0.25, 0.125)
    assert found[-1].began == 105.0 - 0.5
    assert [at for at, _ in recent] == [105.0 + number for number in range(RECENT_GOOD)]
    assert len(list(recent.newest(3))) == 3


def test_what_is_not_known_is_not_made_up() -> None:
    recent = Recent()
    recent.add(1.0, None, took=0.5)
    recent.add(2.0, 0.25, took=0.5, ttft=0.125)
    recent.add(3.0, 0.25, took=0.5)
    assert list(recent.newest(3)) == [Good(2.5, 0.25, None), Good(1.5, 0.25, 0.125), Good(0.5, None, None)]


def test_it_does_not_grow() -> None:
    recent = Recent()
    sizes = set()
    for number in range(5 * RECENT_GOOD):
        recent.add(float(number), 0.25, took=0.5, ttft=0.125)
        if len(recent) == RECENT_GOOD:
            sizes.add(len(pickle.dumps(recent)))
    assert len(sizes) == 1


def test_a_probe_without_first_tokens_keeps_none() -> None:
    plain, streaming = Recent(), Recent()
    for number in range(RECENT_GOOD):
        plain.add(float(number), 0.25, took=0.5)
        streaming.add(float(number), 0.25, took=0.5, ttft=0.125)
    assert len(pickle.dumps(plain)) + 8 * RECENT_GOOD <= len(pickle.dumps(streaming))
