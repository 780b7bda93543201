"""Where each target stands at a gate, by what is remembered of its runs."""

from collections.abc import Mapping

import pytest

from exporter.ledger import RECENT, RECENT_GOOD
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.state import State, Verdict
from exporter.rollout.terms import Terms
from tests.rollout.remembered import HEALTHY, START, STEP, Remembered, job, target

HEALTH, READY, METADATA = job(Kind.HEALTH), job(Kind.READY), job(Kind.METADATA)
INFER, STREAM = job(Kind.INFER), job(Kind.STREAM)
GOLDEN = job(Kind.EVALUATE, probe="golden")


def test_runs_that_began_too_early_prove_nothing() -> None:
    """It is the begin that counts: a run that ended later may show how things were before."""
    seen = Remembered(HEALTH)
    seen.run(HEALTH, began=START, took=2.0)
    assert not seen.verdict(since=START + 0.01).ready
    assert not seen.verdict(since=START + 1.99).ready
    assert seen.verdict(since=START).ready


def test_a_flapping_target_never_gets_three_in_a_row() -> None:
    seen, have = Remembered(HEALTH), []
    for good in (True, True, False, True, True, False, True, True, True):
        seen.run(HEALTH, good=good)
        have.append(seen.have(consecutive=3))
    assert have == [1, 2, 0, 1, 2, 0, 1, 2, 3]
    assert seen.verdict(consecutive=3).ready


def test_good_once_and_bad_later_is_not_ready() -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH)
    assert seen.verdict().ready
    seen.run(HEALTH, good=False)
    assert not seen.verdict().ready


def test_three_runs_are_wanted_where_nobody_says_how_many() -> None:
    assert Terms().consecutive == 3


def test_canaries_count_and_cheap_probes_beside_them_do_not() -> None:
    seen = Remembered(HEALTH, INFER, STREAM)
    seen.run(HEALTH, times=2)
    seen.run(INFER, times=2)
    assert seen.have(consecutive=2) == 0
    seen.run(STREAM)
    assert seen.have(consecutive=2) == 1
    seen.run(HEALTH, good=False)
    seen.run(STREAM)
    assert seen.verdict(consecutive=2).ready


def test_what_a_model_can_beside_answering_is_no_canary() -> None:
    tools = job(Kind.STREAM, probe="tools", capability="tools")
    seen = Remembered(HEALTH, tools)
    seen.run(HEALTH)
    seen.run(tools, good=False)
    assert seen.verdict().ready


def test_the_slowest_of_the_cheap_probes_counts_where_there_is_no_canary() -> None:
    seen = Remembered(HEALTH, READY, METADATA)
    seen.run(HEALTH, times=2)
    seen.run(READY)
    seen.run(METADATA, good=False)
    assert seen.have(consecutive=2) == 1


@pytest.mark.parametrize("state", [state for state in State if state is not State.HEALTHY])
def test_enough_good_runs_in_any_other_state_block(state: State) -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH)
    seen.states(a=Verdict(state, Reason.NOT_READY))
    assert not seen.verdict().ready
    seen.states(a=Verdict(state))
    assert not seen.verdict().ready


def test_a_canary_whose_word_is_old_does_not_open_the_gate() -> None:
    seen = Remembered(HEALTH, STREAM)
    seen.run(STREAM, times=3)
    seen.states(a=Verdict(State.HEALTHY, verified=False))
    (blocking,) = seen.verdict(consecutive=3).blocking
    assert (blocking.reason, blocking.have) == ("unverified", 3)
    seen.states()
    assert seen.verdict(consecutive=3).ready


def test_knowing_what_it_is_does_not_make_it_good() -> None:
    detect = job(Kind.DETECT, probe="health")
    seen = Remembered(detect)
    seen.run(detect)
    assert not seen.verdict().ready
    assert seen.have() == 0


def test_the_count_is_not_shown_above_what_is_wanted() -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH, times=5)
    assert seen.have(consecutive=2) == 2


