"""A server that is asked for a log, or about a job: answers that come bit by bit, and whole ones as JSON."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.protocols.text import quote
from exporter.transport import Transport, auth, secrets
from exporter.transport.calls import Flow

#: Seconds for an answer, and the bytes it may have.
PATIENCE, LIMIT = 10.0, 4_000_000


def stream(
    service: Service, transport: Transport, url: str, headers: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[Flow]:
    """An answer that comes bit by bit. Raises `Failure`, also (auth) when a secret cannot be read."""
    sent = {**(headers or {}), **auth.headers_of(service)}
    return transport.calls.stream(url, headers=sent, timeout=PATIENCE, tls=service.tls, proxy=service.proxy)


async def ask(service: Service, transport: Transport, url: str, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON object of a whole answer. Raises `Failure`, with `http_status` where it was answered otherwise."""
    sent = {**(headers or {}), **auth.headers_of(service)}
    called = await transport.calls.call(
        "GET", url, headers=sent, timeout=PATIENCE, max_body=LIMIT, tls=service.tls, proxy=service.proxy
    )
    try:
        answer = json.loads(called.body)
    except (ValueError, RecursionError):
        answer = None
    if called.status != 200:
        said = answer.get("message") if isinstance(answer, dict) else None
        text = _without_secrets(service, _refusal(called.status, said))
        raise Failure(Reason.HTTP_STATUS, text, http_status=called.status)
    if not isinstance(answer, dict):
        raise Failure(Reason.MALFORMED, "the answer is no JSON object")
    return answer


def _without_secrets(service: Service, text: str) -> str:
    """What a server says may hold what it was sent."""
    values = [secrets.read(value) for _, value in service.headers]
    return auth.redact(text, [*values, *(auth.values_of(service.auth) if service.auth is not None else ())])


def _refusal(status: int, said: Any) -> str:
    text = quote(str(said or ""))
    return f"the server answers {status}" + (f": {text}" if text else "")
