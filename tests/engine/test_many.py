"""Runs of many questions: each is asked behind all probes, and what comes of them is the result of one run."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from exporter.engine import Limits
from exporter.model.cost import Allowance, Cost
from exporter.model.failure import Asleep, Evidence, Failure, Reason, Status
from exporter.model.job import Kind, Retry, Schedule
from exporter.model.maintenance import Announced, Wish
from exporter.model.observation import Observation
from exporter.model.score import Outcome, Score
from exporter.model.state import State
from exporter.model.stream import Tokens

pytestmark = pytest.mark.slow

HOUR = 3600.0
WRONG = Failure(Reason.EXPECTATION, "accuracy is 0.5")
UNCLEAR = Failure(Reason.INCONCLUSIVE, "12 of 40 examples were answered")


class Quiz:
    """Asks so many questions, `at_once` of them together. `verdict` is what comes of a run, or what it raises."""

    def __init__(self, world, questions=10, *, at_once=1, latency=0.5, verdict=None):
        self.world = world
        self.questions = questions
        self.at_once = at_once
        self.latency = latency
        self.verdict = verdict
        self.asked = []
        self.answers = []
        self.began = []
        self.ended = []
        self.running = self.most_running = 0

    async def __call__(self, job, questions):
        self.began.append(self.world.now)
        left = list(range(self.questions))

        async def work():
            while left:
                left.pop()
                self.answers.append(await questions.ask(self.question(job)))
                if self.answers[-1] is None:
                    left.clear()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.at_once):
                    group.create_task(work())
        finally:
            self.ended.append(self.world.now)
        if isinstance(self.verdict, Asleep):
            raise self.verdict
        if isinstance(self.verdict, ZeroDivisionError):
            raise self.verdict
        return Observation(failure=self.verdict, score=Score("accuracy", {Outcome.SCORED: self.questions}))

    def question(self, job):
        async def ask(exchange):
            self.asked.append(self.world.now)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            try:
                await asyncio.sleep(self.latency)
            finally:
                self.running -= 1
            return Observation(tokens=Tokens(output=3))

        schedule = Schedule(5.0, 5.0, 5.0)
        return replace(job, ask=ask, schedule=schedule, retry=Retry(1), cost=Cost(10), evaluation=None)


@pytest.fixture
def quiz(world):
    def make(*given, limits=Limits(), **more):  # noqa: B008
        made = Quiz(world, *given, **more)
        world.make(limits, ask_many=made)
        return made

    return make


def watched(world, server, *, interval=HOUR, cheap=5.0, **more):
    return [
        world.job(server, probe="health", interval=cheap, **more),
        world.job(server, probe="golden", kind=Kind.EVALUATE, interval=interval, evaluation="a golden set", **more),
    ]


def golden(world):
    return world.of("golden")


def test_a_run_follows_the_first_cheap_run_and_then_its_interval(world, quiz):
    made = quiz()
    world.start(*watched(world, world.server(health=world.ok()), cheap=120.0))
    world.advance(3 * HOUR)
    assert made.began[0] == pytest.approx(1000.0, abs=0.1)
    assert 3 <= len(golden(world)) <= 4
    assert made.began[2] - made.began[1] == pytest.approx(HOUR)
    (result, *_) = golden(world)
    assert (result.status, result.evidence, result.attempts) == (Status.HEALTHY, Evidence.OK, 1)
    assert result.ended - result.started == pytest.approx(5.0, abs=0.1)
    assert result.observation.score.outcomes == {Outcome.SCORED: 10}
    assert len(made.asked) == 10 * len(golden(world))
    assert world.state() is State.HEALTHY


def test_probes_keep_their_schedule_meanwhile(world, quiz):
    quiz(200, at_once=8, latency=3.0, limits=Limits(500, 8))
    server = world.server(health=world.ok(0.01), infer=world.ok(0.5), ready=world.ok(0.01))
    jobs = watched(world, server)
    world.start(*jobs, world.job(server, probe="infer", interval=2.0), world.job(server, probe="ready", interval=1.0))
    world.advance(60)
    for probe, interval in (("infer", 2.0), ("ready", 1.0)):
        starts = server.starts(probe)[3:]
        assert len(starts) > 50 / interval
        assert all(later - one == pytest.approx(interval, abs=0.02) for one, later in pairwise(starts))
        assert not world.probe(probe=probe).skipped


def test_questions_hold_at_most_half_of_the_slots_and_none_while_they_wait(world, quiz):
    made = quiz(50, at_once=8, limits=Limits(500, 6))
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance(3)
    assert made.most_running == 3
    assert world.ledger.own.in_flight == 3
    assert world.ledger.own.waiting == 5


def test_a_probe_that_waits_goes_first(world, quiz):
    made = quiz(50, latency=1.0, limits=Limits(500, 1))
    server = world.server(health=world.ok(0.01), ready=world.ok(0.2))
    world.start(*watched(world, server), world.job(server, probe="ready", interval=2.0))
    world.advance(30)
    delays = [result.started - result.planned for result in world.of("ready")]
    assert max(delays) < 1.3  # one question that is under way, and a health probe
    assert len(made.asked) > 15


def test_a_bad_score_demotes_a_healthy_state_and_nothing_else(world, quiz):
    made = quiz(verdict=WRONG)
    server = world.server(health=world.ok())
    world.start(*watched(world, server))
    world.advance(10)
    assert world.states() == [State.HEALTHY, State.UNHEALTHY]
    verdict = world.ledger.targets["t"].verdict
    assert (verdict.reason, verdict.probe) == (Reason.EXPECTATION, "golden")
    server.answers["health"] = world.refused
    world.advance(20)
    assert world.state() is State.ERROR
    server.answers["health"] = world.ok()
    world.advance(20)
    assert world.state() is State.UNHEALTHY
    made.verdict = None
    world.advance(HOUR)
    assert world.state() is State.HEALTHY


def test_an_inconclusive_run_changes_nothing(world, quiz):
    made = quiz(verdict=UNCLEAR)
    world.start(*watched(world, world.server(health=world.ok()), cheap=120.0))
    world.advance(10)
    (result,) = golden(world)
    assert (result.status, result.reason, result.evidence) == (Status.ERROR, Reason.INCONCLUSIVE, Evidence.NONE)
    assert world.states() == [State.HEALTHY]
    made.verdict = WRONG
    world.advance(HOUR)
    made.verdict = UNCLEAR
    world.advance(12 * HOUR)  # the last complete run would be too old by now
    assert world.states() == [State.HEALTHY, State.UNHEALTHY]
    made.verdict = None
    world.advance(HOUR)
    assert world.states() == [State.HEALTHY, State.UNHEALTHY, State.HEALTHY]


def test_a_score_that_is_not_renewed_at_all_expires(world, quiz):
    quiz(verdict=WRONG)
    server = world.server(health=world.ok())
    world.start(*watched(world, server, cheap=120.0))
    world.advance(10)
    world.engine._ask_many = None  # from now on every run is a bug of ours
    world.advance(5 * HOUR)
    assert world.state() is State.HEALTHY
    assert world.ledger.own.internal_errors["runner"] == 5


def test_a_failed_run_does_not_make_its_target_slow(world, quiz):
    quiz(20, verdict=UNCLEAR)
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance_to(lambda: bool(golden(world)))  # and before health says anything again
    assert not world.engine._watches["t"].timed_out


@pytest.mark.parametrize("down", [None, "saturated"])
def test_a_target_that_is_not_well_is_left_alone(world, quiz, down):
    made = quiz(40)
    server = world.server(health=world.ok())
    world.start(*watched(world, server))
    world.advance(4)
    server.answers["health"] = world.refused if down is None else world.fails(Reason.OVERLOADED)
    world.advance_to(lambda: world.state() is (State.ERROR if down is None else State.SATURATED))
    world.advance(1)
    before = len(made.asked)
    assert 5 < before < 40
    world.advance(60)
    assert len(made.asked) == before
    server.answers["health"] = world.ok()
    world.advance(60)
    assert len(made.asked) == len(made.answers) == 40
    assert golden(world)[0].status is Status.HEALTHY


def test_maintenance_holds_a_run_up(world, quiz):
    made = quiz(40)
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance(4)
    announced = announce(world)
    world.advance(1)
    before = len(made.asked)
    world.advance(60)
    assert len(made.asked) == before
    world.loop.run_until_complete(withdraw(world, announced))
    world.advance(60)
    assert len(made.asked) == 40


def announce(world) -> Announced:
    async def announce():
        return world.engine.pauses.announce(Wish(frozenset({"t"}), {}, 600.0))

    return world.loop.run_until_complete(announce())


async def withdraw(world, announced):
    assert world.engine.pauses.withdraw(announced.id)


def test_every_question_is_charged_until_the_budget_has_no_room(world, quiz):
    made = quiz(40)
    budget = Allowance(100, None, HOUR)
    world.advance(HOUR - world.wall() % HOUR)  # a window begins
    world.start(*watched(world, world.server(health=world.ok()), budget=budget))
    world.advance(60)
    # 3 tokens each, and 10 that have to be left before it is asked: 31 are used then 93
    assert len(made.asked) == 31
    assert made.answers[-1] is None
    assert world.ledger.targets["t"].balance.remaining_tokens == 7
    assert not world.probe(probe="golden").skipped


def test_questions_under_way_are_charged_what_they_may_have_used(world, quiz):
    made = quiz(40, at_once=2, latency=2.0)
    budget = Allowance(1000, None, HOUR)
    jobs = watched(world, world.server(health=world.ok()), budget=budget)
    world.advance(HOUR - world.wall() % HOUR)
    world.start(*jobs)
    world.advance(5)
    done = len(made.answers)
    assert made.running == 2
    world.engine.reconcile(jobs[:1])
    world.advance(1)
    assert 1000 - world.ledger.targets["t"].balance.remaining_tokens == done * 3 + 2 * 10


def test_a_reload_that_changes_nothing_leaves_a_run_alone(world, quiz):
    made = quiz(20)
    server = world.server(health=world.ok())
    world.start(*watched(world, server))
    world.advance(4)
    world.engine.reconcile(watched(world, server, labels={"team": "risk"}))
    world.advance(20)
    assert len(made.began) == 1
    assert len(made.asked) == 20
    assert golden(world)[0].status is Status.HEALTHY
    assert world.probe(probe="golden").runs == 1


def test_a_reload_that_changes_the_run_begins_it_anew(world, quiz):
    made = quiz(20)
    server = world.server(health=world.ok())
    health, run = watched(world, server)
    world.start(health, run)
    world.advance(4)
    world.engine.reconcile([health, replace(run, fingerprint="2")])
    world.advance(1)
    assert len(made.ended) == 1
    assert made.running <= 1
    world.advance(30)
    assert len(golden(world)) == 1
    assert world.probe(probe="golden").runs == 1


def test_a_target_that_is_gone_is_asked_nothing_more(world, quiz):
    made = quiz(20)
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance(4)
    world.engine.reconcile([])
    before = len(made.asked)
    world.advance(20)
    assert len(made.asked) == before
    assert made.running == 0
    assert not golden(world)


def test_shutdown_waits_for_no_run_of_hours(world, quiz):
    made = quiz(2000)
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance(4)
    began = world.now
    world.loop.run_until_complete(world.engine.drain(60.0))
    assert world.now - began < 1.0
    assert made.running == 0
    assert not golden(world)
    assert not world.engine._runner.flights


def test_the_run_is_told_when_it_has_to_be_over_and_cut_when_it_is_not(world, quiz):
    made = quiz(10_000, latency=4.0)
    until = []
    ask = made.__call__

    async def noted(job, questions):
        until.append(questions.until - questions.now())
        return await ask(job, questions)

    world.engine._ask_many = noted
    world.start(*watched(world, world.server(health=world.ok()), interval=100.0))
    world.advance(200)
    assert until[0] == pytest.approx(100.0)
    (result, *_) = golden(world)
    assert (result.status, result.reason) == (Status.ERROR, Reason.INCONCLUSIVE)
    assert result.ended - result.started == pytest.approx(160.0, abs=0.1)
    assert world.probe(probe="golden").skipped["overlap"] >= 1


def test_a_run_may_find_the_model_asleep(world, quiz):
    quiz(1, verdict=Asleep("not loaded"))
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance(10)
    assert not golden(world)
    assert world.probe(probe="golden").skipped["asleep"] == 1
    assert world.state() is State.HEALTHY


def test_a_bug_in_a_run_is_one_and_the_engine_lives(world, quiz):
    quiz(1, verdict=ZeroDivisionError())
    world.start(*watched(world, world.server(health=world.ok())))
    world.advance(10)
    (result,) = golden(world)
    assert (result.status, result.reason, result.evidence) == (Status.ERROR, Reason.INTERNAL, Evidence.NONE)
    assert world.ledger.own.internal_errors["runner"] == 1


def test_examples_are_remembered_run_by_run(world, quiz):
    quiz()
    world.start(*watched(world, world.server(health=world.ok()), cheap=120.0))
    world.advance(2.5 * HOUR)
    runs = len(golden(world))
    evaluated = world.ledger.targets["t"].evaluations["golden"]
    assert evaluated.outcomes[Outcome.SCORED] == 10 * runs
    assert evaluated.last_run_at == golden(world)[-1].at
    assert evaluated.score is golden(world)[-1].observation.score
