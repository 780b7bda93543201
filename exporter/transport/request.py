"""What goes out: the head of a request, and everything of it that an endpoint's settings decide once."""

from collections.abc import Sequence
from os import urandom
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


class Outgoing:
    """Requests to one endpoint. Header values of the endpoint are read at each request, and remembered to be hidden."""

    __slots__ = ("addresses", "origin", "_defaults", "_endpoint", "_plain")

    def made_for(self, endpoint: Endpoint) -> bool:
        """Whether this is the very endpoint it was made from."""
        return self._endpoint is endpoint

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        self._endpoint = endpoint
        #: What redirects must not leave; a socket file is spoken to as http://localhost.
        self.origin = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}"
        #: Where to connect without a look-up; empty when the host is a name.
        self.addresses = (endpoint.host,) if endpoint.scheme == "unix" or is_literal(endpoint.host) else ()
        self._defaults = {
            "host": ("Host", endpoint.authority),
            "user-agent": ("User-Agent", user_agent),
            "accept-encoding": ("Accept-Encoding", "identity"),
        }
        self._plain = "".join(f"{name}: {value}\r\n" for name, value in self._defaults.values()).encode()

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
        endpoint = self._endpoint
        if not path.isascii() or not path.isprintable() or " " in path:
            path = quote(path, safe="/?#[]@!$&'()*+,;=:%-._~")
        lines = [f"{method} {path} HTTP/1.1\r\n".encode()]
        if not headers and not endpoint.headers and endpoint.auth is None:
            lines.append(self._plain)
        else:
            lines.append(self._custom(headers, hidden))
        lines.append(f"traceparent: 00-{trace_id}-{urandom(8).hex()}-01\r\n".encode())
        if body is not None:
            lines.append(b"Content-Length: %d\r\n\r\n" % len(body))
        elif method in ("POST", "PUT", "PATCH"):
            lines.append(b"Content-Length: 0\r\n\r\n")
        else:
            lines.append(b"\r\n")
        return b"".join(lines)

    def _custom(self, headers: Sequence[tuple[str, str]], hidden: set[str]) -> bytes:
        endpoint = self._endpoint
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
        return text.encode()

    @staticmethod
    def _add(chosen: dict[str, tuple[str, str]], name: str, value: str, hidden: set[str]) -> None:
        key = name.lower()
        if key in _FRAMING:
            return
        chosen[key] = (name, value)
        if key not in _PUBLIC:
            hidden.add(value)
