"""The fake Open Inference server."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession

from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.scenes import Server
from exporter.demo.tensor_server import TensorServer

Serve = Callable[[Server], Awaitable[str]]


def tensor(*rows: list[float]) -> dict[str, Any]:
    return {"id": "7", "inputs": [{"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": list(rows)}]}


def server(mood: Mood = Mood.WELL, now: float = 0.0) -> TensorServer:
    moment = [0.0]
    timeline = Timeline((Act(mood, 10),), lambda: moment[0])
    moment[0] = now
    return TensorServer("fraud", timeline)


async def test_it_predicts_and_gives_the_id_back(serve: Serve, client: ClientSession) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v2/models/fraud/infer", json=tensor([9, 9, 9, 9], [0, 0, 0, 0])) as response:
        answer = await response.json()
    assert answer["id"] == "7"
    assert answer["outputs"] == [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [1, 0]}]


async def test_each_act_is_a_version(serve: Serve, client: ClientSession) -> None:
    url = await serve(server(now=25.0))
    async with client.get(f"{url}/v2/models/fraud") as response:
        told = await response.json()
    assert told["versions"] == ["3"]
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    async with client.get(f"{url}/v2/models/fraud/versions/3/ready") as response:
        assert response.status == 200
    async with client.get(f"{url}/v2/models/fraud/versions/2/ready") as response:
        assert response.status == 404


@pytest.mark.parametrize(("mood", "status", "state"), [(Mood.WELL, 200, "READY"), (Mood.LOADING, 503, "LOADING")])
async def test_ready_and_the_index_agree(
    serve: Serve, client: ClientSession, mood: Mood, status: int, state: str
) -> None:
    url = await serve(server(mood))
    for path in ("/v2/health/ready", "/v2/models/fraud/ready"):
        async with client.get(f"{url}{path}") as response:
            assert response.status == status
    async with client.get(f"{url}/v2/health/live") as response:
        assert response.status == 200
    async with client.post(f"{url}/v2/repository/index", json={}) as response:
        assert [(model["name"], model["state"]) for model in await response.json()] == [("fraud", state)]


@pytest.mark.parametrize("body", [{}, {"inputs": []}, tensor([1, 2, 3]), {"inputs": [{"data": [1], "shape": ["a"]}]}])
async def test_wrong_tensors_are_refused(serve: Serve, client: ClientSession, body: dict[str, Any]) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v2/models/fraud/infer", json=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]


async def test_another_model_is_not_there(serve: Serve, client: ClientSession) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v2/models/other/infer", json=tensor([0, 0, 0, 0])) as response:
        assert response.status == 404
        assert "other" in (await response.json())["error"]
