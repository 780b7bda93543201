"""`wait` against servers that are not good yet, or never will be."""

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter import app, once
from exporter.demo.mood import Mood
from exporter.ledger import RECENT
from exporter.rollout.wait import GateVerdict, Terms
from tests.rollout.servers import ROW, Moody, moody
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

Wait = Callable[..., Any]
SELDOM = {"interval": "1h"}


@pytest.fixture
async def server() -> AsyncIterator[Moody]:
    async with moody() as running:
        yield running


@pytest.fixture
def wait(tmp_path: Path) -> Wait:
    """Waits for targets, by terms; `look` hears every verdict."""

    async def waiting(
        *targets: Any, look: Any = lambda verdict: None, timeout: float = 30.0, **terms: Any
    ) -> GateVerdict:
        path = tmp_path / "models.yml"
        path.write_text(json.dumps({"targets": targets}))
        return await once.wait(app.Options(config=(path,)), Terms(**terms), timeout, look)

    return waiting


async def test_what_flaps_is_never_good_until_it_is_steady(server: Moody, wait: Wait) -> None:
    server.refusing = lambda number: number % 3 == 0
    best = []
    verdict = await wait(server.target(), timeout=8.0, look=lambda each: best.append(each.standings[0].have))
    assert not verdict.ready
    assert max(best) == 2
    assert len(server.infers) > 6, "it was asked often enough to tell"
    server.refusing = lambda number: False
    assert (await wait(server.target())).ready


async def test_ready_is_not_warm(server: Moody, wait: Wait) -> None:
    """Health and ready say yes at once; the first inferences come late or not at all."""
    server.mood = Mood.HANGING
    probes = {"health": {"interval": "200ms"}, "ready": {"interval": "200ms"},
              "infer": {"inputs": ROW, "interval": "200ms", "timeout": "300ms"}}  # fmt: skip
    cold: list[str] = []

    def look(verdict: GateVerdict) -> None:
        (standing,) = verdict.standings
        if server.mood is Mood.HANGING:
            cold.append(f"{standing.state} {standing.reason} {standing.good}")
            if standing.state == "zombie":
                server.mood = Mood.WELL
                server.infers.clear()

    verdict = await wait(server.target(probes=probes), look=look)
    assert verdict.ready
    assert cold[-1] == "zombie timeout False"
    assert not any(each.endswith("True") for each in cold)
    assert len(server.infers) >= 3, "nothing from before it was warm counts"


async def test_another_version_holds_the_gate_up_and_its_runs_prove_nothing(server: Moody, wait: Wait) -> None:
    """The metadata have an hour between them; somebody who waits does not."""
    told: list[tuple[Any, ...]] = []

    def look(verdict: GateVerdict) -> None:
        (standing,) = verdict.standings
        told.append((standing.reason, standing.have, standing.version))
        if standing.reason == "version" and standing.version == "1" and len(server.infers) > 5:
            server.version = "2"

    target = server.target()
    target["probes"]["metadata"] = SELDOM
    verdict = await wait(target, version="2", look=look)
    assert verdict.ready
    assert ("version", 0, "1") in told
    assert not [each for each in told if each[1] and each[2] == "1"]
    assert server.infers.count("2") >= 3


async def test_a_version_that_never_comes_is_told_at_the_end(server: Moody, wait: Wait) -> None:
    target = server.target()
    target["probes"]["metadata"] = SELDOM
    verdict = await wait(target, version="7", timeout=6.0)
    (blocking,) = verdict.as_json()["blocking"]
    assert (blocking["reason"], blocking["version"]) == ("version", "1")
    assert blocking["detail"] == "it serves version 1, wanted is 7"


async def test_an_address_at_which_nobody_is_holds_the_gate_up(server: Moody, wait: Wait) -> None:
    target = server.target(replicas=["127.0.0.1", "127.0.0.2"])
    verdict = await wait(target, timeout=6.0)
    (blocking,) = verdict.blocking
    assert (blocking.target, blocking.state, blocking.reason) == (
        f"fraud@127.0.0.2:{server.port}", "error", "connect_refused",
    )  # fmt: skip
    assert len(verdict.standings) == 2


async def test_all_addresses_and_not_too_few(server: Moody, wait: Wait) -> None:
    target = server.target(replicas=["127.0.0.1"])
    assert (await wait(target, min_addresses=1)).ready
    verdict = await wait(target, min_addresses=2, timeout=6.0)
    assert [(each.target, each.reason, each.have, each.want) for each in verdict.blocking] == [
        ("fraud", "addresses", 1, 2)
    ]


async def test_runs_that_are_hours_apart_are_pulled_forward_and_nobody_is_hammered(server: Moody, wait: Wait) -> None:
    target = server.target()
    for probe in target["probes"].values():
        probe.update(SELDOM)
    began = time.monotonic()
    assert (await wait(target, consecutive=3)).ready
    assert time.monotonic() - began < 3600 / 100
    assert len(server.infers) == 3


