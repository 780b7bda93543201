from collections.abc import Callable, Mapping
from typing import Any

import pytest

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.target import Target
from exporter.rollout.wait import Gate, selected

HEALTHY = Verdict(State.HEALTHY)


async def _ask(_: Any) -> Observation:
    return Observation()


def target(name: str = "a", **extra: Any) -> Target:
    return Target(name, Endpoint("http", "127.0.0.1", 8000), **extra)


def job(kind: Kind, of: Target | None = None, *, probe: str = "", fingerprint: str = "1") -> Job:
    return Job(of or target(), probe or str(kind), kind, Schedule(1, 1, 1), Retry(), Thresholds(), _ask, fingerprint)


def result(of: Job, *, good: bool = True, started: float = 10.0) -> Result:
    return Result(
        job=of, generation=1, planned=started, started=started, ended=started + 0.1, at=0.0,
        status=Status.HEALTHY if good else Status.ERROR, evidence=Evidence.OK if good else Evidence.SLOW,
        reason=None if good else Reason.TIMEOUT, detail="", attempts=1, failures=(), measurement=Measurement(),
        observation=Observation(), trace_id="t",
    )  # fmt: skip


def states(**verdicts: Verdict) -> Callable[[str], Verdict]:
    return lambda name: verdicts.get(name, HEALTHY)


def test_runs_that_began_before_the_gate_prove_nothing() -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=10.0)
    gate.watch([health])
    gate.feed(result(health, started=9.99))
    assert not gate.verdict(states()).ready
    gate.feed(result(health, started=10.0))
    assert gate.verdict(states()).ready


def test_a_flapping_target_never_gets_three_in_a_row() -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=0.0, consecutive=3)
    gate.watch([health])
    have = []
    for good in (True, True, False, True, True, False, True, True, True):
        gate.feed(result(health, good=good))
        have.append(gate.verdict(states()).standings[0].have)
    assert have == [1, 2, 0, 1, 2, 0, 1, 2, 3]
    assert gate.verdict(states()).ready


def test_good_once_and_bad_later_is_not_ready() -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=0.0)
    gate.watch([health])
    gate.feed(result(health))
    assert gate.verdict(states()).ready
    gate.feed(result(health, good=False))
    assert not gate.verdict(states()).ready


def test_every_target_must_be_good() -> None:
    first, second = job(Kind.HEALTH, target("a")), job(Kind.HEALTH, target("b"))
    gate = Gate(since=0.0)
    gate.watch([first, second])
    gate.feed(result(first))
    verdict = gate.verdict(states(b=Verdict(State.UNKNOWN)))
    assert [standing.target for standing in verdict.blocking] == ["b"]
    gate.feed(result(second))
    assert gate.verdict(states()).ready


def test_canaries_count_and_cheap_probes_beside_them_do_not() -> None:
    health, infer, stream = job(Kind.HEALTH), job(Kind.INFER), job(Kind.STREAM)
    gate = Gate(since=0.0, consecutive=2)
    gate.watch([health, infer, stream])
    for _ in range(2):
        gate.feed(result(health))
        gate.feed(result(infer))
    assert gate.verdict(states()).standings[0].have == 0
    gate.feed(result(stream))
    assert gate.verdict(states()).standings[0].have == 1
    gate.feed(result(health, good=False))
    gate.feed(result(stream))
    assert gate.verdict(states()).ready


def test_the_slowest_of_the_cheap_probes_counts_where_there_is_no_canary() -> None:
    health, ready, metadata = job(Kind.HEALTH), job(Kind.READY), job(Kind.METADATA)
    gate = Gate(since=0.0, consecutive=2)
    gate.watch([health, ready, metadata])
    gate.feed(result(health))
    gate.feed(result(health))
    gate.feed(result(ready))
    gate.feed(result(metadata, good=False))
    assert gate.verdict(states()).standings[0].have == 1


@pytest.mark.parametrize("state", [state for state in State if state is not State.HEALTHY])
def test_enough_good_runs_in_any_other_state_block(state: State) -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=0.0)
    gate.watch([health])
    gate.feed(result(health))
    assert not gate.verdict(states(a=Verdict(state, Reason.NOT_READY))).ready


def test_knowing_what_it_is_does_not_make_it_good() -> None:
    detect = job(Kind.DETECT, probe="health")
    gate = Gate(since=0.0)
    gate.watch([detect])
    gate.feed(result(detect))
    assert not gate.verdict(states()).ready
    found = job(Kind.HEALTH, fingerprint="2")
    gate.watch([found])
    gate.feed(result(found))
    assert gate.verdict(states()).ready


def test_other_settings_start_the_count_again_and_the_same_go_on() -> None:
    health, ready = job(Kind.HEALTH), job(Kind.READY)
    gate = Gate(since=0.0, consecutive=2)
    gate.watch([health, ready])
    gate.feed(result(health))
    gate.feed(result(ready))
    changed = job(Kind.READY, fingerprint="2")
    gate.watch([health, changed])
    gate.feed(result(health))
    gate.feed(result(ready))  # of the settings that are gone
    gate.feed(result(changed))
    assert gate.verdict(states()).standings[0].have == 1
    gate.feed(result(changed))
    assert gate.verdict(states()).ready


