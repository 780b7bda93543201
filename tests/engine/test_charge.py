"""What runs are charged: as the server counts, or as much as it may have been."""

import pytest

from exporter.engine.charge import used
from exporter.model.cost import NOTHING, Cost
from exporter.model.failure import TABLE, Evidence, Reason, Status
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.stream import Outcome, StreamSummary, Tokens

COST = Cost(100)


@pytest.fixture
def run(world):
    """A finished run: the reasons of its failed attempts, whether a last one went well, and what was seen."""
    job = world.job(world.ok(), probe="stream", cost=COST)

    def make(*failures, good=False, status=None, stream=None, tokens=None, skipped="", seen_failing=False):
        last = None if good else failures[-1] if failures else None
        return Result(
            job=job, generation=1, planned=0.0, started=0.0, ended=1.0, at=1.0,
            status=Status.HEALTHY if last is None else TABLE[last].status, evidence=Evidence.OK, reason=last,
            detail="", attempts=len(failures) + good, failures=tuple(failures),
            measurement=Measurement(http_status=status), trace_id="", skipped=skipped,
            observation=Observation(stream=stream, tokens=tokens),
        )  # fmt: skip

    return make


def stream(outcome, events=3):
    return StreamSummary(outcome, {}, (), None, 1.0, events, None, None)


def test_the_servers_own_count(run):
    assert used(run(good=True, tokens=Tokens(10, 5, 3, 2))) == Cost(20)
    assert used(run(good=True, tokens=Tokens(1000, 5))) == Cost(1005)


def test_without_a_count_as_much_as_it_may_have_been(run):
    assert used(run(good=True)) == COST
    assert used(run(good=True, stream=stream(Outcome.COMPLETE))) == COST


@pytest.mark.parametrize("outcome", [Outcome.STOPPED, Outcome.STALLED, Outcome.TIMEOUT])
def test_a_stream_that_we_cut_goes_on_at_the_servers_cost(run, outcome):
    assert used(run(good=True, stream=stream(outcome), tokens=Tokens(10, 5))) == COST
    assert used(run(good=True, stream=stream(outcome), tokens=Tokens(90, 50))) == Cost(140)


def test_a_wrong_answer_costs_as_much_as_a_right_one(run):
    assert used(run(Reason.EXPECTATION, tokens=Tokens(10, 5))) == Cost(15)


def test_a_sleeping_model_was_not_asked(run):
    assert used(run(good=True, skipped="asleep")) == NOTHING


#: What is known of each failure: nothing was sent, it was refused, or neither.
FAILED = {
    **dict.fromkeys(Reason, COST),
    **dict.fromkeys(
        (Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT, Reason.TLS, Reason.TLS_EXPIRED,
         Reason.TLS_UNTRUSTED, Reason.TLS_HOSTNAME), NOTHING,
    ),
    **dict.fromkeys(
        (Reason.AUTH, Reason.MODEL_NOT_FOUND, Reason.RATE_LIMITED, Reason.OVERLOADED, Reason.NOT_READY,
         Reason.REDIRECT), Cost(0, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", list(Reason))
def test_each_failure(run, reason):
    assert used(run(reason)) == FAILED[reason]


@pytest.mark.parametrize(("status", "cost"), [(400, Cost(0, 1)), (422, Cost(0, 1)), (408, COST), (500, COST)])
def test_a_status_that_says_whose_fault_it_was(run, status, cost):
    assert used(run(Reason.HTTP_STATUS, status=status)) == cost


def test_every_attempt_is_charged(run):
    assert used(run(Reason.CONNECT_REFUSED, Reason.RESET, good=True, tokens=Tokens(10, 5))) == Cost(115, 2)
    assert used(run(Reason.RESET, Reason.RESET, Reason.HTTP_STATUS, status=502)) == Cost(300, 3)


def test_an_overload_in_the_middle_of_a_stream_is_no_refusal(run):
    assert used(run(Reason.OVERLOADED, stream=stream(Outcome.ERROR_EVENT))) == COST
