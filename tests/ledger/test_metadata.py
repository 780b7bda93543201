"""What servers tell, and how often that changed."""

from exporter.model.failure import Reason
from exporter.model.job import Job
from exporter.model.observation import Observation
from tests.metrics.world import World, job


def told(world: World, of: Job, reason: Reason | None = None, **info: str) -> None:
    world.run(world.result(of, reason, observation=Observation(info=info)))


def changes(world: World) -> dict[str, int]:
    return dict(world.ledger.targets["assistant"].metadata_changes)


def info(world: World) -> dict[str, str]:
    return world.ledger.targets["assistant"].info


def test_what_is_told_first_is_no_change() -> None:
    world, metadata = World(), job(probe="metadata")
    world.watch(metadata)
    told(world, metadata, model_version="1", server_version="0.11")
    told(world, metadata, model_version="1", server_version="0.11")
    assert changes(world) == {}
    told(world, metadata, model_version="2", server_version="0.11")
    told(world, metadata, model_version="1", server_version="0.12")
    assert changes(world) == {"model_version": 2, "server_version": 1}


def test_what_an_answer_tells_is_counted_where_nobody_else_does() -> None:
    world, infer = World(), job(probe="infer")
    world.watch(infer)
    for fingerprint in ("a", "a", "b", "a"):
        told(world, infer, system_fingerprint=fingerprint)
    assert changes(world) == {"system_fingerprint": 2}


def test_all_that_is_served_and_what_answered_are_not_two_versions() -> None:
    """Triton's metadata lists what it serves, and each answer says which version it came from."""
    world, metadata, infer = World(), job(probe="metadata"), job(probe="infer")
    world.watch(infer, metadata)
    told(world, infer, model_version="2")
    assert info(world)["model_version"] == "2"
    for _ in range(3):
        told(world, metadata, model_version="1,2")
        told(world, infer, model_version="2")
    assert info(world)["model_version"] == "1,2"
    assert changes(world) == {}
    told(world, metadata, model_version="2,3")
    assert changes(world) == {"model_version": 1}


def test_a_run_that_is_no_valid_answer_tells_nothing() -> None:
    world, metadata = World(), job(probe="metadata")
    world.watch(metadata)
    told(world, metadata, model_version="1")
    told(world, metadata, Reason.TIMEOUT, model_version="2")
    assert changes(world) == {}
    told(world, metadata, Reason.EXPECTATION, model_version="2")
    assert changes(world) == {"model_version": 1}


def test_numbers() -> None:
    world, metadata = World(), job(probe="metadata")
    world.watch(metadata)
    for length in (8192.0, 8192.0, 4096.0, float("nan"), 4096.0):
        world.run(world.result(metadata, observation=Observation(facts={"max_model_len": length})))
    assert changes(world) == {"max_model_len": 2}


def test_targets_share_the_sets_of_keys() -> None:
    world, one, other = World(), job("one", "metadata"), job("other", "metadata")
    world.watch(one, other)
    for each in (one, other):
        told(world, each, model_version="1", server="s")
    records = world.ledger.targets
    assert records["one"].described is records["other"].described
