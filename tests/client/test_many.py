"""Many predictions: order, partial failures, how many at once, and an end to all of them."""

import asyncio
import itertools
from contextlib import aclosing

import pytest
from aiohttp import web

from exporter import ModelClient
from exporter.client import Answer, Failure, Reason
from tests.client.conftest import Fake, until

pytestmark = pytest.mark.slow


def say(fake: Fake, *, broken: frozenset[int] = frozenset(), latency: float = 0.01) -> None:
    """Answer a number with itself; some with a 500. Smaller numbers take longer."""

    async def answer(request: web.Request) -> web.Response:
        number = (await request.json())["inputs"][0]
        await asyncio.sleep(latency if number % 2 else 2 * latency)
        if number in broken:
            return web.json_response({"error": "boom"}, status=500)
        return web.json_response({"predictions": [number]})

    fake.answer = answer


def requests(count: int) -> list[dict[str, list[int]]]:
    return [{"inputs": [number]} for number in range(count)]


def numbers(answers: list[Answer | Failure]) -> list[int | Reason]:
    return [answer.reason if isinstance(answer, Failure) else answer.value["predictions"][0] for answer in answers]


async def test_answers_come_in_the_order_of_their_requests(fake: Fake) -> None:
    say(fake)
    async with ModelClient(fake.url, "mlflow") as client:
        assert numbers(await client.predict_many(requests(25), in_flight=4)) == list(range(25))
        assert await client.predict_many([]) == []


async def test_one_that_fails_takes_no_other_with_it(fake: Fake) -> None:
    say(fake, broken=frozenset({0, 3, 9}))
    async with ModelClient(fake.url, "mlflow") as client:
        answers = await client.predict_many(requests(10))
    bad = Reason.HTTP_STATUS
    assert numbers(answers) == [bad, 1, 2, bad, 4, 5, 6, 7, 8, bad]
    failure = answers[3]
    assert isinstance(failure, Failure)
    assert (failure.http_status, failure.__traceback__) == (500, None)


@pytest.mark.parametrize("in_flight", [1, 3, 8])
async def test_no_more_than_that_many_at_once_and_as_many_as_there_may_be(fake: Fake, in_flight: int) -> None:
    say(fake)
    async with ModelClient(fake.url, "mlflow") as client:
        await client.predict_many(requests(20), in_flight=in_flight)
    assert fake.most_at_once == in_flight
    assert len(fake.ports) == in_flight


async def test_a_wrong_request_is_told_before_anything_is_sent(fake: Fake) -> None:
    say(fake)
    async with ModelClient(fake.url, "mlflow") as client:
        with pytest.raises(ValueError, match="inptus: unknown"):
            await client.predict_many([*requests(5), {"inptus": [1]}])
        with pytest.raises(ValueError, match="in_flight"):
            await client.predict_many(requests(5), in_flight=0)
    assert not fake.requests


async def test_cancelling_ends_all_of_them(fake: Fake) -> None:
    say(fake, latency=30.0)
    async with ModelClient(fake.url, "mlflow") as client:
        task = asyncio.create_task(client.predict_many(requests(20), in_flight=5))
        await until(lambda: fake.at_once >= 5)
        tasks = len(asyncio.all_tasks())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not fake.at_once)
        assert (fake.abandoned, len(fake.requests)) == (5, 5)
        assert len(asyncio.all_tasks()) <= tasks - 6


async def test_as_they_come(fake: Fake) -> None:
    say(fake, broken=frozenset({3}))
    async with ModelClient(fake.url, "mlflow") as client:
        found = [each async for each in client.predict_each(requests(10), in_flight=4)]
    assert sorted(index for index, _ in found) == list(range(10))
    assert [index for index, _ in found] != list(range(10))
    assert [index for index, answer in found if isinstance(answer, Failure)] == [3]


async def test_requests_without_an_end_are_taken_as_there_is_room(fake: Fake) -> None:
    say(fake)
    taken = itertools.count()
    endless = ({"inputs": [number]} for number in taken)
    async with ModelClient(fake.url, "mlflow") as client:
        async with aclosing(client.predict_each(endless, in_flight=3)) as answers:
            async for index, _ in answers:
                if index > 20:
                    break
        assert next(taken) < 20 + 2 * 3 + 2
        await until(lambda: not fake.at_once)


async def test_a_timeout_is_each_ones_own(fake: Fake) -> None:
    async def answer(request: web.Request) -> web.Response:
        number = (await request.json())["inputs"][0]
        await asyncio.sleep(30.0 if number == 1 else 0.0)
        return web.json_response({"predictions": [number]})

    fake.answer = answer
    async with ModelClient(fake.url, "mlflow") as client:
        answers = await client.predict_many(requests(4), in_flight=2, timeout=0.2)
    assert numbers(answers) == [0, Reason.TIMEOUT, 2, 3]
