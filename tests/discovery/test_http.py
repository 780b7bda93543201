"""A server of target groups: what it is asked, and what its answers mean."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from exporter.discovery.http import read
from exporter.model.endpoint import Bearer, Service
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Transport
from tests.support.fake import Fake, Reply

JSON = {"Content-Type": "application/json; charset=utf-8"}
GROUP = json.dumps([{"targets": ["a:1"], "labels": {"team": "chat"}}])


@pytest.fixture
def reply() -> list[Reply]:
    return [(200, GROUP, JSON)]


@pytest.fixture
def fake(reply: list[Reply]) -> Iterator[Fake]:
    with Fake(lambda request: reply[0]) as server:
        yield server


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(user_agent="tests")
    yield made
    await made.close()


async def test_a_list_is_asked_for_as_prometheus_does(transport: Transport, fake: Fake) -> None:
    headers = (("X-Team", Secret("inline", "x")),)
    service = Service(f"{fake.url}/list?key=s3cr3t", auth=Bearer(Secret("inline", "token")), headers=headers)
    (part,) = await read(transport.calls, service, interval=60.0, timeout=5.0)
    assert part.entries == [{"team": "chat", "__meta_url": f"{fake.url}/list", "__address__": "a:1"}], (
        "the query is hidden"
    )
    (request,) = fake.requests
    assert request.path == "/list?key=s3cr3t"
    assert {name: request.headers[name] for name in ("x-prometheus-refresh-interval-seconds", "authorization", "x-team",
                                                      "accept", "user-agent")} == {
        "x-prometheus-refresh-interval-seconds": "60", "authorization": "Bearer token", "x-team": "x",
        "accept": "application/json", "user-agent": "tests",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        ((503, "", JSON), Reason.HTTP_STATUS, "HTTP 503"),
        ((200, GROUP, {"Content-Type": "text/html"}), Reason.MALFORMED,
         "the answer is text/html; allowed: application/json"),
        ((200, GROUP), Reason.MALFORMED, "the answer is of no type; allowed: application/json"),
        ((200, "[{]", JSON), Reason.MALFORMED, "not JSON: "),
        ((200, "null", JSON), Reason.MALFORMED, "found nothing; allowed: a list of"),
        ((200, '[{"targets": [1]}]', JSON), Reason.MALFORMED, "[0].targets[0]: found the number 1"),
    ],
)  # fmt: skip
async def test_what_is_no_list(
    transport: Transport, fake: Fake, reply: list[Reply], answer: Reply, reason: Reason, detail: str
) -> None:
    reply[0] = answer
    with pytest.raises(Failure) as caught:
        await read(transport.calls, Service(fake.url), interval=60.0, timeout=5.0)
    assert caught.value.reason is reason
    assert caught.value.detail.startswith(detail)


async def test_an_empty_list_is_one(transport: Transport, fake: Fake, reply: list[Reply]) -> None:
    reply[0] = (200, "[]", JSON)
    assert [part.entries for part in await read(transport.calls, Service(fake.url), interval=60.0, timeout=5.0)] == [[]]