def test_what_is_remembered_has_a_bound_and_is_enough_for_a_gate() -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH, times=50)
    assert seen.have(consecutive=RECENT) == RECENT
    assert seen.have(consecutive=RECENT_GOOD + 1) == RECENT_GOOD
    seen.ledger.kept = 30
    seen.run(HEALTH, times=50)
    assert seen.have(consecutive=40) == 30


def test_json_is_what_the_contract_says() -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH)
    seen.states(a=Verdict(State.ZOMBIE, Reason.TIMEOUT, "no token in 2s"))
    assert seen.verdict(consecutive=2).as_json() == {
        "ready": False,
        "targets": 1,
        "blocking": [
            {"target": "a", "state": "zombie", "reason": "timeout", "detail": "no token in 2s", "have": 1, "want": 2,
             "version": None, "hint": None}
        ],
    }  # fmt: skip
    seen.states()
    seen.run(HEALTH)
    assert seen.verdict(consecutive=2).as_json() == {"ready": True, "targets": 1, "blocking": []}


@pytest.mark.parametrize("wrong", [{"consecutive": 0}, {"min_addresses": 0}])
def test_nothing_in_a_row_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Terms(**wrong)


# --- what does not run ---------------------------------------------------------------------------------------------


def test_a_canary_that_is_asleep_says_so_and_how_it_is_woken() -> None:
    seen = Remembered(HEALTH, STREAM)
    seen.states(a=Verdict(State.HEALTHY))
    seen.run(HEALTH)
    seen.pause("a", {"stream": "asleep"})
    (blocking,) = seen.verdict().as_json()["blocking"]
    detail = blocking.pop("detail")
    assert blocking == {
        "target": "a", "state": "healthy", "reason": "asleep", "have": 0, "want": 1, "version": None,
        "hint": "wake: true",
    }  # fmt: skip
    assert detail.startswith("stream does not run: its model sleeps")
    seen.run(STREAM)
    seen.states()
    assert seen.verdict().ready


def test_a_canary_that_is_awake_again_is_not_told_to_sleep() -> None:
    seen = Remembered(HEALTH, STREAM)
    seen.pause("a", {"stream": "asleep"})
    seen.run(STREAM)
    (blocking,) = seen.verdict(consecutive=2).blocking
    assert (blocking.reason, blocking.have) == (None, 1)


def test_a_canary_that_fell_asleep_after_its_good_runs_speaks_of_no_present() -> None:
    seen = Remembered(HEALTH, STREAM)
    seen.run(STREAM, times=3)
    seen.states(a=Verdict(State.HEALTHY))
    seen.pause("a", {"stream": "asleep"})
    (blocking,) = seen.verdict(consecutive=3).blocking
    assert (blocking.reason, blocking.have, blocking.hint) == ("asleep", 3, "wake: true")


@pytest.mark.parametrize(
    ("verdict", "passed_over", "reason"),
    [
        (HEALTHY, {"infer": "budget"}, "budget"),
        (HEALTHY, {"health": "asleep"}, None),  # does not count beside canaries
        (HEALTHY, {"infer": "overlap"}, None),
        (HEALTHY, {"stream": "budget"}, None),  # has all the runs it needs
        (Verdict(State.UNKNOWN), {"infer": "budget"}, "budget"),
        (Verdict(State.ERROR, Reason.CONNECT_REFUSED), {"infer": "asleep"}, "connect_refused"),
    ],
)
def test_only_what_holds_the_gate_up_is_named(
    verdict: Verdict, passed_over: Mapping[str, str], reason: str | None
) -> None:
    seen = Remembered(HEALTH, INFER, STREAM)
    seen.states(a=verdict)
    seen.run(STREAM)
    seen.pause("a", passed_over)
    (standing,) = seen.verdict().blocking
    assert standing.reason == reason
    assert not standing.hint


@pytest.mark.parametrize("verdict", [HEALTHY, Verdict(State.ERROR, Reason.TIMEOUT, "old")])
def test_in_maintenance_nothing_is_ready(verdict: Verdict) -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH)
    seen.states(a=verdict)
    seen.ledger.rest("a", 2000.0)
    (blocking,) = seen.verdict().blocking
    assert (blocking.reason, blocking.state) == ("maintenance", verdict.state)
    seen.ledger.rest("a", None)
    assert seen.verdict().ready is (verdict is HEALTHY)


