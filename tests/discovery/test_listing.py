"""Lists of targets: what a part that cannot be read keeps, what is chosen, and what is told."""

from collections.abc import Sequence
from typing import Any

import pytest

from exporter.discovery.listing import Choice, Labels, Listing, Part
from exporter.discovery.relabel import Rule
from exporter.model.failure import Failure, Reason


def name_of(labels: Labels) -> str:
    if labels["__address__"] == "bad":
        raise ValueError("'bad' can be no target: it is bad")
    return labels.get("name", labels["__address__"])


class Script:
    """Gives what it is told to."""

    def __init__(self, *parts: Part) -> None:
        self.parts: Sequence[Part] = parts

    def listing(self, *rules: Rule, limit: int = 10) -> Listing:
        return Listing("list", "place", 15.0, self.read, Choice(rules, name_of, limit))

    async def read(self) -> Sequence[Part]:
        return self.parts


def part(name: str, *addresses: str, **labels: str) -> Part:
    return Part(name, [{"__address__": address, **labels} for address in addresses])


async def test_targets_come_in_the_order_of_their_names_with_their_labels() -> None:
    found = await Script(part("f", "b", "a", team="x")).listing().find()
    assert found.names == ("a", "b")
    assert found.entries == ({"__address__": "a", "team": "x"}, {"__address__": "b", "team": "x"})
    assert (found.over, found.missing, found.failure) == (0, None, None)


async def test_rules_choose_and_change() -> None:
    rules = (Rule("drop", ("__address__",), regex="b"), Rule(source_labels=("__address__",), target_label="name"))
    found = await Script(part("f", "b", "a")).listing(*rules).find()
    assert found.entries == ({"__address__": "a", "name": "a"},)


async def test_above_the_limit_the_first_by_name_stay() -> None:
    found = await Script(part("f", *"dbca")).listing(limit=3).find()
    assert (found.names, found.over) == (("a", "b", "c"), 1)


async def test_a_part_that_cannot_be_read_keeps_what_it_held_and_the_others_go_on() -> None:
    script = Script(part("f", "a"), part("g", "b"))
    listing = script.listing()
    await listing.find()
    script.parts = [Part("f", None, "f: broken"), part("g", "c")]
    found = await listing.find()
    assert found.names == ("a", "c")
    assert found.failure is not None
    assert (found.failure.reason, found.failure.detail) == (Reason.MALFORMED, "f: broken")
    script.parts = [part("g", "c")]
    assert (await listing.find()).names == ("c",), "a file that is gone has no targets"


async def test_nothing_that_can_be_read_and_nothing_known_is_a_failure() -> None:
    with pytest.raises(Failure, match="malformed: f: broken; g: broken too"):
        await Script(Part("f", None, "f: broken"), Part("g", None, "g: broken too")).listing().find()


async def test_an_empty_list_is_an_answer() -> None:
    found = await Script().listing().find()
    assert (found.names, found.failure) == ((), None)


async def test_what_can_be_no_target_is_left_out_and_told() -> None:
    found = await Script(part("f", "bad", "a")).listing().find()
    assert found.names == ("a",)
    assert found.failure is not None
    assert found.failure.detail == "'bad' can be no target: it is bad"


async def test_of_two_with_one_name_the_first_is_watched() -> None:
    found = await Script(part("f", "a", team="x"), part("g", "a", team="y"), part("h", "a", team="x")).listing().find()
    assert found.entries == ({"__address__": "a", "team": "x"},)
    assert found.failure is not None
    assert found.failure.detail == "two targets are named 'a' and differ in team; the first is watched"


async def test_where_a_target_was_found_is_for_rules_alone() -> None:
    script = Script(part("f", "a", __meta_filepath="f"), part("g", "a", __meta_filepath="g"))
    found = await script.listing(Rule(source_labels=("__meta_filepath",), target_label="from_")).find()
    assert found.entries == ({"__address__": "a", "from_": "f"},)
    script.parts = [part("f", "a", __meta_filepath="f"), part("g", "a", __meta_filepath="g")]
    assert (await script.listing().find()).failure is None


async def test_a_pattern_that_takes_too_long_leaves_out_what_it_was_tried_on() -> None:
    rule = Rule("keep", ("__address__",), regex="(a|a|aa|aaa)+b|c")
    found = await Script(part("f", "a" * 4000, "c")).listing(rule).find()
    assert found.names == ("c",)
    assert found.failure is not None
    assert found.failure.detail.startswith("relabel_configs: a regular expression takes too long")


def test_what_is_asked_for_is_compared(monkeypatch: Any) -> None:
    script = Script()
    assert script.listing(Rule()).question == script.listing(Rule()).question
    assert script.listing(Rule()).question != script.listing(Rule("keep")).question
    assert script.listing(limit=1).question != script.listing(limit=2).question
