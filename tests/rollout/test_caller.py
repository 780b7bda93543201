"""Calls that change something: whose credentials they carry, and how a refusal is told."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.model.endpoint import Bearer
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.rollout.caller import certain
from tests.fakes.repository import Repository
from tests.rollout.wings import calling

LOAD = "/v2/repository/models/iris/load"


class Counting(Repository):
    """Keeps every `Authorization` of its last request."""

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.credentials = request.headers.getall("Authorization")
        return await super().answer(request, handler)


async def test_its_own_credential_and_the_targets_headers(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("deployer-secret\n")
    auth = Bearer(Secret("file", str(tmp_path / "token")))
    headers = (("X-Tenant", Secret("inline", "a")), ("authorization", Secret("inline", "Bearer of-the-probes")))
    async with Counting() as server, calling(server.url, auth, headers=headers) as caller:
        await caller.tell("POST", LOAD, {})
    assert server.credentials == ["Bearer deployer-secret"]
    (asked,) = server.requests
    assert asked.headers["x-tenant"] == "a"
    assert asked.headers["content-type"] == "application/json"


async def test_a_refusal_says_what_the_server_said_and_never_the_secret() -> None:
    auth = Bearer(Secret("inline", "deployer-secret"))
    async with Repository() as server:
        server.token = "another-one"
        async with calling(server.url, auth) as caller:
            with pytest.raises(Failure) as caught:
                await caller.tell("POST", LOAD, {})
            assert "denied, as is" in caught.value.detail
            assert "deploy.auth, which was refused" in caught.value.detail
            assert "deployer-secret" not in caught.value.detail
        headers = (("Authorization", Secret("inline", "Basic dGhlIHByb2JlczpzM2NyM3Q=")),)
        async with calling(server.url, headers=headers) as caller:
            with pytest.raises(Failure) as caught:
                await caller.tell("POST", LOAD, {})
            assert "denied, as is <hidden>" in caught.value.detail
        async with calling(server.url) as caller:
            with pytest.raises(Failure, match=r"deploy\.auth, and none is set"):
                await caller.tell("POST", LOAD, {})


async def test_a_traceback_is_told_by_its_last_line() -> None:
    async with Repository() as server, calling(server.url) as caller:
        server.fails = 500
        with pytest.raises(Failure) as caught:
            await caller.tell("POST", LOAD, {})
    assert caught.value.detail == f"POST {server.url}{LOAD}: HTTP 500: RuntimeError: no such file"


async def test_a_secret_that_is_not_there() -> None:
    async with Repository() as server, calling(server.url, Bearer(Secret("env", "NOT_SET_ANYWHERE"))) as caller:
        with pytest.raises(Failure, match="NOT_SET_ANYWHERE is not set") as caught:
            await caller.tell("POST", LOAD, {})
    assert certain(caught.value)
    assert server.requests == []


async def test_a_replica_by_its_address() -> None:
    async with Repository() as server:
        place = {"addresses": ("127.0.0.1",), "address_port": server.port}
        async with calling("http://models.invalid:8000", **place) as caller:
            await caller.tell("POST", LOAD, {})
            assert caller.shown == server.url
    assert server.requests[0].headers["host"] == "models.invalid:8000"


async def test_the_targets_path_and_query() -> None:
    async with Repository() as server, calling(f"{server.url}/v2?key=abcdef") as caller:
        await caller.tell("POST", LOAD, {})
        assert caller.named("POST", LOAD) == f"POST {server.url}{LOAD}"
    assert server.asked == [f"POST {LOAD}?key=abcdef"]


@pytest.mark.parametrize(
    ("failure", "known"),
    [
        (Failure(Reason.CONNECT_REFUSED), True),
        (Failure(Reason.DNS), True),
        (Failure(Reason.HTTP_STATUS, http_status=500), True),
        (Failure(Reason.HTTP_STATUS, http_status=502), False),
        (Failure(Reason.HTTP_STATUS, http_status=504), False),
        (Failure(Reason.TIMEOUT), False),
        (Failure(Reason.DISCONNECTED), False),
        (Failure(Reason.TRUNCATED), False),
    ],
)
def test_of_which_failures_it_is_known_how_the_call_ended(failure: Failure, known: bool) -> None:
    assert certain(failure) is known