# --- bounds --------------------------------------------------------------------------------------------------------


def test_a_run_that_took_too_long_is_not_a_good_one() -> None:
    seen = Remembered(INFER)
    seen.run(INFER, duration=2.5)
    seen.run(INFER, duration=0.2)
    assert seen.verdict(consecutive=2).ready
    (blocking,) = seen.verdict(consecutive=2, max_duration=2.0).blocking
    assert (blocking.have, blocking.reason) == (1, None), "the last one was fast: only one more is missing"
    seen.run(INFER, duration=2.0)
    assert seen.verdict(consecutive=2, max_duration=2.0).ready
    seen.run(INFER, duration=2.1)
    (blocking,) = seen.verdict(consecutive=2, max_duration=2.0).blocking
    assert (blocking.have, blocking.reason) == (0, "slow")
    assert blocking.detail == "infer: the answer took 2.1 s, wanted at most 2 s"


def test_a_first_token_that_took_too_long_counts_where_something_is_streamed() -> None:
    seen = Remembered(INFER, STREAM)
    seen.run(INFER, duration=9.0)
    seen.run(STREAM, duration=9.0, ttft=0.5)
    assert seen.verdict(max_ttft=0.5).ready
    (blocking,) = seen.verdict(max_ttft=0.4).blocking
    assert (blocking.reason, blocking.detail) == ("slow", "stream: the first token took 0.5 s, wanted at most 0.4 s")
    seen.run(STREAM, ttft=None)
    assert not seen.verdict(max_ttft=9.0).ready, "what is not known is within no bound"


def test_first_tokens_are_told_apart_run_by_run() -> None:
    seen = Remembered(STREAM)
    for ttft in (None, 0.9, 0.1, 0.2):
        seen.run(STREAM, ttft=ttft)
    assert [seen.have(consecutive=9, max_ttft=bound) for bound in (0.1, 0.2, 0.9)] == [0, 2, 3]
    assert seen.have(consecutive=9) == 4


def test_where_nothing_is_streamed_a_first_token_cannot_be_judged() -> None:
    seen = Remembered(HEALTH, INFER)
    seen.run(INFER)
    (blocking,) = seen.verdict(max_ttft=1.0).blocking
    assert (blocking.reason, blocking.hint) == ("slow", "probes: {stream: {}}")


# --- versions ------------------------------------------------------------------------------------------------------


def test_the_version_must_be_served_and_every_run_must_be_of_it() -> None:
    seen = Remembered(HEALTH, METADATA, INFER)
    seen.run(METADATA, version="1")
    seen.run(INFER, times=3)
    assert seen.verdict(consecutive=3, version="1").ready
    (blocking,) = seen.verdict(consecutive=3, version="2").blocking
    assert (blocking.reason, blocking.have, blocking.version) == ("version", 0, "1")
    assert blocking.detail == "it serves version 1, wanted is 2"
    seen.run(METADATA, version="2")
    waiting = seen.verdict(consecutive=3, version="2")
    assert [(each.reason, each.have) for each in waiting.blocking] == [(None, 0)], "version 1 ran, and not this one"
    seen.run(INFER, times=3)
    assert seen.verdict(consecutive=3, version="2").ready
    seen.run(METADATA, version="2")
    assert seen.verdict(consecutive=3, version="2").ready, "told again is no change"
    assert seen.verdict(consecutive=3).ready, "who asks for no version gets none"


def test_what_else_a_server_tells_has_nothing_to_do_with_its_version() -> None:
    seen = Remembered(METADATA, INFER)
    seen.run(METADATA, version="1", platform="sklearn")
    seen.run(INFER)
    seen.run(METADATA, version="1", platform="onnx")
    assert seen.verdict(version="1").ready


def test_one_of_several_versions_that_are_served_will_do_unless_the_answers_come_from_another() -> None:
    seen = Remembered(METADATA, INFER)
    seen.run(METADATA, version="2,3")
    seen.run(INFER, version="3")
    assert seen.verdict(version="3").ready
    assert not seen.verdict(version="2").ready, "the canary's answer came from version 3"
    assert not seen.verdict(version="2,3").ready


