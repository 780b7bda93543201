"""Which targets a gate means, and what all of them together amount to."""

from collections.abc import Mapping

import pytest

from exporter.model.job import Kind
from exporter.model.observation import Detection
from exporter.model.state import State, Verdict
from exporter.rollout.terms import Terms
from tests.rollout.remembered import Remembered, job, target


def test_every_target_must_be_good() -> None:
    first, second = job(Kind.HEALTH, target("a")), job(Kind.HEALTH, target("b"))
    seen = Remembered(first, second)
    seen.run(first)
    seen.states(b=Verdict(State.UNKNOWN))
    assert [standing.target for standing in seen.verdict().blocking] == ["b"]
    seen.run(second)
    seen.states()
    assert seen.verdict().ready


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ((), "abc"),
        ((("team", "x"),), "ab"),
        ((("team", "x"), ("team", "y")), "abc"),
        ((("team", "x"), ("model", "m")), "b"),
        ((("target", "c"),), "c"),
        ((("protocol", "openai"),), "b"),
        ((("team", ""),), ""),
        ((("nothing", "x"),), ""),
    ],
)
def test_selection(select: tuple[tuple[str, str], ...], names: str) -> None:
    targets = [
        target("a", labels={"team": "x"}, protocol="triton"),
        target("b", labels={"team": "x"}, model="m", protocol="openai"),
        target("c", labels={"team": "y"}, model="m", protocol="triton"),
    ]
    assert [one.name for one in targets if Terms(select=select).selects(one)] == list(names)
    verdict = Remembered(*(job(Kind.HEALTH, one) for one in targets)).verdict(select=select)
    assert [standing.target for standing in verdict.standings] == list(names)
    assert bool(verdict.problem) is not bool(names)
    assert not verdict.ready


def test_labels_of_the_operator_hide_no_name_of_ours() -> None:
    labels: Mapping[str, str] = {"target": "z", "model": "z"}
    assert not Terms(select=(("target", "z"),)).selects(target("a", labels=labels))


def test_all_addresses_of_a_target_must_be_good() -> None:
    replicas = [
        job(Kind.HEALTH, target(f"a@10.0.0.{number}:80", group="a", address=f"10.0.0.{number}:80")) for number in (1, 2)
    ]
    seen = Remembered(*replicas, job(Kind.HEALTH, target("b")))
    seen.run(replicas[0])
    waiting = seen.verdict(select=(("target", "a"),))
    assert [standing.target for standing in waiting.blocking] == ["a@10.0.0.2:80"]
    one = seen.verdict(select=(("target", "a"), ("address", "10.0.0.1:80")))
    assert [standing.target for standing in one.standings] == ["a@10.0.0.1:80"]
    seen.run(replicas[1])
    assert seen.verdict(select=(("target", "a"),)).ready


def test_fewer_addresses_than_wanted_block() -> None:
    replicas = [
        job(Kind.HEALTH, target(f"a@10.0.0.{number}:80", group="a", address=f"10.0.0.{number}:80")) for number in (1, 2)
    ]
    seen = Remembered(*replicas)
    for replica in replicas:
        seen.run(replica)
    assert seen.verdict(min_addresses=2).ready
    (blocking,) = seen.verdict(min_addresses=3).blocking
    assert (blocking.target, blocking.reason, blocking.have, blocking.want) == ("a", "addresses", 2, 3)
    assert blocking.detail == "2 addresses of it found, wanted are 3"
    assert not blocking.hint
    assert len(seen.verdict(min_addresses=3).standings) == 3


def test_a_target_that_is_one_url_has_one_address() -> None:
    health = job(Kind.HEALTH)
    seen = Remembered(health)
    seen.run(health)
    (blocking,) = seen.verdict(min_addresses=2).blocking
    assert (blocking.reason, blocking.have, blocking.want) == ("addresses", 1, 2)
    assert blocking.hint == "replicas: dns"


def test_what_is_still_to_be_found_holds_the_gate_up() -> None:
    health = job(Kind.HEALTH)
    seen = Remembered(health)
    seen.run(health)
    waiting = seen.verdict(unread=[target("gateway"), target("a")])
    assert [(each.target, each.state, each.detail) for each in waiting.blocking] == [
        ("gateway", State.UNKNOWN, "what is there was not found yet")
    ], "a target that is watched by its name stands for itself"
    assert seen.verdict().ready


@pytest.mark.parametrize(
    ("select", "waits"),
    [
        ((), True),
        ((("team", "x"),), True),
        ((("team", "y"),), False),
        ((("stage", "z"),), False),
        ((("target", "gateway/llama"), ("model", "llama"), ("protocol", "openai")), True),
    ],
)
def test_only_what_may_be_selected_is_waited_for(select: tuple[tuple[str, str], ...], waits: bool) -> None:
    verdict = Remembered().verdict(unread=[target("gateway", labels={"team": "x"})], select=select)
    assert not verdict.ready
    assert bool(verdict.blocking) is waits
    assert verdict.problem == ("" if waits else "no target is selected")


def test_a_target_whose_protocol_is_being_found_out_may_turn_out_to_be_meant() -> None:
    detect = job(Kind.DETECT, target("a", labels={"team": "x"}), probe="health")
    other = job(Kind.HEALTH, target("b", protocol="openai"))
    seen = Remembered(detect, other)
    seen.run(other)
    wanted = (("protocol", "openai"),)
    assert [each.target for each in seen.verdict(select=wanted).blocking] == ["a"]
    assert seen.verdict(select=(*wanted, ("target", "b"))).ready
    seen.run(detect, detected=Detection("openai", "vllm", ("health",), "it said so"))
    assert not seen.verdict(select=wanted).ready, "its new probes come in a moment"
    seen.run(detect, good=False)
    assert seen.verdict(select=wanted).ready, "asked in vain: all that is known is what its config says"


def test_nothing_at_all_is_not_ready() -> None:
    verdict = Remembered().verdict()
    assert (verdict.ready, verdict.problem) == (False, "no target is selected")
