"""Budgets on a schedule: canaries stop in time, say so, and go on with the next window."""

import asyncio

import pytest

from exporter.engine import Limits
from exporter.model.cost import Allowance, Cost
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.state import State
from exporter.model.stream import Tokens

pytestmark = pytest.mark.slow

HOUR = 3600.0
RUN = Cost(50)


def told(tokens, latency=0.01):
    """A server that counts."""

    async def answer(exchange):
        await asyncio.sleep(latency)
        return Observation(tokens=Tokens(output=tokens))

    return answer


def watched(world, server, target="t", *, every=60.0, cost=RUN, **more):
    return [
        world.job(server, target, "health", interval=5.0, timeout=5.0, **more),
        world.job(server, target, "stream", interval=every, timeout=30.0, cost=cost, **more),
    ]


def stream(world, target="t"):
    return world.probe(target, "stream")


def balance(world, target="t"):
    return world.ledger.targets[target].balance


def to_the_hour(world):
    """Seconds until the next window."""
    return HOUR - world.wall() % HOUR


def test_what_the_server_counts_is_spent_and_no_more(world):
    server = world.server(health=world.ok(), stream=told(30))
    world.start(*watched(world, server, budget=Allowance(100, None, HOUR)))
    world.advance(to_the_hour(world) - 1)
    assert len(server.starts("stream")) == 2  # 30 + 30 + 50 would be too much
    assert balance(world).remaining_tokens == 40
    assert balance(world).remaining_requests is None
    assert stream(world).skipped["budget"] > 5
    assert stream(world).paused == {"budget": True}
    assert world.states() == [State.HEALTHY]
    assert not world.ledger.targets["t"].verdict.verified


def test_the_next_window_opens_without_anybody_asking(world):
    server = world.server(health=world.ok(), stream=told(30))
    world.start(*watched(world, server, budget=Allowance(None, 2, HOUR)))
    world.advance(to_the_hour(world) - 0.1)
    assert balance(world).remaining_requests == 0
    world.advance(0.2)
    assert balance(world).remaining_requests >= 1
    world.advance(60)
    assert stream(world).paused == {"budget": False}
    assert world.ledger.targets["t"].verdict.verified
    assert world.states() == [State.HEALTHY]


def test_cheap_probes_cost_nothing(world):
    server = world.server(health=world.ok(), stream=told(30))
    world.start(*watched(world, server, budget=Allowance(1, None, HOUR)))
    world.advance(60)
    assert len(server.starts("health")) > 10
    assert not server.starts("stream")
    assert balance(world).spent == Cost(0, 0)


def test_rechecks_and_pulled_runs_are_budgeted_too(world):
    server = world.server(health=world.ok(), stream=world.hang)
    world.start(*watched(world, server, every=600.0, budget=Allowance(None, 4, HOUR)))
    world.advance(to_the_hour(world) - 1)
    assert len(server.starts("stream")) == 4


def test_a_failure_goes_on_speaking_until_it_is_too_old(world):
    """The budget is spent on a zombie. It is not well because nobody looks any more."""
    server = world.server(health=world.ok(), stream=world.hang)
    world.start(*watched(world, server, every=60.0, budget=Allowance(None, 3, 24 * HOUR)))
    world.advance_to(lambda: stream(world).skipped["budget"] > 0)
    assert world.state() is State.ZOMBIE
    assert world.ledger.targets["t"].verdict.verified
    world.advance(200)
    assert world.state() is State.HEALTHY
    assert not world.ledger.targets["t"].verdict.verified


def test_a_server_that_came_back_is_not_held_by_an_old_failure(world):
    server = world.server(health=world.ok(), stream=world.hang)
    world.start(*watched(world, server, every=60.0, budget=Allowance(None, 3, 24 * HOUR)))
    world.advance_to(lambda: stream(world).skipped["budget"] > 0)
    server.down = world.refused
    world.advance_to(lambda: world.state() is State.ERROR)
    server.down = None
    assert world.advance_to(lambda: world.state() is State.HEALTHY) < 6


def test_nothing_is_spent_on_a_server_that_cannot_be_reached(world):
    server = world.server(health=world.ok(), stream=world.refused)
    world.start(*watched(world, server, budget=Allowance(100, 2, 24 * HOUR)))
    world.advance(600)
    assert len(server.starts("stream")) > 5
    assert balance(world).spent == Cost(0, 0)


def test_a_run_that_is_cancelled_is_charged_in_full(world):
    server = world.server(health=world.ok(), stream=world.hang)
    jobs = watched(world, server, budget=Allowance(1000, None, 24 * HOUR))
    world.start(*jobs)
    world.advance_to(lambda: bool(server.starts("stream")))
    changed = world.job(server, probe="stream", fingerprint="2", interval=600.0, budget=jobs[0].target.budget)
    world.loop.run_until_complete(_reconcile(world, [jobs[0], changed]))
    world.advance(0.1)
    assert balance(world).spent.tokens == RUN.tokens


async def _reconcile(world, jobs):
    world.engine.reconcile(jobs)


