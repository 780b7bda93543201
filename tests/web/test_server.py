import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter.model.failure import Reason
from exporter.model.state import State

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]

PATHS = ["/", "/metrics", "/probe", "/config", "/-/healthy", "/-/ready", "/api/v1/targets", "/ready/none", "/nowhere",
         "/static/page.css"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_the_security_headers(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "model-exporter"
    assert not [name for name in headers if name.lower().startswith("access-control")]


async def test_healthy_and_ready_follow_the_exporter_not_its_targets(client: Client, house: Any) -> None:
    house.watch("down", State.ERROR, reason=Reason.CONNECT_REFUSED)
    assert (await client.get("/-/healthy")).status == 200
    assert (await client.get("/-/ready")).status == 200
    house.healthy = house.ready = False
    for path in ("/-/healthy", "/-/ready"):
        answer = await client.get(path)
        assert answer.status == 503
        assert answer.content_type == "text/plain"
        assert "not" in await answer.text()


async def test_reload_applies_or_tells_the_problems(client: Client, house: Any) -> None:
    assert (await client.post("/-/reload")).status == 200
    house.problems = ["config.yml:3:5: targets.0.url: required", "config.yml:9:1: modules: unknown"]
    answer = await client.post("/-/reload")
    assert answer.status == 500
    assert [line for line in house.problems if line in await answer.text()] == house.problems
    assert house.reloads == 2


async def test_reload_is_not_for_get(client: Client, house: Any) -> None:
    answer = await client.get("/-/reload")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert house.reloads == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Origin": "http://{own}.evil.example"},
        {"Origin": "http://evil@{own}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://{own}"},
    ],
)
async def test_reload_refuses_pages_of_other_origins(client: Client, house: Any, headers: dict[str, str]) -> None:
    own = f"{client.host}:{client.port}"
    answer = await client.post("/-/reload", headers={name: text.format(own=own) for name, text in headers.items()})
    assert answer.status == 403
    assert house.reloads == 0


async def test_reload_takes_programs_our_own_page_and_the_external_address(open_client: Any, house: Any) -> None:
    client = await open_client(external_url="https://exporter.example/probes")
    own = f"http://{client.host}:{client.port}"
    for headers in ({}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Origin": "https://exporter.example"}):
        assert (await client.post("/-/reload", headers=headers)).status == 200
    assert house.reloads == 3


async def test_config_is_plain_text(client: Client, house: Any) -> None:
    house.config = "targets:\n- name: <script>alert(1)</script>\n"
    answer = await client.get("/config")
    assert answer.content_type == "text/plain"
    assert await answer.text() == house.config


async def test_the_config_is_written_down_beside_the_loop_once_for_all(open_client: Any, house: Any) -> None:
    go = threading.Event()
    calls = []

    def dump() -> str:
        calls.append(threading.current_thread())
        assert go.wait(10)
        return "targets: []\n"

    client = await open_client(config=dump)
    asking = [asyncio.create_task(client.get("/config")) for _ in range(5)]
    async with asyncio.timeout(10):
        while client.server.runner.server.requests_count < len(asking):
            await asyncio.sleep(0.01)
    assert (await client.get("/-/healthy")).status == 200
    go.set()
    assert {(await task).status for task in asking} == {200}
    assert len(calls) == 1
    assert calls[0] is not threading.main_thread()


async def test_a_config_that_cannot_be_written_down_is_an_error_of_ours(open_client: Any, house: Any) -> None:
    def dump() -> str:
        raise RuntimeError("s3cr3t-config")

    client = await open_client(config=dump)
    answer = await client.get("/config")
    assert answer.status == 500
    assert "s3cr3t" not in await answer.text()
    assert house.ledger.own.internal_errors["web"] == 1


@pytest.mark.parametrize(
    ("state", "status", "strict"),
    [
        (State.HEALTHY, 200, 200),
        (State.SATURATED, 200, 200),
        (State.UNHEALTHY, 200, 503),
        (State.LOADING, 503, 503),
        (State.ZOMBIE, 503, 503),
        (State.ERROR, 503, 503),
        (State.UNKNOWN, 503, 503),
    ],
)
async def test_readiness_of_a_target_is_its_state(
    client: Client, house: Any, state: State, status: int, strict: int
) -> None:
    house.watch("chat", state)
    assert (await client.get("/ready/chat")).status == status
    assert (await client.get("/ready/chat?strict")).status == strict
    assert (await client.get("/ready/chat?strict=true")).status == strict
    assert (await client.get("/ready/chat?strict=false")).status == status


async def test_readiness_says_why(client: Client, house: Any) -> None:
    house.watch("chat", State.ZOMBIE, reason=Reason.TIMEOUT, detail="<b>slow</b>")
    answer = await client.get("/ready/chat")
    assert await answer.text() == "zombie: no whole answer in time\n"
    told = await (await client.get("/ready/chat", headers={"Accept": "application/json"})).json()
    assert told == {
        "target": "chat", "ready": False, "state": "zombie", "reason": "timeout", "detail": "<b>slow</b>",
        "since": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("10.0.0.1:8000/v1/llama", "/ready/10.0.0.1%3A8000%2Fv1%2Fllama"),
        ("10.0.0.1:8000/v1/llama", "/ready/10.0.0.1:8000/v1/llama"),
        ("a b+c?d#e", "/ready/a%20b+c%3Fd%23e"),
        ("100%2F", "/ready/100%252F"),
        ("modèle", "/ready/mod%C3%A8le"),
        ("..", "/ready/%2E%2E"),
        ("a/../b", "/ready/a%2F..%2Fb"),
    ],
)
async def test_names_are_percent_decoded_once(dial: Any, house: Any, name: str, path: str) -> None:
    house.watch(name)
    house.watch("other")
    assert (await _status(dial, path)) == 200