async def test_more_runs_can_be_wanted_than_a_running_exporter_remembers(server: Moody, wait: Wait) -> None:
    assert (await wait(server.target(), consecutive=RECENT + 3)).ready
    assert len(server.infers) >= RECENT + 3


async def test_a_budget_is_heeded_while_waiting(server: Moody, wait: Wait) -> None:
    target = server.target(budget={"requests": 2, "per": "1d"})
    verdict = await wait(target, timeout=4.0)
    (blocking,) = verdict.blocking
    assert (blocking.reason, blocking.have, blocking.want) == ("budget", 2, 3)
    assert len(server.infers) == 2


async def test_an_answer_that_takes_too_long_is_not_good(server: Moody, wait: Wait) -> None:
    verdict = await wait(server.target(), max_duration=0.001, timeout=6.0)
    (blocking,) = verdict.blocking
    assert (blocking.state, blocking.reason, blocking.have) == ("healthy", "slow", 0)
    assert (await wait(server.target(), max_duration=30.0)).ready
    verdict = await wait(server.target(), max_ttft=5.0, timeout=5.0)
    assert verdict.blocking[0].hint == "probes: {stream: {}}"


async def test_nobody_there_is_told_when_the_time_is_over(wait: Wait) -> None:
    target = {"name": "gone", "url": f"http://127.0.0.1:{free_port()}", "protocol": "open_inference", "model": "m"}
    began = time.monotonic()
    verdict = await wait(target, timeout=3.0)
    assert time.monotonic() - began >= 3.0
    assert [(each.target, each.state, each.reason) for each in verdict.blocking] == [
        ("gone", "error", "connect_refused")
    ]


async def test_a_selection_that_fits_nothing_ends_at_once(server: Moody, wait: Wait) -> None:
    verdict = await wait(server.target(), select=(("team", "x"),))
    assert (verdict.ready, verdict.problem, server.infers) == (False, "no target is selected", [])


async def test_who_is_not_asked_for_the_version_is_asked_now(server: Moody, wait: Wait) -> None:
    """The probes of the config are health, ready and infer."""
    assert (await wait(server.target(), version="1")).ready
    assert server.metadata > 0
    server.metadata = 0
    assert (await wait(server.target())).ready
    assert server.metadata == 0, "nobody wants to know"


async def test_who_is_not_selected_is_not_asked(server: Moody, wait: Wait) -> None:
    async with moody() as other:
        targets = [server.target(labels={"team": "a"}), other.target("other", labels={"team": "b"})]
        assert (await wait(*targets, select=(("team", "a"),))).ready
        assert (len(server.infers) >= 3, len(other.infers)) == (True, 0)


async def test_a_server_that_is_to_be_found_out_is_found_and_waited_for(server: Moody, wait: Wait) -> None:
    target = {"name": "auto", "url": server.url, "model": "fraud"}
    verdict = await wait(target, select=(("protocol", "open_inference"),), version="1")
    assert verdict.ready
    assert [standing.target for standing in verdict.standings] == ["auto"]


def golden(folder: Path, *expected: int) -> dict[str, Any]:
    """A set whose answers should be these; the model says 0 to all of it."""
    lines = [
        json.dumps({"id": str(number), "input": {"inputs": ROW}, "expected": each})
        for number, each in enumerate(expected)
    ]
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n")
    return {"kind": "evaluate", "dataset": {"file": "golden.jsonl"}, "scorer": "accuracy", "at_least": 0.5}


async def test_a_golden_set_is_run_when_it_is_wanted(server: Moody, wait: Wait, tmp_path: Path) -> None:
    target = server.target()
    target["probes"]["infer"] |= SELDOM
    target["probes"]["golden"] = golden(tmp_path, 0, 0, 0, 0)
    assert (await wait(target)).ready
    assert len(server.infers) == 3, "the golden set is an affair of its own"
    server.infers.clear()
    assert (await wait(target, evaluate=True)).ready
    assert len(server.infers) == 3 + 4


async def test_a_golden_set_below_its_threshold_holds_the_gate_up(server: Moody, wait: Wait, tmp_path: Path) -> None:
    target = server.target()
    target["probes"]["golden"] = golden(tmp_path, *[1] * 20)
    verdict = await wait(target, evaluate=True, timeout=10.0)
    (blocking,) = verdict.blocking
    assert (blocking.state, blocking.have) == ("unhealthy", 3)
    assert len(server.infers) > 20
    assert (await wait(target)).ready, "nobody wants the set to be run"


async def test_where_there_is_no_golden_set_the_question_is_wrong(server: Moody, wait: Wait) -> None:
    verdict = await wait(server.target(), evaluate=True)
    assert verdict.problem == "no target that is selected has a probe of kind evaluate"
