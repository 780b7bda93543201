"""Questions and predictions: what comes back, what is raised, attempts, timeouts, credentials, connections."""

import asyncio
import logging
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from aiohttp import web

from exporter import ModelClient
from exporter.client import Basic, Evidence, Failure, HeaderAuth, NotOffered, Reason, Retry, Secret, Tokens
from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.stage import Stage
from exporter.model.failure import Asleep
from exporter.protocols.openai import OpenAi
from tests.client.conftest import SAID, Fake, until
from tests.support.descriptors import descriptors

pytestmark = pytest.mark.slow

QUICK = Retry(attempts=3, backoff=0.001, max_backoff=0.01)
X = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 0.2]]}


def in_mood(stage: Stage, scene: str, mood: Mood) -> str:
    """A demo server that feels like this from now on; its url."""
    stage.servers[scene].timeline = Timeline([Act(mood, 3600.0)], time.monotonic)
    return stage.urls[scene]


# --- how it is ------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_well(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "tiny-llama") as client:
        for check in (await client.health(), await client.ready(), await client.metadata()):
            assert check
            assert (check.ok, check.evidence, check.reason, check.detail) == (True, Evidence.OK, None, "")
            assert (check.http_status, check.attempts) == (200, 1)
            assert check.duration is not None
            assert sum(check.phases.values()) == pytest.approx(check.duration, rel=0.5)
            with pytest.raises(FrozenInstanceError):
                check.ok = False  # type: ignore[misc]
        told = await client.metadata()
        assert (told.info["server"], told.facts["max_model_len"]) == ("vllm", 8192.0)
        assert await client.models() == ("tiny-llama",)
        assert client.offers == ("health", "ready", "metadata", "infer", "stream")


async def test_a_model_that_is_not_there(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "llama-9") as client:
        assert await client.health()
        check = await client.ready()
        assert (bool(check), check.reason, check.evidence) == (False, Reason.MODEL_NOT_FOUND, Evidence.REFUSED)
        assert "tiny-llama" in check.detail
        with pytest.raises(Failure) as caught:
            await client.predict(prompt="hi")
        assert (caught.value.reason, caught.value.http_status) == (Reason.MODEL_NOT_FOUND, 404)


@pytest.mark.parametrize(
    ("mood", "reason", "evidence"),
    [
        (Mood.LOADING, Reason.NOT_READY, Evidence.LOADING),
        (Mood.BROKEN, Reason.HTTP_STATUS, Evidence.BROKEN),
    ],
)
async def test_a_server_that_is_not_well(stage: Stage, mood: Mood, reason: Reason, evidence: Evidence) -> None:
    async with ModelClient(in_mood(stage, "assistant", mood), "openai", retry=QUICK) as client:
        for check in (await client.health(), await client.ready(), await client.metadata()):
            assert (check.ok, check.reason, check.evidence) == (False, reason, evidence)
        with pytest.raises(Failure, match=reason):
            await client.predict(prompt="hi")


async def test_nobody_is_there(free_port: Any) -> None:
    async with ModelClient(f"http://127.0.0.1:{free_port()}", "openai", retry=QUICK) as client:
        check = await client.health()
        assert (check.ok, check.reason, check.evidence) == (False, Reason.CONNECT_REFUSED, Evidence.DEAD)
        assert (check.attempts, check.http_status) == (3, None)


