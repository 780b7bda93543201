"""What is watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.cost import Allowance
from exporter.model.endpoint import Endpoint
from exporter.model.maintenance import Window

#: Bytes of UTF-8 that a name or the value of a label may have.
MAX_LABEL_BYTES = 256
#: Addresses of one target that are watched at most.
MAX_ADDRESSES = 64


@dataclass(frozen=True, slots=True)
class Target:
    """One model behind one endpoint. `labels` are the operator's own and appear on every series of the target.

    A replica has a `group`, the name its target has in the config, and an `address` (`host:port`, IPv6 in brackets);
    both are empty for a target that is one by itself. `name` is unique in any case.
    """

    name: str
    endpoint: Endpoint
    protocol: str = "auto"
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    startup: float = 0.0
    #: Waiting requests from which a server that still answers is saturated; None: never.
    saturated_at: float | None = None
    #: What its canaries may use; all replicas of a group share it. None: no limit of its own.
    budget: Allowance | None = None
    #: When it is left alone.
    maintenance: tuple[Window, ...] = ()
    group: str = ""
    address: str = ""
    #: What "per host" limits count by: replicas behind one name are hosts of their own.
    peer: tuple[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        endpoint = self.endpoint
        replica = self.address and endpoint.addresses
        peer = (endpoint.addresses[0], endpoint.connect_port) if replica else endpoint.peer
        object.__setattr__(self, "peer", peer)

    @property
    def title(self) -> str:
        """What people call it: the label `target`, which all replicas of a group share."""
        return self.group or self.name

    @property
    def traits(self) -> dict[str, str]:
        """What it can be selected by: the labels of its series, and its protocol as configured."""
        address = {"address": self.address} if self.address else {}
        return {"protocol": self.protocol, **self.labels, "target": self.title, "model": self.model, **address}

    def trait(self, key: str) -> str | None:
        """One of `traits`, without making the others."""
        match key:
            case "target":
                return self.title
            case "model":
                return self.model
            case "address":
                return self.address or self.labels.get(key)
            case "protocol":
                return self.labels.get(key, self.protocol)
        return self.labels.get(key)
