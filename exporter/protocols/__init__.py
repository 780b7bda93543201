"""What is known of each server family: one module each, imported only when its name is used.

What they share stands beside them. Asking and reading: `family` and `application` (bases), `address`, `answer`,
`reading`, `text`, `rpc`. What is expected: `expect`, and what it is made of (`values`, `numbers`, `tensors`, `vectors`
...). Language models: `language`, `streaming`, `stopping`, `isolation`, `worst_case`. `auto`: `detect` and `evidence`.
A family with more than one module has its name before each: `openai_*`, `ollama_*`, `triton_*`.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast

from exporter.contracts import ModelProtocol

_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "exporter.protocols.anthropic:Anthropic",
        "auto": "exporter.protocols.detect:Detect",
        "bentoml": "exporter.protocols.bentoml:BentoMl",
        "grpc_health": "exporter.protocols.grpc_health:GrpcHealth",
        "http": "exporter.protocols.http:Http",
        "infinity": "exporter.protocols.infinity:Infinity",
        "kserve_v1": "exporter.protocols.kserve_v1:KserveV1",
        "litellm": "exporter.protocols.litellm:LiteLlm",
        "litserve": "exporter.protocols.litserve:LitServe",
        "mlflow": "exporter.protocols.mlflow:Mlflow",
        "ollama": "exporter.protocols.ollama:Ollama",
        "open_inference": "exporter.protocols.open_inference:OpenInference",
        "openai": "exporter.protocols.openai:OpenAi",
        "ray_serve": "exporter.protocols.ray_serve:RayServe",
        "sagemaker": "exporter.protocols.sagemaker:SageMaker",
        "seldon": "exporter.protocols.seldon:Seldon",
        "tcp": "exporter.protocols.tcp:Tcp",
        "tei": "exporter.protocols.tei:Tei",
        "tf_serving": "exporter.protocols.tf_serving:TfServing",
        "tgi": "exporter.protocols.tgi:Tgi",
        "torchserve": "exporter.protocols.torchserve:TorchServe",
        "triton": "exporter.protocols.triton:Triton",
    }
)

#: Keys that a protocol adds to those of a target (its `options`), and the protocols that do.
OWN_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"done": ("litellm", "openai"), "management": ("torchserve",), "server": ("openai",)}
)

#: Every name `protocol:` may have, in alphabetical order.
NAMES: tuple[str, ...] = tuple(_CLASSES)


def load(name: str) -> type[ModelProtocol]:
    """The class of a protocol. Raises KeyError for a name that is not in NAMES."""
    module, _, attribute = _CLASSES[name].partition(":")
    return cast(type[ModelProtocol], getattr(import_module(module), attribute))
