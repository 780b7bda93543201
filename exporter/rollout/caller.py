"""Calls that change a server, or look at it before: bounded, with credentials of their own, and told in its own words.

They are no measurement. What a target's probes send to identify themselves is never sent here: who may ask a model
may not be who may replace it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from exporter.model.endpoint import Auth, Endpoint, OAuth2, SigV4, Tls
from exporter.model.failure import Failure, Reason
from exporter.protocols import address, answer
from exporter.protocols.reading import handle, parse
from exporter.protocols.text import quote
from exporter.transport import Transport, secrets
from exporter.transport.alarm import Timers
from exporter.transport.auth import header_of, redact, values_of
from exporter.transport.calls import Called
from exporter.transport.credentials import Asked, Credentials

#: Seconds a question that changes nothing may take.
LOOK = 15.0
MAX_ANSWER = 10_000_000

#: Why a request was certainly not acted upon: it never got there.
_NEVER_SENT = frozenset(
    {
        Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT, Reason.TLS, Reason.TLS_EXPIRED,
        Reason.TLS_UNTRUSTED, Reason.TLS_HOSTNAME, Reason.AUTH,
    }
)  # fmt: skip


#: Statuses of those who stand between, or of who gave up waiting: what they speak for may go on.
_NOT_THE_SERVERS = frozenset({408, 499, 502, 504})


def certain(failure: Failure) -> bool:
    """Whether it is known how a call ended that failed this way: the server said no, or was never asked."""
    if failure.http_status is not None:
        return failure.http_status not in _NOT_THE_SERVERS
    return failure.reason in _NEVER_SENT


class Identity:
    """Makes the credential of each call. One per command."""

    def __init__(self, transport: Transport) -> None:
        self._timers = Timers()
        self._credentials = Credentials(lambda: transport.calls, self._timers)

    async def headers(self, auth: Auth | None, asked: Asked, timeout: float) -> tuple[dict[str, str], tuple[str, ...]]:
        """Headers to send, and every text that would give them away. Raises `Failure(auth)`."""
        if auth is None:
            return {}, ()
        if isinstance(auth, OAuth2 | SigV4):
            credential = await self._credentials.obtain(auth, asked, perf_counter() + timeout)
            return dict(credential.headers), (*credential.values, *credential.passing)
        name, value = header_of(auth)
        return {name: value}, tuple(values_of(auth))

    def close(self) -> None:
        """Give up what is being obtained."""
        self._credentials.close()
        self._timers.close()


@dataclass(frozen=True, slots=True)
class Caller:
    """One server, at one address; `auth` is what its calls carry, and `whose` says where that was written."""

    transport: Transport
    identity: Identity
    endpoint: Endpoint
    auth: Auth | None
    whose: str = "deploy.auth"

    @property
    def shown(self) -> str:
        """Where it is, for people and for records: no query, no credentials."""
        return self._url("")

    def beside(self, url: str) -> "Caller":
        """The same server by another of its ports."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        at = replace(self.endpoint, scheme="https" if secure else "http", host=parts.hostname or "", port=port, path="",
                     query="", addresses=(), address_port=0)  # fmt: skip
        return replace(self, endpoint=at)

    def named(self, method: str, route: str) -> str:
        """A call as people read it."""
        return f"{method} {self._url(route).partition('?')[0]}"

    async def ask(
        self,
        method: str,
        route: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        timeout: float = LOOK,
        media: str = "application/json",
    ) -> Called:
        """Send a request and take any status for an answer. Raises `Failure` where there is none."""
        url = self._url(route, self.endpoint.query)
        data = None if body is None else json.dumps(body).encode()
        given = {name: secrets.read(value) for name, value in self.endpoint.headers}
        headers = given | {"Accept": "application/json", **({"Content-Type": media} if data is not None else {})}
        if self.endpoint.addresses:
            headers["Host"] = self.endpoint.authority
        asked = Asked(method, url, tuple(headers.items()), data)
        own, values = await self.identity.headers(self.auth, asked, timeout)
        hidden = (*values, *given.values(), self.endpoint.query)
        try:
            called = await self.transport.calls.call(
                method, url, headers=headers | own, body=data, timeout=timeout, max_body=MAX_ANSWER,
                tls=self._tls(), proxy=self.endpoint.proxy,
            )  # fmt: skip
        except Failure as failure:
            why = f"{failure.reason} ({failure.detail})" if failure.detail else str(failure.reason)
            raise Failure(failure.reason, redact(f"{self.named(method, route)}: {why}", hidden)) from None
        if not any(hidden):
            return called
        return called._replace(body=redact(called.body.decode("utf-8", "replace"), hidden).encode())

    async def tell(
        self,
        method: str,
        route: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        timeout: float = LOOK,
        media: str = "application/json",
    ) -> Called:
        """As `ask`, of which only 2xx is an answer. Raises `Failure` with what the server said."""
        called = await self.ask(method, route, body, timeout=timeout, media=media)
        if (failure := self.refusal(called, method, route)) is not None:
            raise failure
        return called

    def refusal(self, called: Called, method: str, route: str) -> Failure | None:
        """The failure of an answer; None for 2xx, unless its body is an error, as Ollama's may be."""
        failure = answer.judge(called.status, called.headers, called.body)
        if failure is None:
            said = _error(called.body)
            if not said:
                return None
            detail = f"{self.named(method, route)}: an error with status {called.status}: {said}"
            return Failure(Reason.ERROR_EVENT, quote(detail, 600), http_status=called.status)
        hint = ""
        if failure.reason is Reason.AUTH:
            refused = "which was refused" if self.auth is not None else "and none is set"
            hint = f"; calls of a deployment carry {self.whose}, {refused}"
        detail = f"{self.named(method, route)}: {_plainly(called) or failure.detail}{hint}"
        return Failure(failure.reason, quote(detail, 600), http_status=called.status)

    async def value(self, called: Called) -> Any:
        """The JSON of an answer. Raises `Failure` (malformed)."""
        return await handle(called.body, parse)

    def _url(self, route: str, query: str = "") -> str:
        endpoint = self.endpoint
        path = address.join(endpoint.path, route, query) if route else endpoint.path
        if not endpoint.addresses:
            return f"{endpoint.scheme}://{endpoint.authority}{path}"
        at = replace(endpoint, host=endpoint.addresses[0], port=endpoint.connect_port)
        return f"{endpoint.scheme}://{at.authority}{path}"

    def _tls(self) -> Tls:
        tls = self.endpoint.tls
        if self.endpoint.addresses and tls.server_name is None:
            return replace(tls, server_name=self.endpoint.host)
        return tls


def _plainly(called: Called) -> str:
    """What an answer comes to that says it at length, "" for any other: MLServer answers with a whole traceback,
    Kubernetes with an object of the kind Status.
    """
    text = called.body.decode("utf-8", "replace").strip()
    if text.startswith("Traceback"):
        return f"HTTP {called.status}: {quote(text.splitlines()[-1])}"
    if '"Status"' in text:
        try:
            status = parse(text)
        except Failure:
            return ""
        if isinstance(status, dict) and status.get("kind") == "Status" and isinstance(status.get("message"), str):
            return f"HTTP {called.status}: {quote(status['message'])}"
    return ""


def _error(body: bytes) -> str:
    """What a JSON body says went wrong, "" where it says no such thing."""
    if b'"error"' not in body[: answer.LOOK]:
        return ""
    try:
        value = parse(body)
    except Failure:
        return ""
    return answer.message(body) if isinstance(value, dict) and answer.error_text(value) else ""
