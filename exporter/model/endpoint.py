"""How to reach a target: address, credentials, TLS, proxy and the limits of one exchange."""

from dataclasses import dataclass, field
from typing import Literal

from exporter.model.secret import Secret


def bracketed(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


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


#: Credentials that are what they are: read, and sent with every request.
Standing = Bearer | Basic | HeaderAuth


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, spoken to in plain text. `host` is a name or an IP literal without brackets."""

    host: str
    port: int
    auth: Bearer | Basic | None = None

    @property
    def name(self) -> str:
        """`host:port`, for people."""
        return f"{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """A server that is no target, and the way to it. `url` is absolute and percent-encoded; its query may be secret."""

    url: str = field(repr=False)
    auth: Standing | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = field(default_factory=Tls)
    proxy: Proxy | None = None

    @property
    def shown(self) -> str:
        """The url for people; the query, which may hold a secret, is left out."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class OAuth2:
    """A bearer token that a token endpoint gives for our own credentials (client credentials grant, RFC 6749, 4.4).

    `basic` sends id and secret in a header, `post` in the form. `params` are further fields of the form. `tls` and
    `proxy` are those of the token endpoint.
    """

    token_url: str
    client_id: Secret
    client_secret: Secret
    scopes: tuple[str, ...] = ()
    audience: str | None = None
    resource: str | None = None
    auth_method: Literal["basic", "post"] = "basic"
    params: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = field(default_factory=Tls)
    proxy: Proxy | None = None

    @property
    def shown(self) -> str:
        """The token endpoint for people; the query, which may hold a secret, is left out."""
        return self.token_url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class SigV4:
    """Requests signed for AWS (Signature Version 4).

    Without `access_key_id` and `secret_access_key` the keys come from the chain that all AWS tools share: environment,
    shared files (of `profile`), web identity, container or instance role.
    """

    region: str
    service: str = "sagemaker"
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    profile: str | None = None


#: Credentials that have to be obtained or made for a request.
Obtained = OAuth2 | SigV4
Auth = Standing | Obtained


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and everything the transport needs to talk to it.

    `host` is a name or an IP literal without brackets; `port` is always set (the scheme's default when the URL has
    none); `path` is the URL's own path without a trailing slash, `""` when it has none; `query` is without `?`.
    For `unix` the socket's path is `host`, and `port` is 0. `addresses`, when there are any, are connected to, in this
    order, in place of looking `host` up, on `address_port` where that is set; the Host header and the name in TLS stay
    those of `host` and `port`. A `proxy` is asked for the first of them, or for the name, which it looks up itself.
    With `kernel_stamps` what is read on plain connections to it has the kernel's stamps.
    """

    scheme: Literal["http", "https", "grpc", "grpcs", "tcp", "unix"]
    host: str
    port: int
    path: str = ""
    query: str = ""
    auth: Auth | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = field(default_factory=Tls)
    proxy: Proxy | None = None
    keep_alive: bool = False
    kernel_stamps: bool = False
    follow_redirects: bool = False
    max_body: int = 10_000_000
    addresses: tuple[str, ...] = ()
    address_port: int = 0

    @property
    def secure(self) -> bool:
        """Whether the connection is TLS: the scheme says so, or TLS settings do where it says nothing."""
        return self.scheme in ("https", "grpcs") or (self.scheme == "tcp" and self.tls != Tls())

    @property
    def authority(self) -> str:
        """`host` or `host:port` as the Host header has it: the scheme's default port is left out."""
        if self.scheme == "unix":
            return "localhost"
        host = bracketed(self.host.partition("%")[0])  # a zone is ours alone
        default = {"http": 80, "https": 443}.get(self.scheme)
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for people. It never holds credentials, and the query, which may, is left out."""
        return f"unix://{self.host}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}{self.path}"

    @property
    def connect_port(self) -> int:
        """The port that connections go to."""
        return self.address_port or self.port

    @property
    def peer(self) -> tuple[str, int]:
        """What "per host" limits count by."""
        return (self.host, self.port)
