"""Batches posted: who they are from, which they are, and what an answer means."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.contracts import Refused
from exporter.model.endpoint import Bearer, HeaderAuth, Service
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.sinks.spec import Webhook
from exporter.sinks.webhook import WebhookSink, signature
from exporter.transport import Transport
from tests.sinks.making import record
from tests.support.fake import Fake, Reply, Request
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

SECRET = "s3cr3t-webhook-1"


class Hook:
    """A receiver that answers what it is told to."""

    def __init__(self) -> None:
        self.reply: Reply = (204, "")
        self.fake = Fake(lambda request: self.reply)

    @property
    def last(self) -> Request:
        return self.fake.requests[-1]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    with made.fake:
        yield made


@pytest.fixture
async def open_sink() -> AsyncIterator[Callable[..., WebhookSink]]:
    transport = Transport(user_agent="model-exporter/test")

    def make(url: str, **settings: Any) -> WebhookSink:
        secret = settings.pop("secret", Secret("inline", SECRET))
        wall = settings.pop("wall", lambda: 1_700_000_000.9)
        return WebhookSink(Webhook(Service(url, **settings), secret), lambda: transport.calls, wall)

    yield make
    await transport.close()


async def send(sink: WebhookSink, *numbers: int, key: str = "k" * 32) -> None:
    await sink.send(sink.encode([record(number) for number in numbers]), key)


async def test_a_batch(hook: Hook, open_sink: Callable[..., WebhookSink]) -> None:
    await send(open_sink(f"{hook.fake.url}/in/?a=b%20c"), 1, 2)
    asked = hook.last
    assert (asked.method, asked.path) == ("POST", "/in/?a=b%20c")
    body = json.loads(asked.body)
    assert body["version"] == 1
    assert [each["number"] for each in body["records"]] == [1, 2]
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["user-agent"] == "model-exporter/test"
    assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == "k" * 32


async def test_the_signature_is_that_of_standard_webhooks(hook: Hook, open_sink: Callable[..., WebhookSink]) -> None:
    await send(open_sink(hook.fake.url), 1)
    asked = hook.last
    assert asked.headers["webhook-timestamp"] == "1700000000"
    signed = b".".join((b"k" * 32, b"1700000000", asked.body))
    expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).decode()
    assert asked.headers["webhook-signature"] == f"v1,{expected}"


async def test_the_page_shows_how_to_verify_it(hook: Hook, open_sink: Callable[..., WebhookSink]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text()
    shown: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], shown)
    await send(open_sink(hook.fake.url), 1)
    genuine = shown["genuine"]
    assert genuine(SECRET.encode(), hook.last.headers, hook.last.body)
    assert not genuine(b"another", hook.last.headers, hook.last.body)
    assert not genuine(SECRET.encode(), hook.last.headers, hook.last.body + b" ")


def test_the_example_of_the_specification() -> None:
    """Its secret, message and result, as its libraries test themselves by them."""
    body = b'{"test": 2432232314}'
    made = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_in_a_form_that_is_none() -> None:
    with pytest.raises(Failure) as caught:
        signature("whsec_s3cr3t!", "id", "1", b"")
    assert caught.value.reason is Reason.AUTH
    assert "s3cr3t" not in str(caught.value)


async def test_each_try_is_signed_anew_and_keeps_its_key(hook: Hook, open_sink: Callable[..., WebhookSink]) -> None:
    now = iter((100.0, 200.0))
    sink = open_sink(hook.fake.url, wall=lambda: next(now))
    payload = sink.encode([record(1)])
    for _ in range(2):
        await sink.send(payload, "same")
    first, second = hook.fake.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "same"
    assert (first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]) == ("100", "200")
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert first.body == second.body


async def test_without_a_secret_nothing_is_signed(hook: Hook, open_sink: Callable[..., WebhookSink]) -> None:
    await send(open_sink(hook.fake.url, secret=None), 1)
    assert not {"webhook-signature", "webhook-timestamp"} & hook.last.headers.keys()
    assert "webhook-id" in hook.last.headers


async def test_headers_and_credentials_are_read_for_each_try(
    hook: Hook, open_sink: Callable[..., WebhookSink], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t-one")
    headers = (("X-Tenant", Secret("inline", "s3cr3t-tenant")),)
    sink = open_sink(hook.fake.url, auth=Bearer(Secret("file", str(token))), headers=headers)
    await send(sink, 1)
    assert hook.last.headers["authorization"] == "Bearer s3cr3t-one"
    assert hook.last.headers["x-tenant"] == "s3cr3t-tenant"
    token.write_text("s3cr3t-two")
    await send(sink, 1)
    assert hook.last.headers["authorization"] == "Bearer s3cr3t-two"
    token.unlink()
    with pytest.raises(Failure) as caught:
        await send(sink, 1)
    assert caught.value.reason is Reason.AUTH
    assert "s3cr3t" not in str(caught.value)
    named = open_sink(hook.fake.url, auth=HeaderAuth("X-Key", Secret("inline", "s3cr3t-key")))
    await send(named, 1)
    assert hook.last.headers["x-key"] == "s3cr3t-key"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_taken(hook: Hook, open_sink: Callable[..., WebhookSink], status: int) -> None:
    hook.reply = (status, "")
    await send(open_sink(hook.fake.url), 1)


@pytest.mark.parametrize("status", [400, 405, 410, 413, 422])
async def test_never_taken(hook: Hook, open_sink: Callable[..., WebhookSink], status: int) -> None:
    hook.reply = (status, f"no {SECRET}")
    with pytest.raises(Refused) as caught:
        await send(open_sink(hook.fake.url), 1)
    assert str(caught.value) == f"HTTP {status}"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, Reason.AUTH), (403, Reason.AUTH), (404, Reason.HTTP_STATUS), (408, Reason.HTTP_STATUS),
     (429, Reason.HTTP_STATUS), (302, Reason.REDIRECT), (500, Reason.HTTP_STATUS), (503, Reason.HTTP_STATUS)],
)  # fmt: skip
async def test_perhaps_later(hook: Hook, open_sink: Callable[..., WebhookSink], status: int, reason: Reason) -> None:
    hook.reply = (status, "", {"Retry-After": "7", "Location": hook.fake.url})
    with pytest.raises(Failure) as caught:
        await send(open_sink(hook.fake.url), 1)
    assert (caught.value.reason, caught.value.detail, caught.value.retry_after) == (reason, f"HTTP {status}", 7.0)
    assert len(hook.fake.requests) == 1


async def test_nobody_there(open_sink: Callable[..., WebhookSink]) -> None:
    with pytest.raises(Failure) as caught:
        await send(open_sink(f"http://127.0.0.1:{free_port()}"), 1)
    assert caught.value.reason is Reason.CONNECT_REFUSED