async def _status(dial: Callable[[], Any], path: str, method: str = "GET") -> int:
    wire = await dial()
    head = f"{method} {path} HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n"
    return int((await wire.ask(head.encode("latin-1"))).split()[1])


@pytest.mark.parametrize("path", ["/ready/nobody", "/ready/", "/ready", "/api/v1/targets/nobody", "/ready/%ff%fe"])
async def test_unknown_targets_are_not_found(dial: Any, house: Any, path: str) -> None:
    house.watch()
    assert (await _status(dial, path)) == 404


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "//metrics", "/metrics/", "/metrics/..;/config",
     "/metrics%00", "/static/", "/static/../server.py", "/static/%2e%2e/server.py", "/static/page.css/..",
     "/static//etc/passwd", "/.env", "/%2fmetrics"],
)  # fmt: skip
async def test_path_tricks_are_not_found(dial: Any, path: str) -> None:
    assert (await _status(dial, path)) == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "OPTIONS", "PATCH", "FOO", "POST", "PROPFIND"])
async def test_other_methods_are_told_what_is_allowed(dial: Any, method: str) -> None:
    wire = await dial()
    heard = await wire.ask(f"{method} /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n".encode())
    assert heard.startswith((b"HTTP/1.1 405 ", b"HTTP/1.0 405 "))
    assert b"\r\nAllow: GET" in heard
    assert b"Content-Security-Policy" in heard


async def test_connect_is_no_proxy(dial: Any) -> None:
    wire = await dial()
    heard = await wire.ask(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n")
    assert heard.split()[1] in (b"404", b"405", b"400")


async def test_an_error_of_ours_shows_no_traceback(client: Client, house: Any, caplog: Any) -> None:
    house.ledger.targets = None
    answer = await client.get("/ready/chat")
    assert answer.status == 500
    text = await answer.text()
    assert "Traceback" not in text
    assert "NoneType" not in text
    assert house.ledger.own.internal_errors["web"] == 1
    assert "Traceback" in caplog.text


async def test_links_work_below_a_prefix(open_client: Any, house: Any) -> None:
    house.watch("a/b")
    client = await open_client(route_prefix="/watch/models/")
    moved = await client.get("/watch/models", allow_redirects=False)
    assert (moved.status, moved.headers["Location"]) == (308, "models/")
    page = await client.get("/watch/models/")
    assert page.status == 200
    assert 'href="/' not in await page.text()
    for path in ("metrics", "-/ready", "ready/a%2Fb", "api/v1/targets", "static/page.css", "static/icon.svg"):
        assert (await client.get(f"/watch/models/{path}")).status == 200
    assert (await client.get("/metrics")).status == 404
