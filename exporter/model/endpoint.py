"""How to reach a target: address, credentials, TLS and the limits of one exchange."""

from dataclasses import dataclass, field
from typing import Literal

from exporter.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings of a connection. Paths are re-read when the files change."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer <token>`."""

    token: Secret


@dataclass(frozen=True, slots=True)
class Basic:
    """HTTP basic authentication."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class HeaderAuth:
    """A credential in a header of its own, such as `X-API-Key`."""

    name: str
    value: Secret


Auth = Bearer | Basic | HeaderAuth


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and everything the transport needs to talk to it.

    `host` is a name or an IP literal without brackets; `port` is always set (the scheme's default when the URL has
    none); `path` is the URL's own path without a trailing slash, `""` when it has none; `query` is without `?`.
    For `unix` the socket's path is `host`, and `port` is 0. `addresses`, when there are any, are connected to, in this
    order, in place of looking `host` up; the Host header and the name in TLS stay `host`'s.
    """

    scheme: Literal["http", "https", "grpc", "grpcs", "tcp", "unix"]
    host: str
    port: int
    path: str = ""
    query: str = ""
    auth: Auth | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = field(default_factory=Tls)
    keep_alive: bool = False
    follow_redirects: bool = False
    max_body: int = 10_000_000
    addresses: tuple[str, ...] = ()

    @property
    def secure(self) -> bool:
        """Whether the connection is TLS."""
        return self.scheme in ("https", "grpcs")

    @property
    def authority(self) -> str:
        """`host` or `host:port` as the Host header has it: the scheme's default port is left out."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}.get(self.scheme)
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for people. It never holds credentials, and the query, which may, is left out."""
        return f"unix://{self.host}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}{self.path}"

    @property
    def peer(self) -> tuple[str, int]:
        """What "per host" limits count by."""
        return (self.host, self.port)