async def test_settings_of_a_question_are_those_of_its_probe(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        assert await client.metadata(expect={"platform": "sklearn"})
        check = await client.metadata(expect={"platform": "torch"})
        assert (check.ok, check.reason, check.info["platform"]) == (False, Reason.EXPECTATION, "sklearn")


# --- which protocol -------------------------------------------------------------------------------------------------


async def test_auto_finds_the_protocol_once_on_entry(fake: Fake) -> None:
    entry = {"id": "m", "object": "model", "owned_by": "vllm"}
    fake.always({"object": "list", "data": [entry]})
    client = ModelClient(fake.url)
    assert (client.protocol, client.detection) == ("auto", None)
    async with client:
        assert fake.paths.count("GET /") == 1
        assert {request.method for request in fake.requests} == {"GET"}
        assert client.protocol == "openai"
        assert client.detection is not None
        assert client.detection.why
        assert await client.health()
        assert await client.ready()
        assert fake.paths.count("GET /") == 1


async def test_auto_waits_for_a_server_that_is_not_there_yet(fake: Fake) -> None:
    fake.always({"error": "starting"}, status=503)
    async with ModelClient(fake.url, retry=QUICK) as client:
        check = await client.health()
        assert (check.ok, check.reason, client.protocol) == (False, Reason.NOT_READY, "auto")
        for refused in (client.predict(prompt="hi"), client.models()):
            with pytest.raises(Failure, match="not_ready"):
                await refused
        fake.always({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})
        assert await client.ready()
        assert client.protocol == "openai"


async def test_one_finds_out_for_all(fake: Fake) -> None:
    fake.always({"error": "starting"}, status=503)
    async with ModelClient(fake.url, retry=1) as client:
        rounds = len(fake.requests)
        await asyncio.gather(*(client.health() for _ in range(20)))
        assert len(fake.requests) == 2 * rounds


async def test_a_named_protocol_asks_nothing_on_entry(fake: Fake) -> None:
    async with ModelClient(fake.url, "openai"):
        pass
    assert not fake.requests


async def test_what_a_protocol_does_not_have_is_not_offered(fake: Fake) -> None:
    async with ModelClient(fake.url, "mlflow") as client:
        for question in (client.ready(), client.predict_many([{}])):
            with pytest.raises((NotOffered, ValueError)):
                await question
        with pytest.raises(NotOffered, match="mlflow offers no stream; it offers health"):
            client.stream(prompt="hi")
    assert not fake.requests


# --- predictions ----------------------------------------------------------------------------------------------------


async def test_a_prediction(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        answer = await client.predict(inputs=[X])
        assert answer.value["outputs"] == [{"name": "predict", "shape": [1], "datatype": "INT64", "data": [0]}]
        assert (answer.info, answer.text, answer.tokens) == ({"model_version": "1"}, "", None)
        assert (answer.measurement.http_status, answer.attempts) == (200, 1)
        assert answer.duration == answer.measurement.duration
        assert set(answer.phases) >= {"first_byte", "transfer"}


async def test_an_answer_in_words(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "tiny-llama") as client:
        answer = await client.predict(prompt="hi", max_tokens=64)
        assert answer.text == "OK. All tokens are in the right place and in order."
        assert answer.value["choices"][0]["message"]["content"] == answer.text
        assert answer.tokens == Tokens(input=6, output=13)


@pytest.mark.parametrize(
    ("protocol", "settings", "said"),
    [
        ("mlflow", {"inputs": [[1, 2]]}, {"predictions": [3]}),
        ("kserve_v1", {"instances": [[1, 2]]}, {"predictions": [3]}),
        ("seldon", {"ndarray": [[1, 2]]}, {"data": {"ndarray": [[3]]}}),
        ("http", {"body": {"a": 1}}, {"whatever": [1, {"b": None}]}),
        ("litserve", {"body": {"input": 1}}, {"output": 2}),
        ("openai", {"prompt": "hi"}, SAID),
    ],
)
async def test_the_whole_answer_comes_back(fake: Fake, protocol: str, settings: dict[str, Any], said: Any) -> None:
    fake.always(said)
    async with ModelClient(fake.url, protocol, "m") as client:
        assert (await client.predict(**settings)).value == said


async def test_vectors(fake: Fake) -> None:
    fake.always({"data": [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]})
    async with ModelClient(fake.url, "openai", "m") as client:
        answer = await client.predict(api="embeddings", input=["one", "two"])
    assert [list(vector) for vector in answer.vectors] == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("body", [b"plain words", b"[1, ", b"\xff\x00", b""])
async def test_an_answer_that_is_no_json_is_a_text(fake: Fake, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body)

    fake.answer = answer
    async with ModelClient(fake.url, "http") as client:
        found = await client.predict(body="hi")
    assert (found.value, found.body, found.text) == (None, body, body.decode("utf-8", "replace"))


async def test_an_answer_that_is_not_the_expected_one(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[X], expect={"outputs": [{"name": "predict", "data": [1]}]})
    assert caught.value.reason is Reason.EXPECTATION
    assert "expected 1" in caught.value.detail


async def test_an_answer_that_is_right_and_late(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[X], expect={"duration": "1ms"})
        assert (caught.value.reason, caught.value.row.evidence) == (Reason.EXPECTATION, Evidence.BUSY)
        assert "expected at most 0.001 s" in caught.value.detail
        assert (await client.predict(inputs=[X], expect={"duration": "1m"})).value


async def test_a_model_that_is_asked_by_hand_may_be_woken(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.always(SAID)

    async def infer(self: Any, exchange: Any) -> Any:
        if not self.wake:
            raise Asleep("it sleeps")
        return await original(self, exchange)

    original = OpenAi.infer
    monkeypatch.setattr(OpenAi, "infer", infer)
    async with ModelClient(fake.url, "openai", "m") as client:
        assert (await client.predict(prompt="hi")).text == "OK."


# --- time and attempts ----------------------------------------------------------------------------------------------


async def test_a_timeout_bounds_an_attempt(stage: Stage) -> None:
    """A longer one waits longer, in proportion: nothing else ends the wait."""
    waited = {}
    url = in_mood(stage, "zombie", Mood.HANGING)
    async with ModelClient(url, "openai", "tiny-llama", timeout=0.1) as client:
        for timeout in (None, 0.4):
            began = time.perf_counter()
            with pytest.raises(Failure) as caught:
                await client.predict(prompt="hi", timeout=timeout)
            assert (caught.value.reason, caught.value.row.evidence) == (Reason.TIMEOUT, Evidence.SLOW)
            waited[timeout] = time.perf_counter() - began
        assert await client.health(timeout=5.0)
    assert waited[0.4] > 2 * waited[None]


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


# --- credentials ----------------------------------------------------------------------------------------------------


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


# --- connections ----------------------------------------------------------------------------------------------------


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


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "127.0.0.1:8000"}, "no scheme"),
        ({"url": "http://user:s3cr3t@h"}, "credentials"),
        ({"protocol": "opnai"}, "unknown protocol 'opnai'; known: "),
        ({"protocol": "mlflow", "url": "tcp://h:1"}, "does not go over tcp"),
        ({"done": "required"}, "done: depends on the protocol"),
        ({"protocol": "openai", "done": "maybe"}, "openai: done: "),
        ({"protocol": "openai", "dune": 1}, "dune: unknown; it takes "),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"retry": 0}, "retry"),
        ({"auth": "s3cr3t\n"}, "auth: found a control character"),
        ({"auth": ("user", "")}, "auth: found an empty secret"),
        ({"headers": {"X Y": "s3cr3t"}}, "headers"),
        ({"headers": {"a": "1", "A": "2"}}, "duplicate header"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        ModelClient(**{"url": "http://h", **arguments})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inptus": [X]}, "inptus: unknown; it takes .*inputs"),
        ({"inputs": [{**X, "datatype": "FLOAT"}]}, r"inputs\.0\.datatype"),
        ({"inputs": [{**X, "shape": [2, 4]}]}, r"inputs\.0\.data: found 4 elements"),
        ({}, "inputs: missing"),
    ],
)
async def test_wrong_settings_are_told_before_anything_is_sent(fake: Fake, settings: dict[str, Any], said: str) -> None:
    async with ModelClient(fake.url, "open_inference", "m") as client:
        with pytest.raises(ValueError, match=f"open_inference infer: {said}"):
            await client.predict(**settings)
    assert not fake.requests


@pytest.mark.slow
def test_it_is_imported_when_it_is_asked_for_and_brings_nothing_heavy() -> None:
    code = """
import sys, exporter
assert exporter.__version__ and not any(name.startswith("exporter.") for name in sys.modules)
from exporter import ModelClient
import exporter.client
assert ModelClient is exporter.client.ModelClient
heavy = {"aiohttp", "prometheus_client", "click", "jinja2", "yaml", "grpc", "authlib", "botocore"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
try:
    exporter.Nonsense
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "module 'exporter' has no attribute 'Nonsense'\n"
