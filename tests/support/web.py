"""A plain blocking HTTP client, and waiting for things to become true."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """An answer, and the seconds from the start of the connection to its last byte."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def fetch(
    url: str,
    *,
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10,
) -> Answer:
    """One request on a new connection. A body that is not text is sent as JSON. Raises OSError."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    headers = dict(headers or {})
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    started = time.perf_counter()
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return Answer(response.status, dict(response.headers), text, time.perf_counter() - started)
    except http.client.HTTPException as error:
        raise OSError(f"{url}: {error!r}") from error
    finally:
        connection.close()


def answers(url: str, status: int = 200) -> bool:
    """Whether a GET gets this status."""
    try:
        return fetch(url, timeout=2).status == status
    except OSError:
        return False


def until(
    what: str, ask: Callable[[], Any], *, within: float, every: float = 0.05, log: Callable[[], str] | None = None
) -> Any:
    """Ask until the answer is truthy and return it. Fails after `within` seconds, saying what was waited for."""
    deadline = time.perf_counter() + within
    while True:
        found = ask()
        if found:
            return found
        if time.perf_counter() > deadline:
            raise AssertionError(f"waited {within:g} s for {what}; last seen: {found!r}\n{log() if log else ''}")
        time.sleep(every)
