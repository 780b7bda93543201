"""Credentials that have to be obtained or made for a request: tokens (OAuth2) and signatures (AWS).

That happens before the request, so nothing of it is in what the probe measures; the attempt's deadline holds for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from exporter.model.endpoint import OAuth2, Obtained
from exporter.model.failure import Failure, Reason
from exporter.transport.alarm import Alarm, Timers

if TYPE_CHECKING:
    from exporter.transport.calls import Calls
    from exporter.transport.oauth2 import Tokens
    from exporter.transport.sigv4 import Signers


class Asked(NamedTuple):
    """A request as it will be sent: absolute url, headers (those that a signature has to cover), body."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes | None


class Credential(NamedTuple):
    """What a request has to carry, and every text that would give it away.

    `values` are good for further requests, `passing` for this one alone. `fresh`: obtained for this request, so a peer
    that refuses it does not do so because it is old.
    """

    headers: tuple[tuple[str, str], ...]
    values: tuple[str, ...]
    passing: tuple[str, ...] = ()
    fresh: bool = True


class Credentials:
    """What has been obtained so far. One per transport; each kind's libraries are imported when it is first used."""

    def __init__(self, calls: Callable[[], "Calls"], timers: Timers) -> None:
        self._calls = calls
        self._timers = timers
        self._tokens: Tokens | None = None
        self._signers: Signers | None = None

    async def obtain(self, auth: Obtained, asked: Asked, until: float) -> Credential:
        """The credential for a request, by the stamp `until`. Raises `Failure(auth)` that says who did not give it, and
        why: that the target is dead is not among the reasons.
        """
        if perf_counter() >= until:
            raise Failure(Reason.TIMEOUT, "no time was left to start")
        alarm = Alarm(self._timers, until)
        try:
            return await self._obtain(auth, asked)
        except asyncio.CancelledError:
            if not alarm.rang():
                raise
            if isinstance(auth, OAuth2):
                raise Failure(Reason.AUTH, f"token endpoint {auth.shown}: no token in time") from None
            raise Failure(Reason.AUTH, "AWS credentials: none in time") from None
        finally:
            alarm.off()

    async def _obtain(self, auth: Obtained, asked: Asked) -> Credential:
        if isinstance(auth, OAuth2):
            if self._tokens is None:
                from exporter.transport.oauth2 import Tokens

                self._tokens = Tokens(self._calls())
            return await self._tokens.obtain(auth)
        if self._signers is None:
            from exporter.transport.sigv4 import Signers

            self._signers = Signers()
        return await self._signers.sign(auth, asked)

    async def renew(
        self, auth: Obtained, refused: Credential, status: int, asked: Asked, until: float
    ) -> Credential | None:
        """Another credential to try after a target answered `status` to one; None when it was not refused, or when
        there is no other. Raises `Failure(auth)`.
        """
        if status not in (401, 403) or refused.fresh or not self._stale(auth, refused, status):
            return None
        try:
            renewed = await self.obtain(auth, asked, until)
        except Failure as failure:
            text = f"{status}, and there is no other credential to try: {failure.detail}"
            raise Failure(Reason.AUTH, text, http_status=status) from None
        return None if renewed.values == refused.values else renewed

    def _stale(self, auth: Obtained, refused: Credential, status: int) -> bool:
        """Whether what was refused may have been too old, and another one may be had."""
        if isinstance(auth, OAuth2):
            return status == 401 and self._tokens is not None and self._tokens.refused(auth, refused)
        return self._signers is not None and self._signers.refused(auth, refused)

    def close(self) -> None:
        """Give up what is being obtained."""
        for kind in (self._tokens, self._signers):
            if kind is not None:
                kind.close()
