"""How a Kubernetes cluster is reached: two keys that several blocks have."""

from typing import Annotated

from pydantic import Field

from exporter.config.names import Name
from exporter.settings import FilePath

Kubeconfig = Annotated[
    FilePath | None,
    Field(
        description="How to reach the cluster. Default: KUBECONFIG, else the exporter's own service account, else "
        "~/.kube/config."
    ),
]
Context = Annotated[Name | None, Field(description="A context of the kubeconfig. Default: its current one.")]
