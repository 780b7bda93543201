"""At the door: how often may be asked, and by whom. Before anything else, the request's body included."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web

from exporter.model.access import Rate, Rules
from exporter.web import tls
from exporter.web.headers import harden
from exporter.web.passwords import Crowded, Passwords, matcher

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
#: Asked by kubelet, which has no password: they tell nothing but whether we are well, and a limit of requests would
#: have a pod restarted for somebody else's flood.
OPEN = ("/-/healthy", "/-/ready")


class Bucket:
    """`rate.burst` requests at once, and one more each `rate.interval` seconds."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._full_at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may pass. `now` is monotonic."""
        full_at = max(self._full_at, now) + self.rate.interval
        if full_at - now > self.rate.interval * self.rate.burst + 1e-9:
            return False
        self._full_at = full_at
        return True


class Access:
    """The web config in force, asked for each connection and each request."""

    def __init__(self, route_prefix: str = "") -> None:
        self._open = tuple(f"{route_prefix}{path}" for path in OPEN)
        self._bucket: Bucket | None = None
        self._passwords = Passwords()
        self.context: ssl.SSLContext | None = None
        self.sans: tuple[str, ...] = ()
        self.headers: Mapping[str, str] = {}

    def take(self, rules: Rules) -> None:
        """Put rules into force, all of them or none. Raises OSError, ValueError and ImportError."""
        context = tls.context(rules.tls) if rules.tls is not None else None
        if rules.users:
            matcher()
        self.context = context
        self.sans = rules.tls.client_allowed_sans if rules.tls is not None else ()
        self.headers = rules.headers
        self._passwords.users = rules.users
        if self._bucket is None or self._bucket.rate != rules.rate:
            self._bucket = Bucket(rules.rate) if rules.rate is not None else None

    def guard(self, answer: Answer) -> Answer:
        """`answer`, for those who may ask."""

        async def guarded(request: web.BaseRequest) -> web.StreamResponse:
            refused = await self._refusal(request)
            return refused if refused is not None else await answer(request)

        return guarded

    def close(self) -> None:
        """Look at no more passwords."""
        self._passwords.close()

    async def _refusal(self, request: web.BaseRequest) -> web.Response | None:
        if request.path in self._open:
            return None
        if self._bucket is not None and not self._bucket.take(time.monotonic()):
            return self._refuse(429, "too many requests\n", {hdrs.RETRY_AFTER: "1"})
        if not self._passwords.users:
            return None
        try:
            if await self._passwords.admit(request.headers.get(hdrs.AUTHORIZATION)):
                return None
        except Crowded:
            return self._refuse(503, "too many passwords to look at\n", {hdrs.RETRY_AFTER: "5"})
        return self._refuse(401, "unauthorized\n", {hdrs.WWW_AUTHENTICATE: 'Basic realm="model-exporter"'})

    def _refuse(self, status: int, text: str, headers: Mapping[str, str]) -> web.Response:
        response = web.Response(status=status, text=text, headers=headers)
        harden(response, self.headers)
        if status != 429:
            response.force_close()  # a body that was sent along is not read
        return response
