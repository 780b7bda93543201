import asyncio
from typing import Any

import pytest

from exporter import slices
from exporter.model.job import Kind
from exporter.model.observation import Observation, Tokens
from exporter.model.state import State
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.web.page import order
from exporter.web.page.order import SORTS, arrange, label_names
from tests.web.conftest import WALL  # type: ignore[import-not-found]


def streamed(seconds: float) -> Observation:
    summary = StreamSummary(Outcome.COMPLETE, {Channel.CONTENT: seconds}, (), 0.1, 1.0, 9, None, None)
    return Observation(stream=summary, tokens=Tokens(output=round(seconds * 100)))


def names(found: Any) -> list[str]:
    return [record.target.name for record in found]


async def test_everything_sorts_as_it_says(house: Any) -> None:
    for name, duration, first in (("b", 0.2, 0.3), ("C", 0.9, 0.1), ("a", 0.5, 0.2)):
        [job] = house.watch(name, probes=(("stream", Kind.STREAM),))
        house.book(job, duration=duration, observation=streamed(first))
    house.watch("new", State.UNKNOWN)
    for age, name in enumerate(("a", "new", "C", "b")):
        house.ledger.targets[name].since = WALL - age
    records = list(house.ledger)
    expected = {
        "": ["b", "C", "a", "new"],
        "name": ["a", "b", "C", "new"],
        "since": ["a", "new", "C", "b"],
        "latency": ["C", "a", "b", "new"],
        "first_token": ["b", "a", "C", "new"],
        "tokens": ["b", "a", "C", "new"],
    }
    assert set(expected) == {"", *SORTS}
    for sort, wanted in expected.items():
        assert names((await arrange(records, sort, "")).records) == wanted


async def test_groups_stand_under_their_value_and_the_rest_is_last(house: Any) -> None:
    for name, team in (("a", "red"), ("b", ""), ("c", "blue"), ("d", "red")):
        house.watch(name, State.ERROR if name == "d" else State.HEALTHY, labels={"team": team} if team else {})
    arranged = await arrange(list(house.ledger), "", "team")
    assert names(arranged.records) == ["c", "a", "d", "b"]
    assert arranged.groups == {"red": {State.HEALTHY: 1, State.ERROR: 1}, "": {State.HEALTHY: 1},
                               "blue": {State.HEALTHY: 1}}  # fmt: skip
    assert names((await arrange(list(house.ledger), "name", "team")).records) == ["c", "a", "d", "b"]
    assert names((await arrange(list(house.ledger), "", "nobody-has-this")).records) == ["a", "b", "c", "d"]


async def test_many_are_sorted_in_pieces_with_the_loop_between(monkeypatch: pytest.MonkeyPatch, house: Any) -> None:
    monkeypatch.setattr(order, "PIECE", 10)
    monkeypatch.setattr(slices, "SLICE", 0.0)
    for number in range(500):
        house.watch(f"t{number * 7919 % 500:03}")
    sorting = asyncio.create_task(arrange(list(house.ledger), "name", ""))
    turns = 0
    while not sorting.done():
        await asyncio.sleep(0)
        turns += 1
    assert names(sorting.result().records) == [f"t{number:03}" for number in range(500)]
    assert turns >= 1000  # once to look at each, once to put each in its place


async def test_labels_that_can_be_grouped_by(house: Any) -> None:
    house.watch("a", labels={"team": "x", "gpu": "H100"})
    house.watch("b", labels={f"l{number:02}": "" for number in range(99)})
    found = await label_names(list(house.ledger))
    assert len(found) == order.MOST_NAMES
    assert found[0] == "gpu"
