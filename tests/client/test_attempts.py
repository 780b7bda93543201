"""Time and attempts of a call."""

import asyncio
import logging
import time
from typing import Any

import pytest
from aiohttp import web

from exporter import ModelClient
from exporter.client import Evidence, Failure, Reason, Retry
from exporter.demo.mood import Mood
from exporter.demo.stage import Stage
from exporter.protocols.openai import OpenAi
from tests.client.conftest import Fake, until
from tests.client.test_client import QUICK, in_mood

pytestmark = pytest.mark.slow


async def test_a_timeout_bounds_an_attempt(stage: Stage) -> None:
    """A longer one waits longer, in proportion: nothing else ends the wait."""
    url = in_mood(stage, "zombie", Mood.HANGING)
    async with ModelClient(url, "openai", "tiny-llama", timeout=0.1) as client:

        async def waited(timeout: float | None) -> float:
            began = time.perf_counter()
            with pytest.raises(Failure) as caught:
                await client.predict(prompt="hi", timeout=timeout)
            assert (caught.value.reason, caught.value.row.evidence) == (Reason.TIMEOUT, Evidence.SLOW)
            return time.perf_counter() - began

        short = min([await waited(None) for _ in range(3)])  # the machine may be slow once, and is never too quick
        assert await waited(1.0) > 2 * short
        assert await client.health(timeout=30.0)


@pytest.mark.parametrize(("retry", "attempts"), [(None, 1), (1, 1), (4, 4), (QUICK, 3)])
async def test_attempts_of_a_prediction(fake: Fake, retry: Any, attempts: int) -> None:
    """503 is a fast failure that is worth another attempt, where there is one left."""
    fake.always({"error": "no upstream"}, status=503)
    if isinstance(retry, int) and retry > 1:
        retry = Retry(attempts=retry, backoff=0.001)
    async with ModelClient(fake.url, "mlflow", retry=retry) as client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[1])
    assert (caught.value.reason, len(fake.requests)) == (Reason.HTTP_STATUS, attempts)


async def test_an_attempt_that_succeeds_ends_them(fake: Fake) -> None:
    async def answer(request: web.Request) -> web.Response:
        if len(fake.requests) < 3:
            return web.json_response({"error": "no upstream"}, status=502)
        return web.json_response({"predictions": [1]})

    fake.answer = answer
    async with ModelClient(fake.url, "mlflow", retry=Retry(attempts=5, backoff=0.001)) as client:
        found = await client.predict(inputs=[1])
    assert (found.value, found.attempts, len(fake.requests)) == ({"predictions": [1]}, 3, 3)
    assert len({request.headers["traceparent"][:35] for request in fake.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_what_asking_again_cannot_help_is_asked_once(fake: Fake, status: int) -> None:
    fake.always({"error": "no"}, status=status)
    async with ModelClient(fake.url, "mlflow", retry=QUICK) as client:
        with pytest.raises(Failure):
            await client.predict(inputs=[1])
    assert len(fake.requests) == 1


@pytest.mark.parametrize(("seconds", "attempts"), [("0", 2), ("3600", 1)])
async def test_a_retry_after_is_obeyed_where_it_is_no_longer_than_any_wait(
    fake: Fake, seconds: str, attempts: int
) -> None:
    fake.always({"error": "slow down"}, status=429, headers={"Retry-After": seconds})
    async with ModelClient(fake.url, "mlflow", retry=QUICK) as client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[1])
    assert (caught.value.reason, len(fake.requests)) == (Reason.RATE_LIMITED, attempts)


async def test_cancelling_closes_the_connection(fake: Fake) -> None:
    reached = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    fake.answer = hang
    async with ModelClient(fake.url, "mlflow") as client:
        task = asyncio.create_task(client.predict(inputs=[1]))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        await until(lambda: fake.abandoned)


async def test_a_timeout_of_the_callers_own_is_the_callers(fake: Fake) -> None:
    """asyncio.timeout around a call raises TimeoutError, and nothing of it is left in the task."""

    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    fake.answer = hang
    async with ModelClient(fake.url, "mlflow") as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.predict(inputs=[1])
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_a_bug_of_ours_is_said_to_be_one(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Any, exchange: Any) -> Any:
        raise KeyError("surprise")

    monkeypatch.setattr(OpenAi, "infer", broken)
    async with ModelClient(fake.url, "openai", "m") as client:
        with caplog.at_level(logging.ERROR), pytest.raises(Failure) as caught:
            await client.predict(prompt="hi")
    assert caught.value.reason is Reason.INTERNAL
    assert "Traceback" in caplog.text
