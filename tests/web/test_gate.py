"""/api/v1/gate: one answer for people, readiness probes and rollout controllers."""

from typing import Any

import pytest

from tests.web.conftest import WALL

URL = "/api/v1/gate"


@pytest.fixture
def watched(house: Any) -> None:
    (chat,) = house.watch("chat", labels={"team": "ml"})
    (fraud,) = house.watch("fraud", labels={"team": "risk"})
    for back in (2, 1, 0):
        house.book(chat, at=WALL - back)
    house.book(fraud, at=WALL)


@pytest.mark.parametrize(
    ("query", "status", "blocking"),
    [
        ("select=team=ml", 200, []),
        ("select=team%3Dml&select=team%3Drisk", 503, ["fraud"]),
        ("select=team=risk&consecutive=1", 200, []),
        ("", 503, ["fraud"]),
        (f"select=team=ml&since={WALL - 1.5}", 503, ["chat"]),
        ("select=team=ml&since=2027-01-15T07:59:57%2B00:00", 200, []),
    ],
)
async def test_ready_or_not(client: Any, watched: None, query: str, status: int, blocking: list[str]) -> None:
    answer = await client.get(f"{URL}?{query}")
    body = await answer.json()
    assert (answer.status, body["ready"]) == (status, status == 200)
    assert [entry["target"] for entry in body["blocking"]] == blocking
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_bad_parameters_say_what_is_wrong(client: Any, watched: None) -> None:
    answer = await client.get(f"{URL}?consecutive=0&vresion=1")
    assert answer.status == 400
    assert await answer.json() == {
        "ready": False,
        "error": "bad parameters",
        "problems": [
            "consecutive: found '0'; allowed: a number from 1 to 10",
            "vresion: unknown parameter; did you mean version?",
        ],
    }


async def test_a_webhook_is_posted_and_its_body_is_its_own_affair(client: Any, watched: None) -> None:
    hook = {"name": "model", "namespace": "ml", "phase": "Progressing", "metadata": {"consecutive": "1"}}
    refused = await client.post(f"{URL}?select=team=risk", json=hook, headers={"Origin": "http://elsewhere.example"})
    assert refused.status == 503
    passed = await client.post(f"{URL}?select=team=ml", json=hook)
    assert (passed.status, await passed.json()) == (200, {"ready": True, "targets": 1, "blocking": []})
    assert (await client.head(f"{URL}?select=team=ml")).status == 200
    assert (await client.put(f"{URL}?select=team=ml")).status == 405


async def test_it_stands_under_the_prefix(open_client: Any, watched: None) -> None:
    client = await open_client(route_prefix="/models")
    assert (await client.get(f"/models{URL}?select=team=ml")).status == 200
    assert (await client.get(f"{URL}?select=team=ml")).status == 404