def test_a_run_that_ends_before_its_job_is_watched_counts() -> None:
    first, found = job(Kind.DETECT, probe="health"), job(Kind.INFER, fingerprint="2")
    gate = Gate(since=0.0)
    gate.watch([first])
    gate.feed(result(found))
    gate.watch([found])
    assert gate.verdict(states()).ready


def test_the_count_is_not_shown_above_what_is_wanted() -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=0.0, consecutive=2)
    gate.watch([health])
    for _ in range(5):
        gate.feed(result(health))
    assert gate.verdict(states()).standings[0].have == 2


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
        target("a", labels={"team": "x"}),
        target("b", labels={"team": "x"}, model="m", protocol="openai"),
        target("c", labels={"team": "y"}, model="m"),
    ]
    assert [one.name for one in targets if selected(one, select)] == list(names)
    gate = Gate(since=0.0, select=select)
    gate.watch([job(Kind.HEALTH, one) for one in targets])
    assert gate.targets == tuple(names)


def test_labels_of_the_operator_hide_no_name_of_ours() -> None:
    labels: Mapping[str, str] = {"target": "z", "model": "z"}
    assert not selected(target("a", labels=labels), [("target", "z")])


def test_json_is_what_the_contract_says() -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=0.0, consecutive=2)
    gate.watch([health])
    gate.feed(result(health))
    waiting = gate.verdict(states(a=Verdict(State.ZOMBIE, Reason.TIMEOUT, "no token in 2s")))
    assert waiting.as_json() == {
        "ready": False,
        "blocking": [{"target": "a", "state": "zombie", "reason": "timeout", "have": 1, "want": 2, "hint": None}],
    }
    gate.feed(result(health))
    assert gate.verdict(states()).as_json() == {"ready": True, "blocking": []}


def test_nothing_in_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Gate(since=0.0, consecutive=0)


def test_all_addresses_of_a_target_must_be_good() -> None:
    replicas = [
        job(Kind.HEALTH, target(f"a@10.0.0.{number}:80", group="a", address=f"10.0.0.{number}:80")) for number in (1, 2)
    ]
    gate = Gate(since=0.0, select=[("target", "a")])
    gate.watch([*replicas, job(Kind.HEALTH, target("b"))])
    gate.feed(result(replicas[0]))
    waiting = gate.verdict(states())
    assert [standing.target for standing in waiting.blocking] == ["a@10.0.0.2:80"]
    gate.feed(result(replicas[1]))
    assert gate.verdict(states()).ready
    one = Gate(since=0.0, select=[("target", "a"), ("address", "10.0.0.1:80")])
    one.watch(replicas)
    assert one.targets == ("a@10.0.0.1:80",)


def test_what_is_still_to_be_found_holds_the_gate_up() -> None:
    health = job(Kind.HEALTH)
    gate = Gate(since=0.0)
    gate.watch([health], [target("gateway"), target("a")])
    gate.feed(result(health))
    waiting = gate.verdict(states())
    assert [(each.target, each.state, each.detail) for each in waiting.blocking] == [
        ("gateway", State.UNKNOWN, "what is there was not found yet")
    ], "a target that is watched by its name stands for itself"
    gate.watch([health])
    assert gate.verdict(states()).ready


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
    gate = Gate(since=0.0, select=select)
    gate.watch([], [target("gateway", labels={"team": "x"})])
    assert gate.verdict(states()).ready is not waits


def test_a_canary_that_is_asleep_says_so_and_how_it_is_woken() -> None:
    health, stream = job(Kind.HEALTH), job(Kind.STREAM)
    gate = Gate(since=0.0)
    gate.watch([health, stream])
    gate.feed(result(health))
    waiting = gate.verdict(states(), lambda name: {"stream": "asleep"})
    assert waiting.as_json()["blocking"] == [
        {"target": "a", "state": "healthy", "reason": "asleep", "have": 0, "want": 1, "hint": "wake: true"}
    ]
    assert waiting.blocking[0].detail.startswith("stream does not run: its model sleeps")
    gate.feed(result(stream))
    assert gate.verdict(states(), lambda name: {"stream": "asleep"}).ready


@pytest.mark.parametrize(
    ("verdict", "passed_over", "reason"),
    [
        (HEALTHY, {"infer": "budget"}, "budget"),
        (HEALTHY, {"health": "asleep"}, None),  # does not count beside canaries
        (HEALTHY, {"infer": "overlap"}, None),
        (Verdict(State.ERROR, Reason.CONNECT_REFUSED), {"infer": "asleep"}, "connect_refused"),
    ],
)
def test_only_what_holds_the_gate_up_is_named(
    verdict: Verdict, passed_over: Mapping[str, str], reason: str | None
) -> None:
    health, infer, stream = job(Kind.HEALTH), job(Kind.INFER), job(Kind.STREAM)
    gate = Gate(since=0.0)
    gate.watch([health, infer, stream])
    gate.feed(result(stream))
    (standing,) = gate.verdict(states(a=verdict), lambda name: passed_over).blocking
    assert standing.reason == reason
    assert not standing.hint
