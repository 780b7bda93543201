"""Token streams: events, summaries, failures in the middle, and ends before the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from exporter import ModelClient
from exporter.client import Channel, Failure, NotOffered, Outcome, Reason, Retry, TokenEvent, TokenStream
from exporter.demo.stage import Stage
from tests.client.conftest import Fake, until

DONE = b"data: [DONE]\n\n"


def event(text: str = "", finish: str | None = None, **delta: Any) -> bytes:
    delta = {"content": text, **delta}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def speak(fake: Fake, *parts: Any) -> None:
    """Write bytes, wait numbers of seconds, and with None break the connection off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            raise web.HTTPNotFound
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            if part is None:
                assert request.transport is not None
                request.transport.abort()
            elif isinstance(part, bytes):
                await response.write(part)
            else:
                await asyncio.sleep(part)
        return response

    fake.answer = answer


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[ModelClient]:
    async with ModelClient(fake.url, "openai", "m", timeout=60.0) as client:
        yield client


async def taken(stream: TokenStream) -> list[str]:
    return [event.text async for event in stream]


async def test_tokens_and_a_summary(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "tiny-llama") as client:
        stream = client.stream(prompt="hi", max_tokens=64)
        assert (stream.summary, stream.text) == (None, "")
        events = [event async for event in stream]
        assert all(isinstance(event, TokenEvent) and event.channel is Channel.CONTENT for event in events)
        assert stream.text == "".join(event.text for event in events)
        assert stream.text == "OK. All tokens are in the right place and in order."
        summary = stream.summary
        assert summary is not None
        assert (summary.outcome, summary.token_events) == (Outcome.COMPLETE, len(events))
        assert summary.usage is not None
        assert summary.usage.output == 13
        assert events[0].at == summary.ttft[Channel.CONTENT]
        assert [later.at for later in events] == sorted(event.at for event in events)
        assert await taken(stream) == []


async def test_reasoning_and_tools_are_channels_of_their_own(fake: Fake, client: ModelClient) -> None:
    call = {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": "{}"}}]}
    speak(fake, event(reasoning="hm"), event("OK"), event(**call), event(finish="stop"), DONE)
    stream = client.stream(prompt="hi")
    assert [(event.channel, event.text) async for event in stream] == [
        (Channel.REASONING, "hm"), (Channel.CONTENT, "OK"), (Channel.TOOL, "{}"),
    ]  # fmt: skip
    assert stream.text == "OK"


async def test_a_stream_that_stalls_raises_after_what_came(fake: Fake, client: ModelClient) -> None:
    speak(fake, event("one"), event(" two"), 30.0)
    stream = client.stream(prompt="hi", idle_timeout="100ms")
    assert [(await anext(stream)).text, (await anext(stream)).text] == ["one", " two"]
    with pytest.raises(Failure) as caught:
        await anext(stream)
    assert caught.value.reason is Reason.STALLED
    assert stream.summary is not None
    assert (stream.summary.outcome, stream.summary.token_events) == (Outcome.STALLED, 2)
    assert await taken(stream) == []


async def test_what_breaks_off_is_not_begun_anew_once_it_has_spoken(fake: Fake) -> None:
    speak(fake, event("one"), 0.05, None)
    cut = frozenset({Reason.TRUNCATED, Reason.RESET, Reason.DISCONNECTED})
    async with ModelClient(fake.url, "openai", "m", retry=Retry(attempts=3, backoff=0.001, on=cut)) as client:
        stream = client.stream(prompt="hi")
        assert (await anext(stream)).text == "one"
        with pytest.raises(Failure):
            await anext(stream)
    assert fake.paths.count("POST /v1/chat/completions") == 1


async def test_what_has_not_spoken_yet_may_be_asked_again(fake: Fake) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "no upstream"}, status=503)

    fake.answer = answer
    async with ModelClient(fake.url, "openai", "m", retry=Retry(attempts=3, backoff=0.001)) as client:
        with pytest.raises(Failure, match="http_status"):
            await taken(client.stream(prompt="hi"))
    assert fake.paths.count("POST /v1/chat/completions") == 3


async def test_what_is_refused_has_no_summary(fake: Fake, client: ModelClient) -> None:
    fake.always({"error": {"message": "no key"}}, status=401)
    stream = client.stream(prompt="hi")
    with pytest.raises(Failure, match="auth"):
        await taken(stream)
    assert stream.summary is None


async def test_an_answer_that_is_not_the_expected_one(fake: Fake, client: ModelClient) -> None:
    speak(fake, event("OK"), event(finish="stop"), DONE)
    stream = client.stream(prompt="hi", expect={"text": "bananas"})
    with pytest.raises(Failure, match="expectation"):
        await taken(stream)
    assert stream.text == "OK"
    assert stream.summary is not None
    assert stream.summary.outcome is Outcome.COMPLETE


async def test_a_slow_taker_changes_no_stamp(fake: Fake, client: ModelClient) -> None:
    """All came at once, however long they lie here."""
    speak(fake, *[event(str(number)) for number in range(8)], event(finish="stop"), DONE)
    stream = client.stream(prompt="hi")
    events = []
    async for each in stream:
        events.append(each)
        await asyncio.sleep(0.03)
    assert events[-1].at - events[0].at < 8 * 0.03 / 2


async def test_leaving_its_block_ends_it(fake: Fake, client: ModelClient) -> None:
    speak(fake, event("one"), 100.0)
    async with client.stream(prompt="hi") as stream:
        async for each in stream:
            assert each.text == "one"
            break
    await until(lambda: fake.abandoned)
    assert await taken(stream) == []
    await stream.aclose()


async def test_cancelling_who_waits_for_a_token_ends_it(fake: Fake, client: ModelClient) -> None:
    speak(fake, event("one"), 100.0)
    stream = client.stream(prompt="hi")
    task = asyncio.create_task(taken(stream))
    await until(lambda: fake.at_once and fake.requests[-1].method == "POST")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: fake.abandoned)


async def test_leaving_the_client_ends_its_streams(fake: Fake) -> None:
    speak(fake, event("one"), 100.0)
    async with ModelClient(fake.url, "openai", "m") as client:
        left, waiting = client.stream(prompt="hi"), client.stream(prompt="hi")
        assert (await anext(left)).text == "one"
        task = asyncio.create_task(taken(waiting))
        await until(lambda: fake.paths.count("POST /v1/chat/completions") >= 2)
    with pytest.raises(RuntimeError, match="closed"):
        await task
    await until(lambda: fake.abandoned >= 2)


async def test_one_that_is_never_taken_from_is_never_asked(fake: Fake, client: ModelClient) -> None:
    client.stream(prompt="hi")
    await asyncio.sleep(0)
    assert not fake.requests


async def test_wrong_settings_are_told_at_once(fake: Fake, client: ModelClient) -> None:
    with pytest.raises(ValueError, match="openai stream: prmpt: unknown"):
        client.stream(prmpt="hi")
    async with ModelClient(fake.url, "mlflow") as other:
        with pytest.raises(NotOffered):
            other.stream()
    assert not fake.requests


async def test_a_protocol_that_is_yet_to_be_found(fake: Fake) -> None:
    """Then the first look at the server is part of the stream."""
    fake.always({"error": "starting"}, status=503)
    async with ModelClient(fake.url, retry=1) as client:
        with pytest.raises(Failure, match="not_ready"):
            await taken(client.stream(prompt="hi"))
        fake.always({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})
        assert await client.health()
        speak(fake, event("OK"), event(finish="stop"), DONE)
        assert await taken(client.stream(prompt="hi")) == ["OK"]