def test_a_run_that_never_began_is_not_charged(world):
    """It waits for a slot when it is removed."""
    world.make(Limits(concurrency=1))
    slow = world.server(health=world.stuck)
    server = world.server(stream=told(30))
    canary = world.job(server, "t", "stream", interval=60.0, cost=RUN, budget=Allowance(1000, None, 24 * HOUR))
    world.start(world.job(slow, "slow", interval=300.0, timeout=200.0))
    world.advance_to(lambda: bool(slow.starts("health")))
    world.loop.run_until_complete(_reconcile(world, [world.job(slow, "slow", interval=300.0, timeout=200.0), canary]))
    world.advance(5)
    assert not server.starts("stream")
    world.loop.run_until_complete(
        _reconcile(world, [world.job(slow, "slow", interval=300.0, timeout=200.0),
                           world.job(server, "t", "stream", fingerprint="2", budget=canary.target.budget)])
    )  # fmt: skip
    assert balance(world).spent == Cost(0, 0)
    (budget,) = world.engine.pauses._budgets._budgets()
    assert budget.held.tokens <= RUN.tokens


def test_a_dearer_run_than_was_thought_is_thought_of_the_next_time(world):
    server = world.server(health=world.ok(), stream=told(70))
    world.start(*watched(world, server, budget=Allowance(190, None, 24 * HOUR)))
    world.advance(1200)
    assert len(server.starts("stream")) == 2  # 70 + 70 + 50 would fit, 70 more does not
    assert balance(world).spent.tokens == 140


def test_a_sleeping_model_costs_nothing(world):
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server, budget=Allowance(None, 1, 24 * HOUR)))
    world.advance(300)
    assert balance(world).spent == Cost(0, 0)
    assert set(stream(world).skipped) == {"asleep"}


def test_all_targets_share_one_more_budget(world):
    world.make(Limits(budget=Allowance(None, 5, 24 * HOUR)))
    server = world.server(health=world.ok(), stream=told(1))
    world.start(*(job for name in "abc" for job in watched(world, server, name)))
    world.advance(600)
    assert len(server.starts("stream")) == 5
    assert world.ledger.own.balance.remaining_requests == 0
    assert balance(world, "a") is None
    assert all(stream(world, name).skipped["budget"] for name in "abc")


def test_another_limit_in_a_reload_keeps_what_is_spent(world):
    server = world.server(health=world.ok(), stream=told(30))
    world.start(*watched(world, server, budget=Allowance(None, 3, 24 * HOUR)))
    world.advance(300)
    spent, runs = balance(world).spent, stream(world).runs
    world.loop.run_until_complete(_reconcile(world, watched(world, server, budget=Allowance(None, 5, 24 * HOUR))))
    assert (balance(world).spent, balance(world).remaining_requests) == (spent, 2)
    world.advance(600)
    assert (stream(world).runs, len(server.starts("stream"))) == (runs + 2, 5)
    world.loop.run_until_complete(_reconcile(world, watched(world, server)))
    assert balance(world) is None
    world.advance(120)
    assert len(server.starts("stream")) > 5


def test_attempts_are_reserved_each(world):
    from exporter.model.job import Retry

    server = world.server(health=world.ok(), stream=world.fails(Reason.RESET))
    job = world.job(server, probe="stream", interval=60.0, cost=RUN, budget=Allowance(149, None, 24 * HOUR),
                    retry=Retry(attempts=3, backoff=0.1))  # fmt: skip
    world.start(job)
    world.advance(120)
    assert not server.starts("stream")


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_many_probes_at_once_never_spend_more(world, limit):
    world.make(Limits(budget=Allowance(None, limit, 24 * HOUR)))
    server = world.server(stream=told(1, latency=3.0))
    world.start(*(world.job(server, f"t{number}", "stream", interval=10.0, timeout=8.0) for number in range(30)))
    world.advance(120)
    assert len(server.starts("stream")) == limit


def test_of_a_model_that_sleeps_an_old_failure_says_nothing(world):
    """It was unloaded: what hung is gone."""
    server = world.server(health=world.ok(), stream=world.hang)
    world.start(*watched(world, server))
    world.advance_to(lambda: world.state() is State.ZOMBIE)
    server.answers["stream"] = world.asleep()
    world.advance_to(lambda: stream(world).skipped["asleep"] > 0)
    assert world.state() is State.HEALTHY


def test_a_question_about_a_capability_is_budgeted_too(world):
    server = world.server(health=world.ok(), tools=told(1))
    budget = Allowance(120, None, 24 * HOUR)
    asking = world.job(server, "t", "tools", Kind.INFER, interval=60.0, cost=RUN, capability="tools", budget=budget)
    world.start(world.job(server, probe="health", interval=5.0, budget=budget), asking)
    world.advance(24 * HOUR - world.wall() % (24 * HOUR) - 1)
    assert 70 <= len(server.starts("tools")) <= 71  # as long as the worst case fits beside what was used
    assert world.probe(probe="tools").paused == {"budget": True}
    assert world.states() == [State.HEALTHY]
