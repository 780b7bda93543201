"""What is watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Target:
    """One model behind one endpoint. `labels` are the operator's own and appear on every series of the target."""

    name: str
    endpoint: Endpoint
    protocol: str = "auto"
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    startup: float = 0.0
