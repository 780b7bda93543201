"""Ways in: credentials, TLS and proxy of a server, as a config has them, and the values they stand for.

What needs more than one of these blocks to judge is in check_access.py.
"""

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

from exporter.config.hosts import HostPattern
from exporter.model import endpoint
from exporter.settings import FilePath, HeaderName, Secret, Settings, problem
from exporter.url import Address, parse

#: The kinds of credentials a target may have, one of them.
STANDING_KINDS = ("bearer", "basic", "header")
AUTH_KINDS = (*STANDING_KINDS, "oauth2", "sigv4")
PROXY_AUTH_KINDS = ("bearer", "basic")
ONE_OF = "Credentials: exactly one of bearer, basic, header, oauth2, sigv4."
#: Fields of a token request that have a key of their own, or are none of an operator's business.
_OWN_FIELDS = {"audience", "client_id", "client_secret", "grant_type", "resource", "scope"}

# Values


def _username(value: Any) -> str:
    if not isinstance(value, str) or not value or ":" in value or any(char < " " or char == "\x7f" for char in value):
        raise problem("username", "found something else (not shown); allowed: text without colon or control character")
    return value


def _token_url(value: Any) -> str:
    if not isinstance(value, str) or not re.match("https?://", value, re.IGNORECASE):
        raise problem("url", "found something else (not shown); allowed: a url such as https://login.example/token")
    parse(value)
    return value


def _proxy_url(value: Any) -> Address:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str) or not re.match("http://", value, re.IGNORECASE):
        raise problem("url", "found something else (not shown); allowed: the url of a proxy, such as http://proxy:3128")
    if "@" in value:
        raise problem("url", "the url holds credentials (not shown); they belong in proxy: {url: ..., auth: ...}")
    address = parse(value)
    if address.path or address.query:
        raise problem("url", "the url has a path or a query, which a proxy has no use for; leave it out")
    if not re.search(r":[0-9]+/?$", value):
        raise problem("url", "the url names no port; allowed: such as http://proxy:3128")
    return address


