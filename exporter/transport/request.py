"""What goes out: the head of a request, and everything of it that an endpoint's settings decide once."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from random import getrandbits
from urllib.parse import quote, urlsplit

from exporter.model.endpoint import Endpoint, Obtained, Standing
from exporter.model.failure import Failure, Reason
from exporter.transport import auth, secrets
from exporter.transport.credentials import Asked, Credential
from exporter.transport.proxy import authority_of
from exporter.transport.resolve import is_literal

#: Framing is ours alone: a second opinion on it is how requests are smuggled.
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"})
#: Header names whose values are no secrets.
_PUBLIC = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-type", "host", "user-agent"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

#: What stands in the way may write it anew, so a signature must not cover it.
_UNSIGNED = frozenset({"accept-encoding", "user-agent"})

#: Headers by lower-case name: the name as it is written, and the value.
Fields = dict[str, tuple[str, str]]


def _escaped(path: str) -> str:
    if not path.isascii() or not path.isprintable() or " " in path:
        return quote(path, safe="/?#[]@!$&'()*+,;=:%-._~")
    return path


@lru_cache(maxsize=1024)
def _line(method: str, path: str) -> str:
    """What a request to the server itself begins with, up to the host. Targets are much alike, so they share these."""
    return f"{method} {_escaped(path)} HTTP/1.1\r\nHost: "


@lru_cache(maxsize=16)
def _bare(user_agent: str) -> str:
    return f"\r\nUser-Agent: {user_agent}\r\nAccept-Encoding: identity\r\ntraceparent: 00-"


class Outgoing:
    """Requests to one endpoint. Header values of the endpoint are read at each request, and remembered to be hidden."""

    __slots__ = (
        "addresses", "deferred", "direct", "endpoint", "made_for", "origin", "port", "private", "relayed", "_bare",
        "_host", "_user_agent", "_whole",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        self.endpoint = endpoint
        #: Whose settings it was made from: the endpoint itself, or the one it stands beside.
        self.made_for = endpoint
        #: What redirects must not leave; a socket file is spoken to as http://localhost.
        self.origin = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}"
        #: Where to connect without a look-up, a proxy where there is one; empty when the host is a name.
        self.addresses = endpoint.addresses
        if endpoint.proxy is not None:
            self.addresses = (endpoint.proxy.host,) if is_literal(endpoint.proxy.host) else ()
        elif not self.addresses and (endpoint.scheme == "unix" or is_literal(endpoint.host)):
            self.addresses = (endpoint.host,)
        self.port = endpoint.connect_port
        #: Whether there is nothing on the way: no look-up, no choice of addresses, no proxy, no TLS.
        self.direct = len(self.addresses) == 1 and endpoint.proxy is None and not endpoint.secure
        #: The credential, where it has to be obtained for each request.
        self.deferred = endpoint.auth if isinstance(endpoint.auth, Obtained) else None
        #: Whether a proxy passes requests on; it is then told the whole url, else it gives us a tunnel.
        self.relayed = endpoint.proxy is not None and endpoint.scheme == "http"
        #: Values of the url's query: any of them may be a key.
        self.private = auth.secrets_of(endpoint.query)
        self._whole = ""
        if self.relayed:
            self._whole = f"http://{authority_of(endpoint)}" if endpoint.addresses else self.origin
        self._host = endpoint.authority
        self._user_agent = user_agent
        adds = endpoint.headers or endpoint.auth or self._whole or (endpoint.proxy and endpoint.proxy.auth)
        #: Of requests that have our own headers alone, what follows the host up to the trace id; empty where the
        #: endpoint adds to them, a proxy is told the whole url, or the host has to be refused.
        self._bare = _bare(user_agent) if not adds and self._host.isprintable() else ""

    def head(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
        trace_id: str,
        hidden: set[str],
        credential: Credential | None = None,
    ) -> bytes:
        """The request up to its body. Credentials it holds are added to `hidden`.

        `credential` is the one that was obtained, where the endpoint's has to be. Raises `Failure(auth)` when a secret
        cannot be read.
        """
        if self._bare and not headers:
            begun = f"{_line(method, path)}{self._host}{self._bare}"
        else:
            fields = self.fields(headers, hidden, credential)
            if self._whole and (let := auth.proxy_header_of(self.endpoint.proxy)) is not None:
                fields[let[0].lower()] = let
            begun = f"{method} {self._whole}{_escaped(path)} HTTP/1.1\r\n{_lines(fields)}traceparent: 00-"
        if body is not None:
            end = f"Content-Length: {len(body)}\r\n\r\n"
        elif method in _WITH_BODY:
            end = "Content-Length: 0\r\n\r\n"
        else:
            end = "\r\n"
        return f"{begun}{trace_id}-{(getrandbits(64) or 1).to_bytes(8).hex()}-01\r\n{end}".encode()

    def beside(self, where: str | int) -> "Outgoing":
        """Requests to another port of the same server: its TLS and limits, none of its credentials."""
        host, port, secure = self._place(where)
        endpoint = replace(
            self.endpoint,
            scheme="https" if secure else "http",
            host=host,
            port=port,
            path="",
            query="",
            auth=None,
            headers=(),
            # One replica of many is asked at its own address there too.
            addresses=self.endpoint.addresses if host == self.endpoint.host else (),
            address_port=0,
        )
        outgoing = Outgoing(endpoint, self._user_agent)
        outgoing.made_for = self.endpoint
        return outgoing

    def _place(self, where: str | int) -> tuple[str, int, bool]:
        """Host, port and whether it is TLS."""
        if isinstance(where, int):
            if self.endpoint.scheme == "unix":
                raise Failure(Reason.CONNECT, f"port {where}: a socket file has no other ports")
            return self.endpoint.host, where, self.endpoint.secure
        parts = urlsplit(where)
        secure = parts.scheme == "https"
        return parts.hostname or "", parts.port or (443 if secure else 80), secure

    def fields(
        self, headers: Sequence[tuple[str, str]], hidden: set[str], credential: Credential | None = None
    ) -> Fields:
        """Every header of a request to the endpoint but those of framing and tracing; credentials go to `hidden`, too.

        The operator's headers replace our own of the same name, the probe's replace the endpoint's, and the
        credential replaces all. Raises `Failure(auth)` when a secret cannot be read.
        """
        endpoint = self.endpoint
        chosen = self._defaults()
        for name, secret in endpoint.headers:
            self._add(chosen, name, secrets.read(secret), hidden)
        for name, value in headers:
            self._add(chosen, name, value, hidden)
        if credential is not None:
            chosen.update({name.lower(): (name, value) for name, value in credential.headers})
            hidden.update(credential.values)
        elif isinstance(endpoint.auth, Standing):
            name, value = auth.header_of(endpoint.auth)
            hidden.update(auth.values_of(endpoint.auth))
            chosen[name.lower()] = (name, value)
        if endpoint.proxy is not None and endpoint.proxy.auth is not None:
            hidden.update(auth.values_of(endpoint.proxy.auth))
        return chosen

    def asked(
        self, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes | None, hidden: set[str]
    ) -> Asked:
        """A request as the one who makes its credential has to know it."""
        fields = self.fields(headers, hidden)
        covered = [pair for name, pair in fields.items() if name not in _UNSIGNED]
        return Asked(method, self.origin + _escaped(path), covered, body)

    def _defaults(self) -> Fields:
        return {
            "host": ("Host", self._host),
            "user-agent": ("User-Agent", self._user_agent),
            "accept-encoding": ("Accept-Encoding", "identity"),
        }

    @staticmethod
    def _add(chosen: Fields, name: str, value: str, hidden: set[str]) -> None:
        key = name.lower()
        if key in _FRAMING:
            return
        chosen[key] = (name, value)
        if key not in _PUBLIC:
            hidden.add(value)
            if key == "authorization":  # a server may repeat the credential without its scheme
                hidden.add(value.rpartition(" ")[2])


def _lines(fields: Fields) -> str:
    text = "".join(f"{name}: {value}\r\n" for name, value in fields.values())
    if text.count("\n") != len(fields) or text.count("\r") != len(fields) or "\0" in text:
        raise Failure(Reason.AUTH, "a header value holds a control character")
    return text
