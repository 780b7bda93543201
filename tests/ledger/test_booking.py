"""What a finished run leaves in the records of its probe and its target."""

from exporter.ledger import ProbeRecord, TargetRecord
from exporter.ledger.numbers import RECENT_BAD
from exporter.model.failure import Reason, Status
from exporter.model.job import Job
from exporter.model.observation import Observation
from tests.metrics.world import EPOCH, World, job, streamed


def run(world: World, of: Job, *reasons: Reason | None) -> ProbeRecord:
    """Runs of a job a second apart; None for a healthy one."""
    for reason in reasons:
        world.now += 1
        world.run(world.result(of, reason))
    return record(world, of)[1]


def record(world: World, of: Job) -> tuple[TargetRecord, ProbeRecord]:
    target = world.ledger.targets[of.target.name]
    return target, target.probes[of.probe]


def test_a_streak_is_of_healthy_runs_and_ends_with_another() -> None:
    world, health = World(), job()
    world.watch(health)
    assert run(world, health, None, None, None).streak == 3
    assert run(world, health, Reason.TIMEOUT).streak == 0
    probe = run(world, health, None)
    assert (probe.streak, probe.successes, probe.runs) == (1, 4, 5)
    assert (probe.success, probe.last_success_at) == (True, EPOCH + 5)


def test_failures_in_a_row_that_are_alike_are_one() -> None:
    world, health = World(), job()
    world.watch(health)
    probe = run(world, health, Reason.TIMEOUT, Reason.TIMEOUT, Reason.DNS, None, Reason.DNS)
    found = [(each.reason, each.count, each.first_at - EPOCH, each.at - EPOCH) for each in probe.recent_failures]
    assert found == [(Reason.TIMEOUT, 2, 1, 2), (Reason.DNS, 1, 3, 3), (Reason.DNS, 1, 5, 5)]
    assert probe.failures[Status.ERROR, Reason.DNS] == 2


def test_the_oldest_failures_go() -> None:
    world, health = World(), job()
    world.watch(health)
    probe = run(world, health, *[Reason.TIMEOUT, None] * (RECENT_BAD + 3))
    assert len(probe.recent_failures) == RECENT_BAD
    assert probe.recent_failures[0].at == EPOCH + 7


def test_attempts_after_the_first_are_retries() -> None:
    world, health = World(), job()
    world.watch(health)
    world.run(world.result(health, attempts=3))
    world.run(world.result(health))
    probe = record(world, health)[1]
    assert (probe.attempts, probe.retries) == (4, 2)


def test_where_no_usage_is_told_the_events_that_were_seen_count() -> None:
    world, stream = World(), job(probe="stream")
    world.watch(stream)
    world.run(world.result(stream, observation=streamed(None)))
    assert record(world, stream)[1].tokens["output"] == 3


def test_a_version_is_as_old_as_the_run_that_saw_it_first() -> None:
    world, metadata = World(), job(probe="metadata")
    world.watch(metadata)
    for version in ("3", "3", "4", "4"):
        world.now += 10
        world.run(world.result(metadata, observation=Observation(info={"model_version": version})))
    target = record(world, metadata)[0]
    assert target.info["model_version"] == "4"
    assert 0 < EPOCH + 30 - target.version_at < 1  # when it began
