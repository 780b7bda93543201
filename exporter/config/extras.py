"""Whether the extras that a config needs are installed."""

from contextlib import suppress
from importlib.util import find_spec

from exporter.model.extras import needs

#: Extra -> the package it brings.
_PACKAGES = {
    "aws": "botocore", "dns": "dns.resolver", "grpc": "grpc", "oauth2": "authlib", "otlp": "opentelemetry.sdk",
    "schema": "jsonschema", "web": "bcrypt",
}  # fmt: skip


def missing(extra: str) -> str:
    """What to say of an extra that is not installed, `""` when it is."""
    with suppress(ModuleNotFoundError):  # not even the package around it
        if find_spec(_PACKAGES[extra]) is not None:
            return ""
    return needs(extra)
