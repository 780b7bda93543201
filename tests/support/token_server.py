"""A token endpoint for client credentials, as strict about its requests as RFC 6749 is."""

import asyncio
import base64
import binascii
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web


@dataclass
class TokenServer:
    """Gives `token-1`, `token-2` ... to one client; knows which of them are good. `forms` keeps what was asked for.

    `answer`, when set, is what it does in place of all that.
    """

    client_id: str = "client"
    client_secret: str = "secret"
    prefix: str = "token-"
    expires_in: Any = 3600
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    asked: int = 0
    good: set[str] = field(default_factory=set)
    port: int = 0
    secure: bool = False
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}/token"

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        application = web.Application()
        application.router.add_route("*", "/token", self._token)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]
        self.secure = context is not None

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        self.agents.append(request.headers.get("User-Agent", ""))
        if self.answer is not None:
            return await self.answer(request)
        if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
            return _error(400, "invalid_request", "a POST with a form is needed")
        pairs = parse_qsl((await request.read()).decode(), keep_blank_values=True, strict_parsing=True)
        form = dict(pairs)
        if len(form) != len(pairs):
            return _error(400, "invalid_request", "a parameter is there twice")
        try:
            client, method = _client(request, form)
        except (KeyError, ValueError, binascii.Error):
            return _error(400, "invalid_request", "the client is not named in exactly one way")
        if client != (self.client_id, self.client_secret):
            return _error(401, "invalid_client", "wrong id or secret")
        if form.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type", "client_credentials only")
        self.forms.append(form)
        self.methods.append(method)
        token = f"{self.prefix}{self.asked}"
        self.good.add(token)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in, **self.extra}
        return web.json_response(body, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def _client(request: web.Request, form: dict[str, str]) -> tuple[tuple[str, str], str]:
    """Id and secret, and how they were sent (RFC 6749, 2.3.1)."""
    header = request.headers.get("Authorization")
    if header is None:
        return (form["client_id"], form["client_secret"]), "post"
    scheme, _, value = header.partition(" ")
    if scheme != "Basic" or "client_secret" in form:
        raise ValueError(scheme)
    name, colon, secret = base64.b64decode(value, validate=True).decode("ascii").partition(":")
    if not colon:
        raise ValueError("no colon")
    return (unquote_plus(name), unquote_plus(secret)), "basic"


def _error(status: int, error: str, description: str) -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="tokens"'} if status == 401 else {}
    return web.json_response({"error": error, "error_description": description}, status=status, headers=headers)


class Threaded:
    """A token server on a loop and thread of its own, for tests that do not run on a loop."""

    def __init__(self, server: TokenServer) -> None:
        self.server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
