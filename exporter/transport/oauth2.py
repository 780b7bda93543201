"""Tokens of the OAuth 2.0 client credentials grant (RFC 6749, 4.4; bearer tokens as in RFC 6750).

authlib, of the extra `[oauth2]`, forms the request and reads the answer; `calls` sends it.
"""

import json
from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from exporter.model.endpoint import OAuth2
from exporter.model.extras import needs
from exporter.model.failure import Failure, Reason
from exporter.transport import auth, secrets
from exporter.transport.calls import Called, Calls
from exporter.transport.credentials import Credential
from exporter.transport.lease import Lease, Term
from exporter.transport.thread import in_thread

#: Seconds a token request may take, and bytes its answer may have.
TIMEOUT = 10.0
MAX_ANSWER = 65_536
#: Seconds a token is used whose answer does not say how long it is good.
UNTOLD = 300.0
#: A token is renewed this long before it ends, and not used any more this long before: seconds, and shares of its life.
_RENEW = (300.0, 0.2)
_LEEWAY = (5.0, 0.1)
_MAX_LEASES = 4096
_MAX_LIFE = 30 * 86_400.0
_HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


class _Own(NamedTuple):
    """Our own credentials as they are now; a rotated one makes a lease of its own."""

    client_id: str
    client_secret: str
    params: tuple[tuple[str, str], ...]


class Tokens:
    """A lease per setting."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._leases: dict[OAuth2, tuple[_Own, Lease[str]]] = {}

    async def obtain(self, settings: OAuth2) -> Credential:
        """The token as a header. Raises `Failure(auth)`."""
        own = _Own(
            secrets.read(settings.client_id),
            secrets.read(settings.client_secret),
            tuple((name, secrets.read(value)) for name, value in settings.params),
        )
        known = self._leases.get(settings)
        if known is None or known[0] != own:
            if len(self._leases) >= _MAX_LEASES:
                self._leases.clear()
            known = self._leases[settings] = (own, Lease(lambda: self._fetch(settings, own)))
        token, fresh = await known[1].get()
        return Credential((("Authorization", f"Bearer {token}"),), (token,), fresh=fresh)

    def refused(self, settings: OAuth2, credential: Credential) -> bool:
        """A target refused a token: whether it is worth asking for another one."""
        known = self._leases.get(settings)
        return known is None or known[1].refuse(credential.values[0])

    def close(self) -> None:
        """Give up what is being asked for."""
        for _, lease in self._leases.values():
            lease.close()

    async def _fetch(self, settings: OAuth2, own: _Own) -> Term[str]:
        where = f"token endpoint {settings.shown}"
        hidden = [own.client_secret, quote_plus(own.client_secret), *(value for _, value in own.params)]
        try:
            headers, body = await in_thread(lambda: _request(settings, own), "oauth2")
            hidden.append(headers.get("Authorization", "").removeprefix("Basic "))
            asked = perf_counter()
            answer = await self._calls.call(
                "POST", settings.token_url, headers=headers, body=body, timeout=TIMEOUT, max_body=MAX_ANSWER,
                tls=settings.tls, proxy=settings.proxy,
            )  # fmt: skip
            return _term(answer, asked)
        except ImportError:
            raise Failure(Reason.AUTH, f"oauth2 {needs('oauth2')}") from None
        except OSError as error:
            raise Failure(Reason.AUTH, f"{where}: {error.strerror}") from None
        except Failure as failure:
            detail = auth.redact(f"{where}: {failure.detail}", hidden)
            raise Failure(Reason.AUTH, detail, retry_after=failure.retry_after) from None


def _request(settings: OAuth2, own: _Own) -> tuple[dict[str, str], bytes]:
    """Headers and form of the token request. Imports authlib, which takes a while."""
    from authlib.common.urls import add_params_to_qs
    from authlib.oauth2.client import ClientAuth
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    form = prepare_token_request(
        "client_credentials", scope=settings.scopes, audience=settings.audience, resource=settings.resource
    )
    form = add_params_to_qs(form, own.params)
    if settings.auth_method == "basic":
        # RFC 6749, 2.3.1: both are form-encoded before they are joined.
        client = ClientAuth(quote_plus(own.client_id), quote_plus(own.client_secret), "client_secret_basic")
    else:
        client = ClientAuth(own.client_id, own.client_secret, "client_secret_post")
    _, headers, form = client.prepare("POST", settings.token_url, dict(_HEADERS), form)
    return headers, form.encode()


def _term(answer: Called, asked: float) -> Term[str]:
    """The token of an answer, its life counted from the moment it was asked for. Raises `Failure`."""
    token = _read(answer)
    value = token.get("access_token")
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise Failure(Reason.AUTH, "its answer has no access_token that can be sent")
    kind = token.get("token_type", "Bearer")  # required, and left out by some
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Failure(Reason.AUTH, "its answer has a token_type other than Bearer")
    life: float = token["expires_in"]
    return Term(value, asked + life - _before(life, *_RENEW), asked + life - _before(life, *_LEEWAY))


def _read(answer: Called) -> Mapping[str, Any]:
    """The JSON object of an answer. Raises `Failure` that quotes the error it names."""
    from authlib.oauth2.base import OAuth2Error
    from authlib.oauth2.client import OAuth2Client

    retry_after = answer.headers.get("retry-after", "")
    waits = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6 else None
    try:
        token: Mapping[str, Any] = OAuth2Client(session=None).parse_response_token(_Response(answer))
    except OAuth2Error as error:
        said = f"{error.error}: {error.description}" if error.description else str(error.error)
        raise Failure(Reason.AUTH, f"{answer.status} {_clean(said)}", retry_after=waits) from None
    except (ValueError, TypeError, RecursionError):
        what = "answered without the JSON object of a token" if answer.status == 200 else "refused"
        raise Failure(Reason.AUTH, f"{what} ({answer.status})", retry_after=waits) from None
    if answer.status != 200:
        raise Failure(Reason.AUTH, f"refused ({answer.status})", retry_after=waits)
    return token


class _Response:
    """An answer in the shape that authlib reads."""

    def __init__(self, answer: Called) -> None:
        self.status_code = answer.status
        self._body = answer.body

    def json(self) -> Any:
        token = json.loads(self._body)
        if isinstance(token, dict):
            token["expires_in"] = _seconds(token.get("expires_in"))  # authlib takes what it can count with, and no more
        return token

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise ValueError(self.status_code)


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:200])


def _seconds(expires_in: Any) -> float:
    """How long a token is good. Some servers write the number as text, and it is optional."""
    try:
        life = UNTOLD if expires_in is None or isinstance(expires_in, bool) else float(expires_in)
    except (TypeError, ValueError):
        life = UNTOLD
    return max(0.0, min(life, _MAX_LIFE)) if life == life else UNTOLD


def _before(life: float, seconds: float, share: float) -> float:
    return min(seconds, life * share)
