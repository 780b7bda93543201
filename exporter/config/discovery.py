"""An entry of `discovery` as the config has it: one source, and what its targets get."""

from pydantic import ConfigDict, Field

from exporter.config.lists import DnsRecords, Files, HttpList, KubernetesObjects, RelabelConfig, Source
from exporter.config.names import LabelValue, Name
from exporter.config.reach import Reach
from exporter.protocols.patterns import Regex
from exporter.settings import PositiveDuration, Settings, SmallCount
from exporter.url import Url


class Catalogue(Reach):
    """A server whose own list of models says what is watched. Further keys depend on the protocol."""

    model_config = ConfigDict(extra="allow")

    url: Url = Field(description="Where the server is, as for a target.")
    protocol: str | None = Field(
        None, description="The API that lists the models. Default: the module's, else auto, which finds out."
    )
    interval: PositiveDuration | None = Field(None, description="Time between two readings of the list. Default: 1m.")
    timeout: PositiveDuration | None = Field(
        None, description="Time one attempt at reading the list may take. Default: 5s."
    )
    include: Regex | None = Field(None, description="Only models in whose name this is found.")
    exclude: Regex | None = Field(None, description="No models in whose name this is found.")
    expected: list[Name] = Field(
        [],
        description="Models that must be listed. They are watched whether they are or not, and counted in "
        "model_probe_models_missing while they are not.",
    )
    limit: SmallCount = Field(100, description="Models that are watched at most.")


class Discovery(Settings):
    """Where further targets come from."""

    catalogue: Catalogue | None = Field(None, description="A server that lists its models.")
    file: Files | None = Field(None, description="Files of target groups, as Prometheus's file_sd.")
    http: HttpList | None = Field(None, description="A server of target groups, as Prometheus's http_sd.")
    dns: DnsRecords | None = Field(None, description="Records of a name server, as Prometheus's dns_sd.")
    kubernetes: KubernetesObjects | None = Field(None, description="What runs in a Kubernetes cluster.")
    name: Name | None = Field(
        None,
        description="Unique name: the label `source`, and with a catalogue the beginning of the targets' names. "
        "Default: host:port of the catalogue, file:NAME of the first file, http:host:port[/path], "
        "srv:NAME, a:NAME or aaaa:NAME of the first record, kubernetes:ROLE.",
    )
    relabel_configs: list[RelabelConfig] = Field(
        [],
        max_length=1000,
        description="How labels of a list become targets, as in Prometheus. Not with a catalogue.",
    )
    module: str | None = Field(None, description="The module whose settings the targets get.")
    labels: dict[str, LabelValue] = Field({}, description="Labels on every series of the targets.")

    @property
    def listed(self) -> Source | None:
        """What has labels to make targets of; None with a catalogue."""
        return self.file or self.http or self.dns or self.kubernetes

    @property
    def modules(self) -> frozenset[str]:
        """The modules that objects of a cluster may have."""
        named = self.kubernetes.modules if self.kubernetes is not None else ()
        return frozenset((*named, *((self.module,) if self.module is not None else ())))
