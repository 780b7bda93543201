"""Credentials and connections, and what stays of them."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from exporter import ModelClient
from exporter.client import Basic, Failure, HeaderAuth, Reason, Secret
from tests.client.conftest import SAID, Fake, until
from tests.support.descriptors import descriptors

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("auth", "name", "sent"),
    [
        ("s3cr3t-token-1", "Authorization", "Bearer s3cr3t-token-1"),
        (Secret("inline", "s3cr3t-token-1"), "Authorization", "Bearer s3cr3t-token-1"),
        (("user", "s3cr3t-word-1"), "Authorization", "Basic dXNlcjpzM2NyM3Qtd29yZC0x"),
        (Basic("user", Secret("inline", "s3cr3t-word-1")), "Authorization", "Basic dXNlcjpzM2NyM3Qtd29yZC0x"),
        (HeaderAuth("X-API-Key", Secret("inline", "s3cr3t-key-1")), "X-API-Key", "s3cr3t-key-1"),
    ],
)
async def test_credentials_are_sent_and_never_shown(fake: Fake, auth: Any, name: str, sent: str) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": f"not you: {request.headers[name]}"}, status=401)

    fake.answer = echo
    client = ModelClient(fake.url, "mlflow", auth=auth, headers={"X-Tenant": "s3cr3t-tenant"})
    assert "s3cr3t" not in repr(client) + repr(vars(client))
    async with client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[1])
        check = await client.health()
    assert fake.requests[0].headers[name] == sent
    assert fake.requests[0].headers["X-Tenant"] == "s3cr3t-tenant"
    assert (caught.value.reason, check.reason) == (Reason.AUTH, Reason.AUTH)
    assert "not you" in caught.value.detail
    assert "s3cr3t" not in repr(caught.value) + repr(check)


async def test_what_a_server_echoes_of_a_credential_is_in_no_label(fake: Fake) -> None:
    fake.always({"object": "list", "data": [{"id": "m", "root": "s3cr3t-token-1", "owned_by": "vllm"}]})
    async with ModelClient(fake.url, "openai", "m", auth="s3cr3t-token-1") as client:
        told = await client.metadata()
    assert told.info["model_id"] == "<hidden>"


async def test_a_rotated_secret_is_sent_from_then_on(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.always({})
    monkeypatch.setenv("TOKEN", "first-token")
    async with ModelClient(fake.url, "mlflow", auth=Secret("env", "TOKEN")) as client:
        await client.health()
        monkeypatch.setenv("TOKEN", "second-token")
        await client.health()
        monkeypatch.delenv("TOKEN")
        check = await client.health()
    assert [request.headers["Authorization"] for request in fake.requests] == [
        "Bearer first-token", "Bearer second-token",
    ]  # fmt: skip
    assert (check.reason, "TOKEN" in check.detail) == (Reason.AUTH, True)


async def test_connections_are_kept_and_one_for_each_at_a_time(fake: Fake) -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return web.json_response(SAID)

    fake.answer = answer
    async with ModelClient(fake.url, "openai", "m") as client:
        for _ in range(5):
            await client.predict(prompt="hi")
        assert len(fake.ports) == 1
        for _ in range(3):
            await asyncio.gather(*(client.predict(prompt="hi") for _ in range(6)))
        assert len(fake.ports) == 6


async def test_a_connection_for_each_attempt(fake: Fake) -> None:
    fake.always(SAID)
    async with ModelClient(fake.url, "openai", "m", keep_alive=False) as client:
        answers = [await client.predict(prompt="hi") for _ in range(4)]
    assert len(fake.ports) == 4
    assert all("connect" in answer.phases for answer in answers)


async def test_leaving_it_leaves_nothing_behind(fake: Fake) -> None:
    fake.always(SAID)
    async with ModelClient(fake.url, "openai", "m") as client:
        await client.predict(prompt="hi")
    await asyncio.sleep(0.01)
    before, tasks = descriptors(), len(asyncio.all_tasks())
    for _ in range(5):
        async with ModelClient(fake.url, "openai", "m") as client:
            await asyncio.gather(*(client.predict(prompt="hi") for _ in range(8)))
    await until(lambda: not (descriptors() > before or len(asyncio.all_tasks()) > tasks))


async def test_it_is_open_inside_its_block_alone(fake: Fake) -> None:
    fake.always(SAID)
    client = ModelClient(fake.url, "openai", "m")
    for _ in range(2):
        for unopened in (client.health, client.metadata, client.predict):
            with pytest.raises(RuntimeError, match="async with"):
                await unopened()
        with pytest.raises(RuntimeError, match="async with"):
            client.stream()
        async with client:
            assert (await client.predict(prompt="hi")).text == "OK."
            with pytest.raises(RuntimeError, match="open already"):
                await client.__aenter__()
