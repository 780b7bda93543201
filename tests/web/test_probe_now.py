from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter.model.job import Kind
from exporter.model.state import State

from .test_replicas import watch  # type: ignore[import-not-found]

Client = TestClient[Any, Any]
PROBES = (("health", Kind.HEALTH), ("chat", Kind.STREAM), ("golden", Kind.EVALUATE))


async def test_all_probes_but_evaluations_are_asked(client: Client, house: Any) -> None:
    house.watch("a/b c", probes=PROBES)
    answer = await client.post("/api/v1/targets/a%2Fb%20c/probe")
    assert answer.status == 202
    assert await answer.json() == {"target": "a/b c", "probes": ["chat", "health"]}
    assert house.pulled == [("a/b c", "health"), ("a/b c", "chat")]


async def test_one_probe_alone_may_be_an_evaluation(client: Client, house: Any) -> None:
    house.watch(probes=PROBES)
    assert await (await client.post("/api/v1/targets/chat/probe?probe=golden")).json() == {
        "target": "chat", "probes": ["golden"],
    }  # fmt: skip
    answer = await client.post("/api/v1/targets/chat/probe?probe=gold")
    assert answer.status == 400
    assert (await answer.json())["error"] == "probe: there is no 'gold'; known are chat, golden, health"
    assert house.pulled == [("chat", "golden")]


async def test_a_form_is_sent_back_to_the_page_wherever_that_is(open_client: Any, house: Any) -> None:
    house.watch("a/b c")
    client = await open_client(route_prefix="/models")
    browser = {
        "Accept": "text/html,*/*",
        "Sec-Fetch-Site": "same-origin",
        "Origin": str(client.make_url("")).rstrip("/"),
    }
    answer = await client.post("/models/target?name=a%2Fb%20c", headers=browser, data={})
    assert answer.status == 200
    assert answer.url.path == "/models/target"
    assert "Its probes are being asked" in await answer.text()
    assert house.pulled == [("a/b c", "health")]
    answer = await client.post("/models/target?name=a%2Fb%20c", headers=browser, allow_redirects=False)
    assert answer.headers["Location"] == "target?name=a%2Fb%20c&asked=now"
    refused = await client.post("/models/target?name=a%2Fb%20c", headers={"Origin": "null"})
    assert (refused.status, len(house.pulled)) == (403, 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.models"},
    ],
)
async def test_no_page_of_another_origin_can_ask(client: Client, house: Any, headers: dict[str, str]) -> None:
    house.watch()
    answer = await client.post("/api/v1/targets/chat/probe", headers=headers)
    assert answer.status == 403
    assert "another origin" in (await answer.json())["error"]
    assert (await client.get("/api/v1/targets/chat/probe")).status in (404, 405)
    assert house.pulled == []


async def test_nothing_to_ask(client: Client, house: Any) -> None:
    assert (await client.post("/api/v1/targets/none/probe")).status == 404
    house.watch()
    house.turning = False
    answer = await client.post("/api/v1/targets/chat/probe")
    assert answer.status == 503
    assert "error" in await answer.json()


async def test_all_replicas_of_a_target(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR)
    assert (await client.post("/api/v1/targets/chat/probe")).status == 202
    assert [name for name, _ in house.pulled] == ["chat@10.0.0.1:8000", "chat@10.0.0.2:8000"]
