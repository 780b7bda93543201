"""A target that is several servers: ready while one is, each by itself in the API, together on the page."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Reason
from exporter.model.job import Job
from exporter.model.observation import Observation
from exporter.model.state import State, Verdict
from tests.web.page.test_status import look  # type: ignore[import-not-found]

Client = TestClient[Any, Any]
PLACES = ("10.0.0.1:8000", "10.0.0.2:8000", "[fd00::3]:8000")


def watch(house: Any, *states: State, version: tuple[str, ...] = ("3", "3", "3")) -> list[Job]:
    """The target `chat` at the first of the places, in these states."""
    jobs = []
    for place, state, told in zip(PLACES, states, version, strict=False):
        reason = None if state is State.HEALTHY else Reason.CONNECT_REFUSED
        [job] = house.watch(f"chat@{place}", State.UNKNOWN, group="chat", address=place, model="llama",
                            labels={"team": "chat"}, endpoint=Endpoint("http", "chat.svc", 8000))  # fmt: skip
        house.book(job, observation=Observation(info={"model_version": told}))
        house.ledger.judge(f"chat@{place}", Verdict(state, reason))
        jobs.append(job)
    return jobs


@pytest.mark.parametrize(
    ("states", "query", "status", "words"),
    [
        ([State.HEALTHY, State.ERROR], "", 200, "1 of 2 replicas ready: 1 error, 1 healthy"),
        ([State.ERROR, State.LOADING], "", 503, "0 of 2 replicas ready: 1 error, 1 loading"),
        ([State.SATURATED, State.ZOMBIE], "", 200, "1 of 2 replicas ready: 1 zombie, 1 saturated"),
        ([State.UNHEALTHY], "", 200, "1 of 1 replicas ready: 1 unhealthy"),
        ([State.UNHEALTHY], "?strict", 503, "0 of 1 replicas ready: 1 unhealthy"),
    ],
)
async def test_a_group_is_ready_while_one_of_it_is(
    client: Client, house: Any, states: list[State], query: str, status: int, words: str
) -> None:
    watch(house, *states)
    answer = await client.get(f"/ready/chat{query}")
    assert (answer.status, (await answer.text()).strip()) == (status, words)


async def test_one_replica_is_asked_by_its_address(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR, State.HEALTHY)
    for place, status in zip(PLACES, (200, 503, 200), strict=True):
        assert (await client.get(f"/ready/chat@{place}")).status == status
    assert (await client.get("/ready/chat@10.0.0.9:8000")).status == 404


async def test_readiness_of_a_group_as_json(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR, State.HEALTHY)
    answer = await client.get("/ready/chat", headers={"Accept": "application/json"})
    assert answer.status == 200
    assert await answer.json() == {
        "target": "chat", "ready": True, "replicas": 3, "replicas_ready": 2, "states": {"healthy": 2, "error": 1},
    }  # fmt: skip
    for place in PLACES:
        house.ledger.judge(f"chat@{place}", Verdict(State.ERROR, Reason.TIMEOUT))
    answer = await client.get("/ready/chat", headers={"Accept": "application/json"})
    assert answer.status == 503
    assert (await answer.json())["ready"] is False


async def test_the_api_lists_replicas_and_says_who_is_odd(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ZOMBIE, State.HEALTHY, version=("3", "3", "4"))
    house.watch("fraud")
    rows = {row["name"]: row for row in (await (await client.get("/api/v1/targets")).json())["targets"]}
    assert {name: (row["group"], row["address"], row["odd"]) for name, row in rows.items()} == {
        "fraud": (None, None, None),
        "chat@10.0.0.1:8000": ("chat", "10.0.0.1:8000", None),
        "chat@10.0.0.2:8000": ("chat", "10.0.0.2:8000", "zombie while 2 of 3 are healthy"),
        "chat@[fd00::3]:8000": ("chat", "[fd00::3]:8000", "serves version 4 while 2 of 3 serve 3"),
    }


async def test_the_api_tells_of_a_group_as_one(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR, State.HEALTHY, version=("3", "4", "3"))
    shown = await (await client.get("/api/v1/targets/chat")).json()
    assert [row["name"] for row in shown.pop("replicas")] == [f"chat@{place}" for place in PLACES]
    assert shown == {
        "name": "chat", "model": "llama", "url": "http://chat.svc:8000", "labels": {"team": "chat"},
        "states": {"healthy": 2, "error": 1}, "versions": {"3": 2},
        "majority": {"state": "healthy", "version": "3"},
        "odd": [{"address": "10.0.0.2:8000", "state": "error", "version": None,
                 "why": "error while 2 of 3 are healthy"}],
    }  # fmt: skip
    one = await (await client.get("/api/v1/targets/chat@10.0.0.2:8000")).json()
    assert one["odd"].startswith("error while")
    assert len(one["probes"][0]["recent"]) == 1


async def test_two_that_differ_are_not_told_apart(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR)
    shown = await (await client.get("/api/v1/targets/chat")).json()
    assert (shown["majority"]["state"], shown["odd"]) == (None, [])


async def test_the_page_keeps_replicas_together_under_their_name(client: Client, house: Any) -> None:
    house.watch("down", State.ERROR, reason=Reason.TIMEOUT)
    house.watch("well")
    watch(house, State.HEALTHY, State.ZOMBIE, State.HEALTHY, version=("3", "3", "4"))
    house.watch("also-well")
    page = await look(client)
    assert page.rows() == [
        "state-error", "group", "state-zombie", "state-healthy", "state-healthy", "state-healthy", "state-healthy",
    ]  # fmt: skip
    assert "3 replicas: 1 zombie, 2 healthy; versions: 2 serve 3, 1 serves 4" in page.text
    assert "the odd one: zombie while 2 of 3 are healthy" in page.text
    assert "the odd one: serves version 4 while 2 of 3 serve 3" in page.text
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    for link in ("?q=chat", "target?name=chat%4010.0.0.2%3A8000", "target?name=chat%40%5Bfd00%3A%3A3%5D%3A8000"):
        assert link in links


async def test_a_filter_leaves_replicas_out_and_their_heading_stands(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR, State.HEALTHY)
    page = await look(client, "?state=error")
    assert page.rows() == ["group", "state-error"]
    assert "3 replicas: 1 error, 2 healthy" in page.text
    assert (await look(client, "?q=fd00")).rows() == ["group", "state-healthy"]
