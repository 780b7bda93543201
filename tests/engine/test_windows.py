"""Maintenance windows by themselves: when one goes on, when it ends, when the next begins."""

from datetime import UTC, datetime, time
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.endpoint import Endpoint
from exporter.model.maintenance import Span, Weekly, Wish, ends
from exporter.model.target import Target

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_once():
    span = Span(100.0, 200.0)
    assert [span.until(now) for now in (99.9, 100.0, 199.9, 200.0)] == [None, 200.0, 200.0, None]
    assert [span.next(now) for now in (0.0, 100.0, 300.0)] == [100.0, inf, inf]


def test_every_sunday_night():
    window = Weekly(frozenset({6}), time(23, 0), 2 * 3600.0)
    begins, over = at("2026-11-29T23:00:00Z"), at("2026-11-30T01:00:00Z")
    assert window.until(begins - 1) is None
    assert window.until(begins) == over
    assert window.until(at("2026-11-30T00:30:00Z")) == over  # on Monday
    assert window.until(over) is None
    assert window.next(begins - 1) == begins
    assert window.next(begins) == at("2026-12-06T23:00:00Z")


def test_windows_that_touch_are_one_after_the_other():
    daily = Weekly(frozenset(range(7)), time(0, 0), 86400.0)
    assert daily.until(at("2026-11-29T12:00:00Z")) == at("2026-11-30T00:00:00Z")
    assert daily.until(at("2026-11-30T00:00:00Z")) == at("2026-12-01T00:00:00Z")


def test_a_week_long():
    window = Weekly(frozenset({0}), time(12, 0), 7 * 86400.0)
    assert window.until(at("2026-11-30T11:59:59Z")) == at("2026-11-30T12:00:00Z")


def test_local_time_moves_with_the_clocks():
    window = Weekly(frozenset(range(7)), time(2, 30), 3600.0, BERLIN)
    assert window.next(at("2026-07-01T12:00:00Z")) == at("2026-07-02T00:30:00Z")
    assert window.next(at("2026-12-01T12:00:00Z")) == at("2026-12-02T01:30:00Z")


def test_a_time_that_the_clocks_skip():
    """On 2026-03-29 Berlin goes from 02:00 to 03:00; half past two is then what the clocks call half past three."""
    window = Weekly(frozenset({6}), time(2, 30), 3600.0, BERLIN)
    assert window.next(at("2026-03-28T12:00:00Z")) == at("2026-03-29T01:30:00Z")


def test_of_a_time_that_comes_twice_the_first_counts():
    window = Weekly(frozenset({6}), time(2, 30), 3600.0, BERLIN)
    assert window.next(at("2026-10-24T12:00:00Z")) == at("2026-10-25T00:30:00Z")
    assert window.next(at("2026-10-25T00:30:00Z")) == at("2026-11-01T01:30:00Z")


def test_of_several_the_last_end_counts():
    windows = (Span(0.0, 10.0), Span(5.0, 20.0), Span(50.0, 60.0))
    assert [ends(windows, now) for now in (1.0, 6.0, 15.0, 30.0)] == [10.0, 20.0, 20.0, None]
    assert ends((), 1.0) is None


@given(
    days=st.frozensets(st.integers(0, 6), min_size=1),
    minute=st.integers(0, 1439),
    seconds=st.floats(60, 7 * 86400),
    now=st.floats(at("2020-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z")),
    zone=st.sampled_from([UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Auckland")]),
)
def test_next_and_until_agree(days, minute, seconds, now, zone):
    window = Weekly(days, time(*divmod(minute, 60)), seconds, zone)
    begin = window.next(now)
    assert now < begin <= now + 8 * 86400
    assert window.until(begin) == begin + seconds
    if (until := window.until(now)) is not None:
        assert now < until <= now + seconds
    if begin - now > 1:
        before = window.until(begin - 0.5)
        assert before is None or before <= begin - 0.5 + seconds


@pytest.mark.parametrize(
    ("names", "traits", "meant"),
    [
        ({"chat"}, {}, True),
        ({"chat@10.0.0.1:80"}, {}, True),
        ({"other"}, {}, False),
        ((), {"team": "ml"}, True),
        ((), {"team": "ml", "env": "dev"}, False),
        ((), {"absent": "x"}, False),
        ({"chat"}, {"team": "web"}, False),
    ],
)
def test_who_is_meant(names, traits, meant):
    wish = Wish(frozenset(names), traits, 60.0)
    assert wish.means("chat@10.0.0.1:80", "chat", {"team": "ml", "env": "prod"}.get) is meant


def test_what_a_target_can_be_selected_by():
    endpoint = Endpoint("http", "h", 80)
    labels = {"team": "ml", "protocol": "mine"}
    single = Target("chat", endpoint, "openai", "llama", labels=labels)
    assert single.traits == {"protocol": "mine", "team": "ml", "target": "chat", "model": "llama"}
    replica = Target("chat@h:80", endpoint, "openai", group="chat", address="h:80")
    assert replica.traits == {"protocol": "openai", "target": "chat", "model": "", "address": "h:80"}
    for target in (single, replica):
        for key in ("protocol", "team", "target", "model", "address", "other"):
            assert target.trait(key) == target.traits.get(key)
