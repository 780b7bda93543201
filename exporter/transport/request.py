"""What goes out: the head of a request, and everything of it that an endpoint's settings decide once."""

from collections.abc import Sequence
from random import getrandbits
from urllib.parse import quote

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import auth, secrets
from exporter.transport.resolve import is_literal

#: Framing is ours alone: a second opinion on it is how requests are smuggled.
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"})
#: Header names whose values are no secrets.
_PUBLIC = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-type", "host", "user-agent"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_MAX_BEGUN = 16


def _line(method: str, path: str) -> str:
    if not path.isascii() or not path.isprintable() or " " in path:
        path = quote(path, safe="/?#[]@!$&'()*+,;=:%-._~")
    return f"{method} {path} HTTP/1.1\r\n"


class Outgoing:
    """Requests to one endpoint. Header values of the endpoint are read at each request, and remembered to be hidden."""

    __slots__ = ("addresses", "endpoint", "origin", "_begun", "_bare", "_defaults")

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        self.endpoint = endpoint
        #: What redirects must not leave; a socket file is spoken to as http://localhost.
        self.origin = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}"
        #: Where to connect without a look-up; empty when the host is a name.
        self.addresses = endpoint.addresses
        if not self.addresses and (endpoint.scheme == "unix" or is_literal(endpoint.host)):
            self.addresses = (endpoint.host,)
        self._defaults = {
            "host": ("Host", endpoint.authority),
            "user-agent": ("User-Agent", user_agent),
            "accept-encoding": ("Accept-Encoding", "identity"),
        }
        self._bare = not endpoint.headers and endpoint.auth is None
        # (method, path) -> request line and own headers up to the trace id, for requests that add nothing to them.
        self._begun: dict[tuple[str, str], str] = {}

    def head(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
        trace_id: str,
        hidden: set[str],
    ) -> bytes:
        """The request up to its body. Credentials it holds are added to `hidden`.

        The operator's headers replace our own of the same name, the probe's replace the endpoint's, and the
        credential replaces all. Raises `Failure(auth)` when a secret cannot be read.
        """
        if self._bare and not headers:
            begun = self._begun.get((method, path)) or self._begin(method, path)
        else:
            begun = f"{_line(method, path)}{self._custom(headers, hidden)}traceparent: 00-"
        if body is not None:
            end = f"Content-Length: {len(body)}\r\n\r\n"
        elif method in _WITH_BODY:
            end = "Content-Length: 0\r\n\r\n"
        else:
            end = "\r\n"
        return f"{begun}{trace_id}-{getrandbits(64) or 1:016x}-01\r\n{end}".encode()

    def _begin(self, method: str, path: str) -> str:
        own = "".join(f"{name}: {value}\r\n" for name, value in self._defaults.values())
        begun = f"{_line(method, path)}{own}traceparent: 00-"
        if len(self._begun) < _MAX_BEGUN:  # paths may be made up per request
            self._begun[method, path] = begun
        return begun

    def _custom(self, headers: Sequence[tuple[str, str]], hidden: set[str]) -> str:
        endpoint = self.endpoint
        chosen = dict(self._defaults)
        for name, secret in endpoint.headers:
            self._add(chosen, name, secrets.read(secret), hidden)
        for name, value in headers:
            self._add(chosen, name, value, hidden)
        if endpoint.auth is not None:
            name, value = auth.header_of(endpoint.auth)
            hidden.update(auth.values_of(endpoint.auth))
            chosen[name.lower()] = (name, value)
        text = "".join(f"{name}: {value}\r\n" for name, value in chosen.values())
        if text.count("\n") != len(chosen) or text.count("\r") != len(chosen) or "\0" in text:
            raise Failure(Reason.AUTH, "a header value holds a control character")
        return text

    @staticmethod
    def _add(chosen: dict[str, tuple[str, str]], name: str, value: str, hidden: set[str]) -> None:
        key = name.lower()
        if key in _FRAMING:
            return
        chosen[key] = (name, value)
        if key not in _PUBLIC:
            hidden.add(value)
