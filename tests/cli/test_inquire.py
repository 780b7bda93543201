from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from exporter.cli.inquire import MOST_MODELS, Tensor, inputs, models
from exporter.model.endpoint import Endpoint

Serve = Callable[[str, str, Any], Awaitable[Endpoint]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Answers one question with a value as JSON, or with text as it is."""
    runners: list[web.AppRunner] = []

    async def start(method: str, path: str, answer: Any) -> Endpoint:
        async def handle(_: web.Request) -> web.Response:
            return web.Response(text=answer) if isinstance(answer, str) else web.json_response(answer)

        app = web.Application()
        app.router.add_route(method, path, handle)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return Endpoint("http", "127.0.0.1", runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


def described(*tensors: Any) -> dict[str, Any]:
    return {"name": "m", "inputs": list(tensors)}


async def test_models_of_an_openai_server(serve: Serve) -> None:
    endpoint = await serve("GET", "/v1/models", {"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": 3}, "x", {}]})
    assert await models(endpoint, "openai") == ("a", "b")


async def test_models_of_an_open_inference_server(serve: Serve) -> None:
    endpoint = await serve("POST", "/v2/repository/index", [{"name": "a", "state": "READY"}])
    assert await models(endpoint, "open_inference") == ("a",)


async def test_a_long_list_is_cut_and_names_that_steer_terminals_are_dropped(serve: Serve) -> None:
    endpoint = await serve("GET", "/v1/models", {"data": [{"id": "\x1b[2J"}, *({"id": str(n)} for n in range(999))]})
    found = await models(endpoint, "openai")
    assert len(found) == MOST_MODELS
    assert found[0] == "0"


@pytest.mark.parametrize("answer", [[], {}, {"data": None}, {"data": {}}, "not JSON", "", None])
async def test_no_list_means_no_models(serve: Serve, answer: Any) -> None:
    endpoint = await serve("GET", "/v1/models", answer)
    assert await models(endpoint, "openai") == ()


async def test_a_server_without_a_list_or_at_all(serve: Serve, free_port: Callable[[], int]) -> None:
    assert await models(await serve("GET", "/other", {}), "openai") == ()
    assert await models(Endpoint("http", "127.0.0.1", free_port()), "openai") == ()
    assert await models(Endpoint("http", "127.0.0.1", free_port()), "mlflow") == ()


async def test_inputs_become_zeros(serve: Serve) -> None:
    endpoint = await serve(
        "GET", "/v2/models/a%2Fb", described(
            {"name": "x", "datatype": "FP32", "shape": [-1, 3]}, {"name": "on", "datatype": "BOOL", "shape": [1]},
            {"name": "n", "datatype": "UINT8", "shape": [2]}, {"name": "t", "datatype": "BYTES", "shape": [-1]},
        ),
    )  # fmt: skip
    assert await inputs(endpoint, "a/b") == (
        Tensor("x", "FP32", (1, 3), (0.0, 0.0, 0.0)),
        Tensor("on", "BOOL", (1,), (False,)),
        Tensor("n", "UINT8", (2,), (0, 0)),
        Tensor("t", "BYTES", (1,), ("text",)),
    )


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "x", "datatype": "FP32", "shape": [3, 224, 224]},
        {"name": "x", "datatype": "BF16", "shape": [1]},
        {"name": "x", "datatype": ["FP32"], "shape": [1]},
        {"name": "x", "datatype": "FP32", "shape": ["a"]},
        {"name": "x", "datatype": "FP32", "shape": 1},
        {"datatype": "FP32", "shape": [1]},
        "x",
    ],
)
async def test_one_input_that_cannot_be_written_down_means_none(serve: Serve, tensor: Any) -> None:
    endpoint = await serve("GET", "/v2/models/m", described({"name": "y", "datatype": "FP32", "shape": [1]}, tensor))
    assert await inputs(endpoint, "m") == ()
