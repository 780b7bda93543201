"""A server that is no target, and the way to it: what lists targets, keeps a log or takes records."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from exporter.config.access import ProxyOrUrl, StandingAuth, Tls, proxy_of, standing_of, tls_of
from exporter.model import endpoint
from exporter.settings import Headers, Settings, problem
from exporter.url import parse, without_query


def _url(value: Any) -> str:
    if not isinstance(value, str):
        raise problem("url", "found {found}; string expected: a url such as https://host/path", found=value)
    parse(value, ("http", "https"))
    return value


ServiceUrl = Annotated[
    str,
    BeforeValidator(_url),
    PlainSerializer(without_query),
    WithJsonSchema({"type": "string", "pattern": "^https?://", "maxLength": 2048}),
]


class Service(Settings):
    """A server that is no target."""

    url: ServiceUrl = Field(description="Where it is: http:// or https://.")
    auth: StandingAuth | None = Field(None, description="Credentials: exactly one of bearer, basic, header.")
    headers: Headers = Field({}, description="Headers sent with every request; every value counts as a secret.")
    tls: Tls | None = Field(None, description="TLS of the connection.")
    proxy: ProxyOrUrl | None = Field(
        None, description="HTTP proxy on the way. The environment's is never used. Default: none."
    )


def service_of(block: Service) -> endpoint.Service:
    """The value it stands for."""
    parts = urlsplit(block.url)
    url = parts._replace(scheme=parts.scheme.lower()).geturl()
    return endpoint.Service(
        url, standing_of(block.auth), tuple(block.headers.items()), tls_of(block.tls), proxy_of(block.proxy)
    )
