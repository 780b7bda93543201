"""From a canary's answers to what is remembered of them."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.job import Job
from exporter.model.observation import Observation, Output
from exporter.model.state import State
from exporter.model.stream import Outcome, StreamMeter
from tests.engine.conftest import Answer, FakeExchange, World


def says(*observations: Observation) -> Answer:
    """One after the other, the last again and again."""
    rest = list(observations)

    async def answer(exchange: FakeExchange) -> Observation:
        return rest.pop(0) if len(rest) > 1 else rest[0]

    return answer


def said(text: str, failure: Failure | None = None) -> Observation:
    return Observation(failure=failure, output=Output(text=text))


def canary(world: World, answer: Answer, **more: Any) -> Job:
    return replace(world.job(answer, probe="infer", interval=60.0, **more), drift=True)


def drift(world: World) -> tuple[bool | None, float | None, int]:
    found = world.probe(probe="infer").drift
    return found.match, found.gap, found.changes


def test_answers_are_held_against_each_other(world: World) -> None:
    world.start(canary(world, says(said("yes"), said("yes"), said("no"))))
    seen = []
    for run in range(3):
        world.advance_to(lambda run=run: len(world.results) > run)
        seen.append(drift(world))
    assert seen == [(None, None, 0), (True, 0.0, 0), (False, 1.0, 1)]
    assert world.state() is State.HEALTHY
    assert all(result.observation.output is None for result in world.results)


def test_only_where_it_was_asked_for(world: World) -> None:
    world.start(replace(canary(world, says(said("yes"))), drift=False))
    world.advance(61)
    assert world.probe(probe="infer").drift is None
    assert world.results[-1].sample is None


def test_another_definition_begins_anew(world: World) -> None:
    job = canary(world, says(said("yes"), said("no")))
    world.start(job)
    world.advance(121)
    assert drift(world)[2] == 1
    world.engine.reconcile([replace(job, fingerprint="2")])
    assert drift(world) == (None, None, 0)
    world.advance(121)
    assert drift(world) == (True, 0.0, 0)


def stream(outcome: Outcome, failure: Failure | None = None) -> Observation:
    return Observation(failure=failure, stream=StreamMeter(0.0).finish(outcome, 1.0), output=Output(text="half an ans"))


@pytest.mark.parametrize(
    ("seen", "match"),
    [
        (said("another", Failure(Reason.EXPECTATION)), False),
        (said("yes", Failure(Reason.EXPECTATION, busy=True)), True),
        (said("another", Failure(Reason.ERROR_EVENT)), None),
        (stream(Outcome.STALLED, Failure(Reason.STALLED)), None),
        (stream(Outcome.STOPPED), None),
        (stream(Outcome.LENGTH), False),
        (Observation(), None),
        (Observation(output=Output()), None),
    ],
)
def test_only_whole_answers_are_compared(world: World, seen: Observation, match: bool | None) -> None:
    world.start(canary(world, says(said("yes"), seen)))
    world.advance_to(lambda: len(world.results) == 2)
    assert drift(world)[0] is match
    assert (drift(world)[1] is None) is (match is None)


def test_a_run_without_an_answer_leaves_the_gauges_absent(world: World) -> None:
    world.start(canary(world, world.refused))
    world.advance(121)
    assert world.results
    assert drift(world) == (None, None, 0)
