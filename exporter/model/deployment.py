"""Where a model can be brought, and what a deployment needs to know beside the model's name. Read from the config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from exporter.model.endpoint import Auth
from exporter.model.target import Target


@dataclass(frozen=True, slots=True)
class Archives:
    """Where TorchServe gets a model from; `url` may hold `{model}` and `{version}`. `workers`: how many it needs."""

    url: str
    workers: int = 1


@dataclass(frozen=True, slots=True)
class InferenceService:
    """A KServe InferenceService to patch. `name` and `storage_uri` may hold `{model}`, the latter also `{version}`.

    Without `kubeconfig` the cluster is the one this runs in, else that of the usual kubeconfig.
    """

    namespace: str
    storage_uri: str
    name: str = "{model}"
    kubeconfig: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A target that a model can be brought to. `management` is the address of TorchServe's management port, "" where
    none is named and None where it may not be asked; `replicas` are (address, port, 0 for the url's), `dns` for all
    behind the name, None for the url itself.
    """

    target: Target
    management: str | None = ""
    replicas: Literal["dns"] | Sequence[tuple[str, int]] | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """Targets that are deployed to together. `auth` is what calls that change something carry."""

    name: str
    select: tuple[tuple[str, str], ...]
    sites: tuple[Site, ...] = ()
    auth: Auth | None = None
    service: InferenceService | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a config says of deploying. `create` is the body of Ollama's create, None where models are pulled."""

    environments: Mapping[str, Environment] = field(default_factory=dict)
    archives: Archives | None = None
    create: Mapping[str, Any] | None = None
