"""/api/v1/maintenance: announced, listed, ended; refused with everything that is wrong."""

import json
from typing import Any

import pytest

from exporter.engine.maintenance import MOST
from exporter.model.cost import Allowance, Balance, Cost
from tests.web.conftest import WALL

URL = "/api/v1/maintenance"


@pytest.fixture
def watched(house: Any) -> None:
    house.watch("chat", labels={"team": "ml"}, model="llama")
    house.watch("fraud", labels={"team": "risk"})
    house.watch("rag@10.0.0.1:80", group="rag", address="10.0.0.1:80", labels={"team": "ml"})
    house.watch("rag@10.0.0.2:80", group="rag", address="10.0.0.2:80", labels={"team": "ml"})


async def announce(client: Any, body: Any, **headers: str) -> tuple[int, Any]:
    answer = await client.post(URL, data=body if isinstance(body, bytes) else json.dumps(body), headers=headers)
    return answer.status, await answer.json()


async def test_a_rollout_from_begin_to_end(client: Any, watched: None) -> None:
    assert await (await client.get(URL)).json() == {"announced": [], "targets_in_maintenance": 0}
    status, made = await announce(
        client, {"select": {"team": "ml"}, "targets": ["rag", "chat"], "for": "30m", "comment": "chat 2.1"}
    )
    assert status == 201
    assert made == {
        "id": made["id"], "begins": "2027-01-15T08:00:00.000Z", "ends": "2027-01-15T08:30:00.000Z",
        "targets": ["chat", "rag"], "select": {"team": "ml"}, "comment": "chat 2.1", "matches": 3,
    }  # fmt: skip
    assert (await (await client.get(URL)).json())["announced"] == [made]
    answer = await client.delete(f"{URL}/{made['id']}")
    assert (answer.status, await answer.json()) == (200, {"ended": made["id"]})
    assert (await (await client.get(URL)).json())["announced"] == []
    assert (await client.delete(f"{URL}/{made['id']}")).status == 404


@pytest.mark.parametrize(
    ("wish", "matches"),
    [
        ({"targets": ["chat"]}, 1),
        ({"targets": ["rag@10.0.0.2:80"]}, 1),
        ({"select": {"model": "llama"}}, 1),
        ({"select": {"target": "rag"}}, 2),
        ({"select": {"team": "ml", "target": "rag"}}, 2),
    ],
)
async def test_who_is_meant(client: Any, watched: None, wish: dict[str, Any], matches: int) -> None:
    status, made = await announce(client, wish | {"for": "1h"})
    assert (status, made["matches"]) == (201, matches)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (b"", ["the body is not JSON"]),
        (b"{", ["the body is not JSON"]),
        (b"\xff\xfe\xfd", ["the body is not JSON"]),
        (b"[" * 60000, ["the body is not JSON"]),
        (b"[]", ['the body is a list; an object is expected, such as {"targets": ["assistant"], "for": "30m"}']),
        ({}, ["for: missing; allowed: a duration such as 30m, at most 7d", "needs targets, select or both"]),
        (
            {"target": "chat", "for": 30, "comment": "a\nb"},
            [
                "target: unknown field; allowed: select, targets, for, comment",
                "for: found 30; allowed: a duration such as 30m, at most 7d",
                "comment: found 'a\\nb'; allowed: one line of at most 200 characters",
                "needs targets, select or both",
            ],
        ),
        (
            {"targets": ["chat", "chta"], "select": {"team": 1}, "for": "8d"},
            [
                "targets: there is no target 'chta'",
                "select: found a mapping; allowed: label names with a value each, at least one",
                "for: found '8d'; allowed: a duration such as 30m, at most 7d",
            ],
        ),
        ({"targets": [], "for": "1m"}, ["targets: found a list; allowed: a list of 1 to 1000 names"]),
        ({"targets": "chat", "for": "1m"}, ["targets: found 'chat'; allowed: a list of 1 to 1000 names"]),
        (
            {"select": {}, "for": "1m"},
            ["select: found a mapping; allowed: label names with a value each, at least one"],
        ),
        ({"select": {"team": "x"}, "for": "0s"}, ["for: found '0s'; allowed: a duration such as 30m, at most 7d"]),
        (
            {"select": {"team": "x"}, "for": "1m"},
            ["no target is meant: names and labels fit none that is watched"],
        ),
        (
            {"targets": ["fraud"], "select": {"team": "ml"}, "for": "1m", "comment": "x" * 200},
            ["no target is meant: names and labels fit none that is watched"],
        ),
        (
            {"targets": ["fraud"], "for": "1m", "comment": "x" * 201},
            [f"comment: found '{'x' * 55}...'; allowed: one line of at most 200 characters"],
        ),
    ],
)
async def test_what_is_wrong_is_told_at_once(client: Any, house: Any, watched: None, body: Any, problems: Any) -> None:
    status, told = await announce(client, body)
    assert (status, told) == (400, {"error": "nothing was announced", "problems": problems})
    assert house.maintenance.announced == ()
    assert not house.ledger.own.internal_errors


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_no_page_of_another_origin_may_ask(client: Any, house: Any, watched: None, headers: Any) -> None:
    status, _ = await announce(client, {"targets": ["chat"], "for": "1m"}, **headers)
    assert (status, house.maintenance.announced) == (403, ())
    _, made = await announce(client, {"targets": ["chat"], "for": "1m"})
    answer = await client.delete(f"{URL}/{made['id']}", headers=headers)
    assert (answer.status, len(house.maintenance.announced)) == (403, 1)


async def test_a_page_of_our_own_may(client: Any, watched: None) -> None:
    origin = f"http://{client.host}:{client.port}"
    status, _ = await announce(client, {"targets": ["chat"], "for": "1m"}, Origin=origin)
    assert status == 201


async def test_there_is_an_end_to_announcing(client: Any, watched: None) -> None:
    body = {"targets": ["chat"], "for": "1m"}
    assert [(await announce(client, body))[0] for _ in range(MOST + 1)] == [201] * MOST + [429]


async def test_a_long_body_is_not_read(client: Any, watched: None) -> None:
    answer = await client.post(URL, data=b"x" * 65537)
    assert answer.status == 413


async def test_who_is_in_maintenance_is_shown(client: Any, house: Any, watched: None) -> None:
    house.ledger.rest("chat", WALL + 754.0)
    assert (await (await client.get(URL)).json())["targets_in_maintenance"] == 1
    told = await (await client.get("/api/v1/targets/chat")).json()
    assert told["maintenance_until"] == "2027-01-15T08:12:34.000Z"
    assert told["probes"][0]["paused"] == ["maintenance"]
    page = await (await client.get("/")).text()
    assert "in maintenance for 12 min more" in page


async def test_budgets_are_shown(client: Any, house: Any, watched: None) -> None:
    house.ledger.balance("chat", Balance(Allowance(1000, None, 3600.0), Cost(250, 4), WALL + 600))
    house.ledger.balance("", Balance(Allowance(None, 50, 3600.0), Cost(250, 4), WALL + 600))
    told = await (await client.get("/api/v1/targets?q=chat")).json()
    assert told["targets"][0]["budget"] == {
        "limit_tokens": 1000, "remaining_tokens": 750, "limit_requests": None, "remaining_requests": None,
        "until": "2027-01-15T08:10:00.000Z",
    }  # fmt: skip
    assert told["budget"]["remaining_requests"] == 46
    page = await (await client.get("/")).text()
    assert "budget: 750 of 1000 tokens left for 10 min" in page
    assert "Budget of all canaries together: 46 of 50 requests left for 10 min." in page
