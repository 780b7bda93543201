"""What is known of each server family: one module each, imported only when its name is used."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast

from exporter.contracts import ModelProtocol

_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "auto": "exporter.protocols.detect:Detect",
        "http": "exporter.protocols.http:Http",
        "mlflow": "exporter.protocols.mlflow:Mlflow",
        "open_inference": "exporter.protocols.open_inference:OpenInference",
        "openai": "exporter.protocols.openai:OpenAi",
    }
)

#: Every name `protocol:` may have, in alphabetical order.
NAMES: tuple[str, ...] = tuple(_CLASSES)


def load(name: str) -> type[ModelProtocol]:
    """The class of a protocol. Raises KeyError for a name that is not in NAMES."""
    module, _, attribute = _CLASSES[name].partition(":")
    return cast(type[ModelProtocol], getattr(import_module(module), attribute))