def _params(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name in _OWN_FIELDS:
            own = "scopes" if name == "scope" else name
            told = "is always client_credentials" if name == "grant_type" else f"has a key of its own: {own}"
            raise problem("params", f"{name} {told}")
    return value


def _text(pattern: str, what: str) -> BeforeValidator:
    def validated(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise problem("text", f"found something else (not shown); allowed: {what}")
        return value

    return BeforeValidator(validated)


_SOME_TEXT = WithJsonSchema({"type": "string", "minLength": 1})
Username = Annotated[str, BeforeValidator(_username), _SOME_TEXT]
TokenUrl = Annotated[str, BeforeValidator(_token_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
ProxyUrl = Annotated[
    Address,
    BeforeValidator(_proxy_url),
    PlainSerializer(lambda address: address.shown),
    WithJsonSchema({"type": "string", "pattern": "^http://", "examples": ["http://proxy:3128"]}),
]
#: RFC 6749, 3.3.
Scope = Annotated[str, _text(r"[!#-\[\]-~]+", "a scope without spaces or quotes"), _SOME_TEXT]
Region = Annotated[str, _text(r"[a-z0-9-]{1,64}", "the name of a region, such as eu-central-1"), _SOME_TEXT]
Service = Annotated[str, _text(r"[a-z0-9-]{1,64}", "a service's name in signatures, such as sagemaker"), _SOME_TEXT]
Line = Annotated[str, _text(r"[^\x00-\x1f\x7f]{1,2048}", "text without control characters"), _SOME_TEXT]


class _OrText:
    """A block that may also be written as the one text it needs."""

    def __init__(self, key: str, schema: dict[str, Any]) -> None:
        self._key = key
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(self._block, handler(source))

    def _block(self, value: Any) -> Any:
        if isinstance(value, str):
            return {self._key: value}
        if isinstance(value, dict | Settings):
            return value
        raise problem("or_text", f"found {{found}}; allowed: text, or a mapping with the key {self._key}", found=value)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [self._schema, handler(core)]}


# Blocks


class Basic(Settings):
    """HTTP basic authentication."""

    username: Username = Field(description="The user; it holds no colon.")
    password: Secret = Field(description="The password.")


class HeaderCredential(Settings):
    """A credential in a header of its own, such as `X-API-Key`."""

    name: HeaderName = Field(description="The header.")
    value: Secret = Field(description="Its value.")


class Tls(Settings):
    """TLS of the connection. Files are read again when they change."""

    ca_file: FilePath | None = Field(None, description="Certificates to trust instead of the system's.")
    cert_file: FilePath | None = Field(None, description="Client certificate, PEM.")
    key_file: FilePath | None = Field(None, description="The client certificate's key, PEM, not encrypted.")
    server_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        None, description="Name to ask for and to check the certificate against. Default: the url's host."
    )
    min_version: Literal["TLS12", "TLS13"] | None = Field(
        None, description="Oldest TLS version to speak. Default: TLS12."
    )
    insecure_skip_verify: bool | None = Field(None, description="Accept any certificate. Default: false.")


class ProxyAuth(Settings):
    """Credentials for a proxy: exactly one kind."""

    bearer: Secret | None = Field(None, description="Sent as `Proxy-Authorization: Bearer ...`.")
    basic: Basic | None = Field(None, description="HTTP basic authentication.")


class Proxy(Settings):
    """An HTTP proxy. It sees http requests whole, and gives a tunnel (CONNECT) to https, gRPC and tcp targets."""

    url: ProxyUrl = Field(description="Where it is: http://host:port.")
    auth: ProxyAuth | None = Field(None, description="Credentials for the proxy: exactly one of bearer, basic.")


ProxyOrUrl = Annotated[
    Proxy, _OrText("url", {"type": "string", "pattern": "^http://", "examples": ["http://proxy:3128"]})
]


class OAuth2(Settings):
    """A token from a token endpoint, by client credentials (RFC 6749, 4.4); needs the extra `[oauth2]`.

    It is kept until shortly before it ends, and is sent as `Authorization: Bearer ...`.
    """

    token_url: TokenUrl = Field(description="The token endpoint.")
    client_id: Secret = Field(description="The client's id.")
    client_secret: Secret = Field(description="The client's secret.")
    scopes: list[Scope] = Field([], description="Scopes to ask for.")
    audience: Line | None = Field(None, description="Whom the token is for, where the server wants to know.")
    resource: Line | None = Field(None, description="The resource the token is for (RFC 8707).")
    auth_method: Literal["basic", "post"] = Field(
        "basic", description="How id and secret are sent: basic (in a header) or post (in the form)."
    )
    params: Annotated[dict[str, Secret], AfterValidator(_params)] = Field(
        {}, description="Further fields of the request; every value counts as a secret."
    )
    tls: Tls | None = Field(None, description="TLS of the connection to the token endpoint.")
    proxy: ProxyOrUrl | None = Field(None, description="Proxy on the way to the token endpoint. Default: none.")


class SigV4(Settings):
    """Requests signed for AWS (Signature Version 4); needs the extra `[aws]`.

    Without keys of its own it uses the chain of all AWS tools: environment, shared files, web identity, container,
    instance role.
    """

    region: Region = Field(description="The region of the endpoint.")
    service: Service = Field("sagemaker", description="The service's name in signatures.")
    access_key_id: Secret | None = Field(None, description="Access key; goes with secret_access_key.")
    secret_access_key: Secret | None = Field(None, description="Secret key; goes with access_key_id.")
    session_token: Secret | None = Field(None, description="Session token of temporary keys.")
    profile: Line | None = Field(None, description="Profile of the shared files. Default: as AWS tools choose it.")


class StandingAuth(Settings):
    """Credentials that are what they are: exactly one kind."""

    bearer: Secret | None = Field(None, description="Sent as `Authorization: Bearer ...`.")
    basic: Basic | None = Field(None, description="HTTP basic authentication.")
    header: HeaderCredential | None = Field(None, description="A credential in a header of its own.")


class Auth(StandingAuth):
    """Credentials: exactly one kind."""

    oauth2: OAuth2 | None = Field(None, description="A token from a token endpoint, by client credentials.")
    sigv4: SigV4 | None = Field(None, description="Requests signed for AWS.")


class ModuleAuth(Auth):
    """Credentials of a module: exactly one kind, and where `/probe` may send them."""

    hosts: list[HostPattern] = Field(
        [],
        description="Hosts `/probe?target=` may send this module's credentials and headers to: names, *.suffixes, "
        "addresses and networks, each with an optional :port. Configured targets need no entry.",
    )


# What they stand for


def auth_of(block: Auth | None) -> endpoint.Auth | None:
    """The credential of a block that `check` found good."""
    if block is not None and block.oauth2 is not None:
        return _oauth2_of(block.oauth2)
    if block is not None and block.sigv4 is not None:
        return endpoint.SigV4(**dict(block.sigv4))
    return standing_of(block)


def standing_of(block: StandingAuth | None) -> endpoint.Standing | None:
    """A credential that is what it is; None where a block has none."""
    if block is None:
        return None
    if block.bearer is not None:
        return endpoint.Bearer(block.bearer)
    if block.basic is not None:
        return endpoint.Basic(block.basic.username, block.basic.password)
    return None if block.header is None else endpoint.HeaderAuth(block.header.name, block.header.value)


def _oauth2_of(block: OAuth2) -> endpoint.OAuth2:
    return endpoint.OAuth2(
        block.token_url,
        block.client_id,
        block.client_secret,
        scopes=tuple(block.scopes),
        audience=block.audience,
        resource=block.resource,
        auth_method=block.auth_method,
        params=tuple(block.params.items()),
        tls=tls_of(block.tls),
        proxy=proxy_of(block.proxy),
    )


def proxy_of(block: Proxy | None) -> endpoint.Proxy | None:
    """The proxy of a block."""
    if block is None:
        return None
    given = block.auth
    auth: endpoint.Bearer | endpoint.Basic | None = None
    if given is not None and given.bearer is not None:
        auth = endpoint.Bearer(given.bearer)
    elif given is not None and given.basic is not None:
        auth = endpoint.Basic(given.basic.username, given.basic.password)
    return endpoint.Proxy(block.url.host, block.url.port, auth)


def tls_of(block: Tls | None, below: endpoint.Tls | None = None) -> endpoint.Tls:
    """What a block says over what is below it."""
    below = endpoint.Tls() if below is None else below
    if block is None:
        return below
    return replace(below, **{key: value for key, value in block if value is not None})