def test_what_a_canary_tells_is_enough_where_the_server_does_not_tell() -> None:
    seen = Remembered(INFER)
    seen.run(INFER, version="3")
    assert seen.verdict(version="3").ready
    assert seen.verdict(version="2").blocking[0].reason == "version"


def test_a_version_that_nobody_asks_for_blocks_with_a_hint() -> None:
    seen = Remembered(HEALTH, INFER)
    seen.run(INFER)
    (blocking,) = seen.verdict(version="3").blocking
    assert (blocking.reason, blocking.hint, blocking.version) == ("version", "probes: {metadata: {}}", "")
    assert blocking.detail == "nobody asks which version it serves, wanted is 3"


def test_a_version_that_is_not_told_blocks_without_one() -> None:
    seen = Remembered(METADATA, INFER)
    seen.run(INFER)
    assert seen.verdict(version="3").blocking[0].detail.startswith("it was not asked yet")
    seen.run(METADATA)
    (blocking,) = seen.verdict(version="3").blocking
    assert blocking.detail.startswith("it does not tell which version")
    assert not blocking.hint


def test_a_version_that_was_told_too_early_proves_nothing() -> None:
    seen = Remembered(METADATA, INFER)
    seen.run(METADATA, version="3")
    seen.run(INFER)
    since = START + STEP / 2
    (blocking,) = seen.verdict(since, version="3").blocking
    assert (blocking.reason, blocking.have) == ("version", 0)
    assert "before the time that counts" in blocking.detail
    seen.run(METADATA, version="3")
    assert seen.verdict(since, version="3").ready


def test_a_state_that_is_bad_is_told_before_the_version() -> None:
    seen = Remembered(METADATA, INFER)
    seen.run(METADATA, version="1")
    seen.states(a=Verdict(State.ERROR, Reason.CONNECT_REFUSED, "nobody there"))
    assert seen.verdict(version="2").blocking[0].reason == "connect_refused"


# --- golden sets ---------------------------------------------------------------------------------------------------


def test_a_golden_set_must_have_been_run_well_since() -> None:
    seen = Remembered(INFER, GOLDEN)
    seen.run(GOLDEN)
    seen.run(INFER)
    assert seen.verdict().ready
    assert seen.verdict(evaluate=True).ready
    since = START + STEP / 2
    (blocking,) = seen.verdict(since, evaluate=True).blocking
    assert (blocking.reason, blocking.detail) == ("evaluation", "golden has not been run to its end yet")
    seen.run(GOLDEN, good=False)
    (blocking,) = seen.verdict(since, evaluate=True).blocking
    assert (blocking.reason, blocking.detail) == ("evaluation", "golden: no answer")
    seen.run(GOLDEN)
    assert seen.verdict(since, evaluate=True).ready


def test_every_golden_set_counts_and_what_has_none_needs_none() -> None:
    other = job(Kind.EVALUATE, probe="other")
    plain = job(Kind.HEALTH, target("b"))
    seen = Remembered(INFER, GOLDEN, other, plain)
    for each in (INFER, GOLDEN, plain):
        seen.run(each)
    assert [each.target for each in seen.verdict(evaluate=True).blocking] == ["a"]
    seen.run(other)
    assert seen.verdict(evaluate=True).ready


def test_a_golden_set_of_the_version_before_proves_nothing() -> None:
    seen = Remembered(METADATA, INFER, GOLDEN)
    seen.run(METADATA, version="1")
    seen.run(GOLDEN)
    seen.run(METADATA, version="2")
    seen.run(INFER)
    assert seen.verdict(version="2").ready
    assert seen.verdict(version="2", evaluate=True).blocking[0].reason == "evaluation"


def test_where_nothing_can_be_evaluated_the_question_is_wrong() -> None:
    seen = Remembered(HEALTH)
    seen.run(HEALTH)
    verdict = seen.verdict(evaluate=True)
    assert not verdict.ready
    assert verdict.problem == "no target that is selected has a probe of kind evaluate"
    assert not seen.verdict(unread=[target("gateway")], evaluate=True).problem, "what is found may have one"
