"""The fake chat server, in each of its moods."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError, ClientSession, web

from exporter.demo.chat_server import BEFORE_STALL, WORDS, ChatServer, Voice
from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.scenes import Server

Serve = Callable[[Server], Awaitable[str]]
QUICK = Voice(first_token=0.001, gap=0.0005)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Say OK."}]}


def server(mood: Mood = Mood.WELL, voice: Voice = QUICK) -> ChatServer:
    return ChatServer("m", Timeline((Act(mood, 3600),), lambda: 0.0), voice)


async def events(client: ClientSession, url: str, **more: Any) -> list[Any]:
    """The events of a chat stream; the end marker as the text it is."""
    found: list[Any] = []
    async with client.post(f"{url}/v1/chat/completions", json={**CHAT, "stream": True, **more}) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        async for line in response.content:
            if line.startswith(b"data: "):
                data = line.removeprefix(b"data: ").strip()
                found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return found


def deltas(found: list[Any], channel: str) -> list[str]:
    choices = [choice for event in found if isinstance(event, dict) for choice in event["choices"]]
    return [choice["delta"][channel] for choice in choices if choice["delta"].get(channel)]


async def test_models_have_the_marks_of_vllm(serve: Serve, client: ClientSession) -> None:
    url = await serve(server())
    async with client.get(f"{url}/v1/models") as response:
        listed = await response.json()
    assert listed["object"] == "list"
    assert listed["data"][0]["id"] == "m"
    assert listed["data"][0]["owned_by"] == "vllm"
    assert listed["data"][0]["max_model_len"] == 8192
    async with client.get(f"{url}/health") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with client.get(f"{url}/metrics") as response:
        assert 'vllm:num_requests_running{model_name="m",engine="0"} 0' in await response.text()


async def test_an_answer_in_one_piece(serve: Serve, client: ClientSession) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v1/chat/completions", json=CHAT) as response:
        answer = await response.json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "".join(WORDS)}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": len(WORDS), "total_tokens": 6 + len(WORDS)}


async def test_an_old_style_completion(serve: Serve, client: ClientSession) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v1/completions", json={"prompt": "Say OK.", "max_tokens": 2}) as response:
        answer = await response.json()
    assert answer["choices"][0]["text"] == "OK."
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_a_stream_begins_with_the_role_and_ends_with_usage_and_done(serve: Serve, client: ClientSession) -> None:
    found = await events(client, await serve(server()), stream_options={"include_usage": True})
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert deltas(found, "content") == list(WORDS)
    assert found[-3]["choices"][0]["finish_reason"] == "stop"
    assert found[-2]["choices"] == []
    assert found[-2]["usage"]["completion_tokens"] == len(WORDS)
    assert found[-1] == "[DONE]"


async def test_usage_comes_only_when_asked_for(serve: Serve, client: ClientSession) -> None:
    found = await events(client, await serve(server()))
    assert not any("usage" in event for event in found if isinstance(event, dict))


async def test_thoughts_come_first_and_count(serve: Serve, client: ClientSession) -> None:
    url = await serve(server(voice=Voice(0.001, 0.0005, thinks=True)))
    found = await events(client, url, max_tokens=6)
    assert deltas(found, "reasoning") == ["They", " want", " OK", "."]
    assert deltas(found, "content") == list(WORDS[:2])
    assert found[-2]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**CHAT, "model": "other"}, 404),
        ({"model": "m"}, 400),
        ([1], 400),
    ],
)
async def test_wrong_questions_are_refused(serve: Serve, client: ClientSession, body: Any, status: int) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v1/chat/completions", json=body) as response:
        assert response.status == status
        assert (await response.json())["error"]["message"]


async def test_a_body_that_is_not_json_is_refused(serve: Serve, client: ClientSession) -> None:
    url = await serve(server())
    async with client.post(f"{url}/v1/chat/completions", data=b"{") as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("mood", "health", "chat"),
    [
        (Mood.WELL, 200, 200),
        (Mood.SLOW, 200, 200),
        (Mood.LOADING, 503, 503),
        (Mood.BROKEN, 500, 500),
        (Mood.BUSY, 200, 429),
    ],
)
async def test_moods(serve: Serve, client: ClientSession, mood: Mood, health: int, chat: int) -> None:
    url = await serve(server(mood))
    async with client.get(f"{url}/health") as response:
        assert response.status == health
    async with client.post(f"{url}/v1/chat/completions", json=CHAT) as response:
        assert response.status == chat


async def test_a_zombie_says_it_is_well_and_never_answers(serve: Serve, client: ClientSession) -> None:
    zombie = server(Mood.HANGING)
    url = await serve(zombie)
    question = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=CHAT))
    async with client.get(f"{url}/health") as response:
        assert response.status == 200
    assert not question.done()
    zombie.closing.set()
    async with await question as response:
        assert response.status == 503


async def test_a_client_that_leaves_is_no_error(
    serve: Serve, client: ClientSession, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise ClientConnectionResetError("Cannot write to closing transport")

    url = await serve(server())
    monkeypatch.setattr(web.StreamResponse, "write", refuse)
    async with client.post(f"{url}/v1/chat/completions", json={**CHAT, "stream": True}) as response:
        assert await response.read() == b""
    assert not caplog.records


async def test_a_staller_stops_in_the_middle(serve: Serve, client: ClientSession) -> None:
    url = await serve(server(Mood.STALLING))
    body = {**CHAT, "stream": True}
    async with client.post(f"{url}/v1/chat/completions", json=body) as response:
        seen = b""
        while seen.count(b"data: ") < BEFORE_STALL + 1:
            seen += await response.content.readany()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.readany(), 0.05)
    assert seen.count(b"data: ") == BEFORE_STALL + 1
