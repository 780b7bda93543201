"""Libraries that only some configs need."""

from importlib.util import find_spec

#: Extra -> the package it brings.
_PACKAGES = {"aws": "botocore", "grpc": "grpc", "oauth2": "authlib", "schema": "jsonschema"}


def missing(extra: str) -> str:
    """What to say of an extra that is not installed, `""` when it is."""
    if find_spec(_PACKAGES[extra]) is not None:
        return ""
    return f"needs an extra that is not installed: pip install 'model-exporter[{extra}]'"
