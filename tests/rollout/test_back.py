"""Going back: by the record and by what the servers show, one server's trouble not being another's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.model.failure import Failure, Reason
from exporter.rollout import back as module
from exporter.rollout.back import Undone, roll_back
from exporter.rollout.deploy import Rules
from exporter.rollout.group import Seat
from exporter.rollout.record import Past
from exporter.rollout.ways import Cannot, Moving, Stays, Step
from tests.rollout.wings import record


class Server:
    """A way and its server in one, which has what it has."""

    tells_version = True

    def __init__(self, *has: str, deaf: bool = False, says: Exception | None = None) -> None:
        self.has = list(has)
        self.deaf = deaf
        self.says = says
        self.moving = 0
        self.stays = False
        self.calls: list[str] = []

    async def look(self) -> dict[str, Any]:
        self.moving -= self.moving > 0
        return {"has": list(self.has)}

    def back(self, before: Any, now: Any, made: Sequence[str]) -> list[Step]:
        if self.moving:
            raise Moving("iris is still loading")
        if self.stays:
            raise Stays("put it back by hand")
        extra = [name for name in now["has"] if name not in before["has"] and name in made]
        return [Step(name, self, "DELETE", f"/{name}") for name in reversed(extra)]  # type: ignore[arg-type]

    def named(self, method: str, route: str) -> str:
        return f"{method} http://h{route}"

    async def tell(self, method: str, route: str, body: Any, *, timeout: float, media: str) -> None:
        self.calls.append(route)
        if not self.deaf:
            self.has.remove(route[1:])
        if self.says is not None:
            raise self.says


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.001)


async def undone(folder: Path, *servers: Server, made: Sequence[str] = ("load",), timeout: float = 5) -> list[Any]:
    pasts = [Past("eu", f"t{number}", "", {"has": []}, list(made)) for number, _ in enumerate(servers)]
    by_name = {past.target: server for past, server in zip(pasts, servers, strict=True)}

    async def find(past: Past) -> Seat:
        return Seat("eu", past.target, "", by_name[past.target])  # type: ignore[arg-type]

    with record(folder) as kept:
        return await roll_back(pasts, find, Rules(timeout=timeout), kept)


async def test_all_that_was_made_the_last_first(tmp_path: Path) -> None:
    server = Server("old", "register", "scale")
    (told,) = await undone(tmp_path, server, made=("register", "scale"))
    assert told.outcome is Undone.DONE
    assert server.calls == ["/scale", "/register"]
    assert server.has == ["old"]
    assert told.detail == "DELETE http://h/scale, DELETE http://h/register"


async def test_each_step_back_is_recorded_before_it_is_made(tmp_path: Path) -> None:
    await undone(tmp_path, Server("load"))
    words = [line.split('"what": "')[1].split('"')[0] for line in (tmp_path / "deploys.jsonl").read_text().splitlines()]
    assert words == ["begin", "undo", "undone"]


async def test_a_step_that_was_never_made(tmp_path: Path) -> None:
    server = Server("old")
    (told,) = await undone(tmp_path, server)
    assert (told.outcome, told.good, server.calls) == (Undone.NOTHING, True, [])
    server = Server("load")  # all its steps were refused, and what it has is somebody else's
    (told,) = await undone(tmp_path, server, made=())
    assert (told.outcome, server.calls) == (Undone.NOTHING, [])


async def test_the_server_is_waited_for(tmp_path: Path) -> None:
    server = Server("load")
    server.moving = 3
    (told,) = await undone(tmp_path, server)
    assert told.outcome is Undone.DONE
    server = Server("load")
    server.moving = 10**6
    (told,) = await undone(tmp_path, server, timeout=0.01)
    assert (told.outcome, told.detail, server.calls) == (Undone.FAILED, "iris is still loading", [])


async def test_a_call_that_was_answered_well_is_not_believed(tmp_path: Path) -> None:
    (told,) = await undone(tmp_path, Server("load", deaf=True))
    assert told.outcome is Undone.STAYS
    assert "the server still asks for DELETE http://h/load" in told.detail


async def test_a_call_that_was_not_answered_is_looked_up(tmp_path: Path) -> None:
    (told,) = await undone(tmp_path, Server("load", says=Failure(Reason.TIMEOUT, "no answer")))
    assert told.outcome is Undone.DONE


async def test_one_that_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    refusing = Server("load", deaf=True, says=Failure(Reason.HTTP_STATUS, "HTTP 403", http_status=403))
    staying = Server("load")
    staying.stays = True
    told = await undone(tmp_path, refusing, staying, good := Server("load"))
    assert [each.outcome for each in told] == [Undone.FAILED, Undone.STAYS, Undone.DONE]
    assert told[0].detail == "HTTP 403"
    assert told[1].detail == "put it back by hand"
    assert good.has == []


async def test_a_server_that_the_config_has_no_more(tmp_path: Path) -> None:
    async def find(past: Past) -> Seat:
        raise Cannot("the config has no target t any more")

    with record(tmp_path) as kept:
        (told,) = await roll_back([Past("eu", "t", "", {"has": []}, ["load"])], find, Rules(), kept)
    assert (told.outcome, told.detail) == (Undone.FAILED, "the config has no target t any more")
