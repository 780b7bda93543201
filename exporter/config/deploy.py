"""The blocks `environments` and `deploy`: what `model-exporter deploy` may change. Other commands only check them."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from exporter.config.access import ONE_OF, Auth
from exporter.config.cluster import Context, Kubeconfig
from exporter.config.names import LabelValue
from exporter.settings import Settings, SmallCount, problem

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def _template(*known: str) -> AfterValidator:
    """Text that may hold these names in braces, and no other ones."""

    def validated(value: str) -> str:
        for name in _PLACEHOLDER.findall(value):
            if name not in known:
                allowed = " and ".join(f"{{{each}}}" for each in known)
                raise problem("template", f"found {{found}}; allowed in braces: {allowed}", found=f"{{{name}}}")
        return value

    return AfterValidator(validated)


_SOME = Field(min_length=1, max_length=2048)
#: Kubernetes: RFC 1123 labels and subdomains.
Namespace = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"), WithJsonSchema({"type": "string", "minLength": 1})
]
Uri = Annotated[str, _SOME, _template("model", "version")]
ServiceName = Annotated[str, _SOME, _template("model")]


class DeployKServe(Settings):
    """A KServe InferenceService to patch in place of calls to the targets' own servers.

    Where Argo CD or Flux owns it, that is refused: commit there, then `model-exporter wait`.
    """

    namespace: Namespace = Field(description="Its namespace.")
    name: ServiceName = Field("{model}", description="Its name; {model} stands for the model's.")
    storage_uri: Uri = Field(
        description="What becomes its storageUri, such as s3://models/{model}/{version}; both are filled in."
    )
    kubeconfig: Kubeconfig = None
    context: Context = None


class Environment(Settings):
    """Targets that a model is brought to together."""

    select: Annotated[dict[str, LabelValue], Field(min_length=1)] = Field(
        description="Labels that a target must have to belong to it; also target, model and protocol."
    )
    auth: Auth | None = Field(
        None, description=f"{ONE_OF} Sent with calls that change something. Default: deploy.auth."
    )
    kserve: DeployKServe | None = Field(
        None, description="The InferenceService to patch. Default: none, the targets' servers are called."
    )


class DeployTorchServe(Settings):
    """Where TorchServe gets archives from."""

    url: Uri = Field(
        description="Archive to register: a file of the model store, or a url that the server allows; {model} and "
        "{version} are filled in."
    )
    workers: SmallCount = Field(1, description="Workers a version needs before it counts as ready.")


def _create(value: dict[str, Any]) -> dict[str, Any]:
    for key in ("model", "name", "stream"):
        if key in value:
            raise problem("create", f"{key} is said by the deployment itself; leave it out")
    return value


class DeployOllama(Settings):
    """How a model gets into Ollama."""

    create: Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_create)] | None = Field(
        None,
        description="Body of POST /api/create, such as from: and system:; {model} and {version} are filled in. "
        "Default: the model is pulled.",
    )


class Deploy(Settings):
    """What `model-exporter deploy` needs beside the targets."""

    auth: Auth | None = Field(
        None, description=f"{ONE_OF} Sent with calls that change something, and never by the daemon."
    )
    torchserve: DeployTorchServe | None = Field(None, description="Where TorchServe gets archives from.")
    ollama: DeployOllama | None = Field(None, description="How a model gets into Ollama.")
