"""The one client for every call that is no measurement: bounded in time and size, and it keeps nothing between calls.

What is measured goes through `http`; this is aiohttp's client with its generous defaults taken away: no redirects
unless told, no cookies, no proxy from the environment, no decompression, no address kept, names looked up by our
resolver.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from exporter.contracts import Headers
from exporter.model.endpoint import Proxy, Tls
from exporter.model.failure import Failure, Reason
from exporter.transport import auth
from exporter.transport.dial import os_detail
from exporter.transport.faults import Stage, failure_of
from exporter.transport.proxy import refusal
from exporter.transport.resolve import Resolver
from exporter.transport.tls import Contexts

MAX_REDIRECTS = 5
_PLAIN = Tls()
#: A connection that says nothing is asked after this many seconds whether it is still there, and then that often.
_STILL_THERE, _AGAIN = 60, 15


class Called(NamedTuple):
    """The answer to a call; any status is one."""

    status: int
    headers: Headers
    body: bytes


class Calls:
    """One per transport; opened by the first call."""

    def __init__(self, *, user_agent: str, resolver: Resolver, contexts: Contexts) -> None:
        self._user_agent = user_agent
        self._resolver = resolver
        self._contexts = contexts
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10.0,
        max_body: int = 1_000_000,
        tls: Tls = _PLAIN,
        proxy: Proxy | None = None,
        follow_redirects: bool = False,
    ) -> Called:
        """Send a request and read the whole answer within `timeout` seconds and `max_body` bytes.

        `url` is absolute and percent-encoded. Raises `Failure`, whose detail holds nothing of url, headers or body.
        """
        address = URL(url, encoded=True)
        options = self._options(address, headers, tls, proxy)
        try:
            async with self._open().request(
                method, address, data=body, allow_redirects=follow_redirects, max_redirects=MAX_REDIRECTS,
                timeout=aiohttp.ClientTimeout(total=timeout), **options,
            ) as answer:  # fmt: skip
                if answer.status == 407 and proxy is not None:
                    raise refusal(proxy, answer.status)
                return Called(answer.status, Headers(tuple(answer.headers.items())), await _body(answer, max_body))
        except TimeoutError:
            raise Failure(Reason.TIMEOUT, f"no whole answer within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure_of(error, proxy) from None

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        patience: float = 300.0,
        tls: Tls = _PLAIN,
        proxy: Proxy | None = None,
    ) -> "AsyncIterator[Flow]":
        """GET, and hand the answer over once its head is there; its body may take for ever. Leaving the block ends the
        connection. `url` and what is raised are those of `call`.

        `timeout` is for the connection, `patience` for the head, both in seconds: many servers send it no sooner than
        the first of the body.
        """
        address = URL(url, encoded=True)
        options = self._options(address, headers, tls, proxy)
        try:
            async with asyncio.timeout(patience):
                answer = await self._open().request(
                    "GET", address, allow_redirects=False, timeout=aiohttp.ClientTimeout(connect=timeout), **options
                )
        except aiohttp.ConnectionTimeoutError:
            raise Failure(Reason.CONNECT_TIMEOUT, f"no connection within {timeout:g} s") from None
        except TimeoutError:
            raise Failure(Reason.TIMEOUT, f"no answer within {patience:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure_of(error, proxy) from None
        try:
            if answer.status == 407 and proxy is not None:
                raise refusal(proxy, answer.status)
            _keep_alive(answer)
            yield Flow(answer)
        finally:
            answer.close()

    async def close(self) -> None:
        """Close the client. A further call opens it again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _options(
        self, address: URL, headers: Mapping[str, str] | None, tls: Tls, proxy: Proxy | None
    ) -> dict[str, Any]:
        """What aiohttp has to be told of a request: its headers, and the way to the server."""
        sent = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **(headers or {})}
        options: dict[str, Any] = {"headers": sent}
        if address.scheme == "https":
            options["ssl"] = self._contexts.get(tls, "http/1.1")
            options["server_hostname"] = tls.server_name
        if proxy is not None:
            options["proxy"] = URL.build(scheme="http", host=proxy.host, port=proxy.port)
            if (header := auth.proxy_header_of(proxy)) is not None:
                name, value = header
                if address.scheme == "https":
                    options["proxy_headers"] = {name: value}
                else:
                    sent[name] = value
        return options

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    # A new connection for each call: calls are rare, and certificates and addresses change.
                    force_close=True,
                    use_dns_cache=False,
                    limit=0,  # streams stay open for days: they must not use up what calls need
                    resolver=_Names(self._resolver),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class Flow:
    """An answer whose body is read as it comes; what is not read yet waits with the server."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = Headers(tuple(answer.headers.items()))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives, at most some 128 kB at a time, until its clean end. Raises `Failure`."""
        if self.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise Failure(Reason.ENCODING, "a Content-Encoding, which was not asked for")
        try:
            async for piece in self._answer.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure_of(error, None) from None


class _Names(AbstractResolver):
    """Our resolver, as aiohttp asks one."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._resolver.resolve(host, port)
        except Failure as failure:
            raise OSError(None, failure.detail) from None
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in found.addresses
        ]  # fmt: skip

    async def close(self) -> None:
        """The resolver is the transport's."""


def _keep_alive(answer: aiohttp.ClientResponse) -> None:
    """Have the system find out that the peer of a silent connection is gone: nothing else would."""
    connection = answer.connection
    sock = connection.transport.get_extra_info("socket") if connection and connection.transport else None
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _STILL_THERE), ("TCP_KEEPINTVL", _AGAIN), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not everywhere
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _body(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Failure(Reason.ENCODING, "a Content-Encoding, which was not asked for")
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > limit:
            raise Failure(Reason.TOO_LARGE, f"the answer is longer than {limit} bytes")
    return b"".join(parts)


def _failure_of(error: Exception, proxy: Proxy | None) -> Failure:
    """Why a call failed, in the words and reasons of a measurement. aiohttp's texts hold urls: they are not quoted."""
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return refusal(proxy, error.status)
    at = f"proxy {proxy.name}: " if isinstance(error, aiohttp.ClientProxyConnectionError) and proxy is not None else ""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(Reason.DNS, f"{at}{error.os_error.strerror or 'look-up failed'}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return failure_of(error.certificate_error, Stage.HANDSHAKE) or Failure(Reason.TLS)
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error, aiohttp.ClientSSLError):
            return failure_of(error.os_error, Stage.HANDSHAKE) or Failure(Reason.TLS)
        cause = failure_of(error.os_error, Stage.CONNECT) or Failure(Reason.CONNECT)
        return Failure(cause.reason, f"{at}{os_detail(error.os_error)}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Failure(Reason.DISCONNECTED, "closed before an answer")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure(Reason.TRUNCATED, "the answer was cut short")
    if isinstance(error, aiohttp.TooManyRedirects | aiohttp.RedirectClientError):
        return Failure(Reason.REDIRECT, "redirects that cannot be followed")
    if isinstance(error, OSError):
        return failure_of(error, Stage.EXCHANGE) or Failure(Reason.RESET)
    return Failure(Reason.PROTOCOL, "not valid HTTP")
