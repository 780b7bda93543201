"""Waves, environments at once, failures, and steps of which nobody knows how they ended."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.model.failure import Failure, Reason
from exporter.rollout import deploy as rollout
from exporter.rollout.deploy import Outcome, Rules, deploy
from exporter.rollout.group import plan
from exporter.rollout.record import RecordError
from exporter.rollout.ways import Cannot, Never, Step
from tests.rollout.wings import SHUT, group, record


class Server:
    """A way and its server in one. `calls` are what was asked; `says` is raised by the call."""

    tells_version = True

    def __init__(self, says: Exception | None = None, *, acts: bool = True, steps: Sequence[str] = ("load",)) -> None:
        self.says = says
        self.acts = acts
        self.wanted = list(steps)
        self.has: list[str] = []
        self.calls: list[str] = []
        self.missing: list[Any] = []
        self.unreachable: Exception | None = None
        self.cannot = ""
        self.refuses = ""
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def look(self) -> dict[str, Any]:
        if self.unreachable is not None:
            raise self.unreachable
        return {"has": list(self.has), "why": ""}

    def plan(self, seen: Any) -> list[Step]:
        if self.cannot:
            raise Cannot(self.cannot)
        return [Step(name, self, "POST", f"/{name}") for name in self.wanted if name not in seen["has"]]  # type: ignore[arg-type]

    async def check(self) -> str:
        if not self.missing:
            return ""
        said = self.missing.pop(0)
        if isinstance(said, Exception):
            raise said
        return str(said)

    def named(self, method: str, route: str) -> str:
        return f"{method} http://h{route}"

    async def tell(self, method: str, route: str, body: Any, *, timeout: float, media: str) -> None:
        name = route[1:]
        self.calls.append(name)
        if name == self.refuses:
            raise Failure(Reason.HTTP_STATUS, "HTTP 500", http_status=500)
        self.entered.set()
        await self.go.wait()
        says, self.says = self.says, None
        if says is None or self.acts:
            self.has.append(name)
        if says is not None:
            raise says


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "AGAIN", 0.001)


def results(path: Path) -> list[str]:
    told = [json.loads(line) for line in (path / "deploys.jsonl").read_text().splitlines()]
    return [f"{line['what']} {line.get('step') or line.get('result') or ''}".strip() for line in told]


async def test_all_good(tmp_path: Path) -> None:
    one, two = Server(), Server(steps=("register", "scale"))
    seconds: list[float] = []
    reports = await deploy(
        [[group("a", one, waited=seconds.append)], [group("b", two)]], Rules(timeout=60), record(tmp_path)
    )
    assert [report.outcome for report in reports] == [Outcome.GOOD, Outcome.GOOD]
    assert [report.wave for report in reports] == [1, 2]
    assert reports[1].calls == ["POST http://h/register", "POST http://h/scale"]
    assert 0 < seconds[0] <= 60
    assert results(tmp_path) == [
        "begin", "step load", "outcome done", "step register", "outcome done", "step scale", "outcome done",
    ]  # fmt: skip


async def test_recorded_before_it_is_made(tmp_path: Path) -> None:
    server = Server()
    server.go.clear()
    running = asyncio.create_task(deploy([[group("a", server)]], Rules(), record(tmp_path)))
    await server.entered.wait()
    assert results(tmp_path) == ["begin", "step load"]
    server.go.set()
    await running
    assert results(tmp_path)[-1] == "outcome done"


async def test_a_shut_gate_is_a_failure_whatever_the_load_said(tmp_path: Path) -> None:
    (report,) = await deploy([[group("a", Server(), verdict=SHUT)]], Rules(), record(tmp_path))
    assert report.outcome is Outcome.FAILED
    assert report.detail == "t is zombie (timeout: no answer), 1 of 3 good runs"
    assert report.as_json()["blocking"][0]["state"] == "zombie"


async def test_those_who_watch_see_what_holds_it_up(tmp_path: Path) -> None:
    seen: list[str] = []
    await deploy([[group("a", Server())]], Rules(), record(tmp_path), lambda reports: seen.append(reports[0].doing))
    assert seen == [
        "a-0: load", "a-0: waits for the server to have it", "waits for good runs of its targets",
        "waits: t is zombie (timeout: no answer), 1 of 3 good runs", "", "",
    ]  # fmt: skip


async def test_a_wave_waits_for_the_one_before_it(tmp_path: Path) -> None:
    first, second = Server(), Server()
    reports = await deploy([[group("a", first, verdict=SHUT)], [group("b", second)]], Rules(), record(tmp_path))
    assert [report.outcome for report in reports] == [Outcome.FAILED, Outcome.SKIPPED]
    assert second.calls == []
    assert reports[1].detail == "not touched: a failed in the wave before it"


@pytest.mark.parametrize("parallel", [1, 2])
async def test_so_many_at_once(tmp_path: Path, parallel: int) -> None:
    servers = [Server(), Server(), Server()]
    for server in servers:
        server.go.clear()
    groups = [group(name, server) for name, server in zip("abc", servers, strict=True)]
    running = asyncio.create_task(deploy([groups], Rules(parallel=parallel), record(tmp_path)))
    await asyncio.gather(*(server.entered.wait() for server in servers[:parallel]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert [bool(server.calls) for server in servers] == [number < parallel for number in range(3)]
    for server in servers:
        server.go.set()
    assert all(report.outcome is Outcome.GOOD for report in await running)


async def test_one_failure_leaves_the_others_of_its_wave_alone(tmp_path: Path) -> None:
    bad = Server(Failure(Reason.HTTP_STATUS, "HTTP 500: no such file", http_status=500), acts=False)
    groups = [group("a", bad), group("b", Server()), group("c", Server())]
    reports = await deploy([groups], Rules(parallel=1), record(tmp_path))
    assert [str(report.outcome) for report in reports] == ["failed", "good", "good"]
    assert reports[0].detail == "a-0: HTTP 500: no such file"


async def test_stop_on_failure(tmp_path: Path) -> None:
    bad = Server(Failure(Reason.HTTP_STATUS, "HTTP 500", http_status=500), acts=False)
    groups = [group("a", bad), group("b", other := Server())]
    reports = await deploy([groups], Rules(parallel=1, stop_on_failure=True), record(tmp_path))
    assert [str(report.outcome) for report in reports] == ["failed", "skipped"]
    assert other.calls == []
    assert reports[1].detail == "not touched: a failed before it"


async def test_refused_is_recorded_so_only_when_the_server_is_as_before(tmp_path: Path) -> None:
    refusal = Failure(Reason.HTTP_STATUS, "HTTP 500", http_status=500)
    await deploy([[group("a", Server(refusal, acts=False))]], Rules(), record(tmp_path))
    assert results(tmp_path)[-1] == "outcome refused"
    later = Server(steps=("register", "scale"))
    later.refuses = "scale"
    await deploy([[group("a", later)]], Rules(), record(tmp_path / "later"))
    assert results(tmp_path / "later")[-3:] == ["outcome done", "step scale", "outcome refused"]
    await deploy([[group("a", Server(refusal, acts=True))]], Rules(), record(tmp_path / "two"))
    assert results(tmp_path / "two")[-1] == "outcome unknown"


@pytest.mark.parametrize(
    "failure",
    [
        Failure(Reason.TIMEOUT, "no whole answer"),
        Failure(Reason.DISCONNECTED, "closed"),
        Failure(Reason.HTTP_STATUS, "HTTP 504", http_status=504),
    ],
)
async def test_nobody_knows_how_it_ended_and_the_server_is_asked(tmp_path: Path, failure: Failure) -> None:
    server = Server(failure, acts=True, steps=("register", "scale"))
    (report,) = await deploy([[group("a", server)]], Rules(), record(tmp_path))
    assert report.outcome is Outcome.GOOD
    assert server.calls == ["register", "scale"]
    assert results(tmp_path) == ["begin", "step register", "outcome unknown", "step scale", "outcome done"]


async def test_nobody_knows_how_it_ended_and_the_server_does_not_show_it(tmp_path: Path) -> None:
    server = Server(Failure(Reason.TIMEOUT, "no whole answer"), acts=False, steps=("register", "scale"))
    (report,) = await deploy([[group("a", server)]], Rules(), record(tmp_path))
    assert report.outcome is Outcome.FAILED
    assert "was not answered, and the server does not show what it should do" in report.detail
    assert server.calls == ["register"]


async def test_the_server_itself_has_to_say_that_it_is_there(tmp_path: Path) -> None:
    server = Server()
    server.missing = ["version 7 is not ready", Failure(Reason.CONNECT_REFUSED, "restarting"), ""]
    (report,) = await deploy([[group("a", server)]], Rules(), record(tmp_path))
    assert report.outcome is Outcome.GOOD
    server.missing = ["version 8 is not ready"] * 100
    (report,) = await deploy([[group("a", server)]], Rules(timeout=0.02), record(tmp_path / "two"))
    assert report.detail == "a-0: version 8 is not ready"
    server.missing = [Never("InvalidSpec: no such bucket")]
    (report,) = await deploy([[group("a", server)]], Rules(), record(tmp_path / "three"))
    assert report.detail == "a-0: InvalidSpec: no such bucket"


async def test_one_that_is_not_there_fails_by_itself(tmp_path: Path) -> None:
    gone = Server()
    gone.unreachable = Failure(Reason.CONNECT_REFUSED, "GET http://h/v2: refused")
    groups = [group("a", gone), group("b", Server())]
    first, second = await plan(groups)
    assert first.failure == "GET http://h/v2: refused"
    assert [step.name for step in second.steps] == ["load"]
    reports = await deploy([groups], Rules(), record(tmp_path))
    assert [str(report.outcome) for report in reports] == ["failed", "good"]
    assert reports[0].detail == "a-0: GET http://h/v2: refused; nothing was touched"


async def test_what_cannot_be_done_is_told_of_all_before_anything_is(tmp_path: Path) -> None:
    able, unable, other = Server(), Server(), Server()
    unable.cannot, other.cannot = "no version 9", "no version 9 either"
    with pytest.raises(Cannot) as caught:
        await plan([group("a", able), group("b", unable), group("c", other)])
    assert str(caught.value) == "b: no version 9\nc: no version 9 either"
    assert able.calls == []


async def test_no_time_left(tmp_path: Path) -> None:
    server = Server()
    (report,) = await deploy([[group("a", server)]], Rules(timeout=0), record(tmp_path))
    assert report.outcome is Outcome.FAILED
    assert server.calls == []
    assert results(tmp_path) == ["begin"]


async def test_what_cannot_be_recorded_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, server, other = record(tmp_path), Server(), Server()

    def no_space(place: Any, *more: Any) -> int:
        if place[0] == "a":
            raise RecordError("deploys.jsonl: No space left on device")
        return 1

    monkeypatch.setattr(full, "step", no_space)
    monkeypatch.setattr(full, "outcome", lambda *more: None)
    reports = await deploy([[group("a", server), group("b", other)]], Rules(), full)
    assert [str(report.outcome) for report in reports] == ["failed", "good"]
    assert reports[0].detail == "a-0: deploys.jsonl: No space left on device"
    assert (server.calls, other.calls) == ([], ["load"])
