"""The config file as one frozen tree. What needs more than one place to judge is in check.py.

Probes and blocks that a protocol extends keep the protocol's own keys as they were written (`model_extra`): which keys
exist is known only once target, module and defaults are merged.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, PrivateAttr

from exporter.config.access import ONE_OF, ModuleAuth
from exporter.config.budget import Budget
from exporter.config.deferred import Deferred
from exporter.config.hosts import HostPattern
from exporter.config.metrics import Metrics
from exporter.config.names import Name
from exporter.config.probes import Probes
from exporter.config.reach import Connection
from exporter.config.replicas import Replicas
from exporter.settings import Count, PositiveDuration, Settings
from exporter.url import Url

if TYPE_CHECKING:
    from exporter.config.deploy import Deploy, Environment
    from exporter.config.discovery import Discovery
    from exporter.config.sinks import Sink
    from exporter.config.training import Training
else:
    Deploy = Annotated[Any, Deferred("exporter.config.deploy:Deploy")]
    Environment = Annotated[Any, Deferred("exporter.config.deploy:Environment")]
    Discovery = Annotated[Any, Deferred("exporter.config.discovery:Discovery")]
    Sink = Annotated[Any, Deferred("exporter.config.sinks:Sink")]
    Training = Annotated[Any, Deferred("exporter.config.training:Training")]

ModelName = Annotated[str, Field(max_length=256)]


class Defaults(Connection):
    """What holds where neither target nor module says anything."""

    interval: PositiveDuration | None = Field(
        None, description="Time between runs of every probe but metadata, evaluate and those with a capability."
    )
    timeout: PositiveDuration | None = Field(None, description="Time one attempt of any probe may take.")


class Module(Connection):
    """A named, reusable protocol and probes block. Further keys depend on the protocol."""

    model_config = ConfigDict(extra="allow")

    protocol: str | None = Field(None, description="The server's API. Default: auto, which asks the server what it is.")
    probes: Probes | None = Field(
        None,
        description="Probes by name. Without this block the protocol's default probes run; infer and stream only "
        "when named.",
    )
    auth: ModuleAuth | None = Field(None, description=ONE_OF)


class Target(Connection):
    """One model behind one endpoint. Further keys depend on the protocol."""

    model_config = ConfigDict(extra="allow")

    name: Name | None = Field(None, description="Unique name. Default: host:port[/path][/model].")
    url: Url = Field(
        description="Where the server is: http://, https://, grpc://, grpcs://, tcp:// or unix:///path/of/socket."
    )
    protocol: str | None = Field(
        None, description="The server's API. Default: the module's, else auto, which asks the server what it is."
    )
    model: ModelName | None = Field(None, description="The model to ask.")
    module: str | None = Field(None, description="The module whose settings hold where the target has none.")
    probes: Probes | None = Field(
        None, description="Probes by name, merged over the module's; null drops one of the module's."
    )
    replicas: Replicas | None = Field(
        None,
        description="The server is several, judged one by one: dns (every address of the url's host), or the "
        "addresses, with the url's port where they name none.",
    )


class Limits(Settings):
    """How much is done at once, and in all."""

    concurrency: Count = Field(
        500,
        description="Probes in flight, all together. Never more than descriptors and memory of the process allow.",
    )
    per_host: Count = Field(8, description="Probes in flight to one host and port.")
    budget: Budget | None = Field(
        None, description="What the canaries of all targets together may use. Default: as much as they like."
    )


class OnDemand(Settings):
    """What `/probe` may do."""

    allow: list[HostPattern] = Field(
        [],
        description="Hosts that may be asked beside configured targets: names, *.suffixes, addresses and networks, "
        "each with an optional :port.",
    )
    debug: bool = Field(False, description="Whether `debug=true` shows a transcript.")
    concurrency: Count = Field(50, description="Requests at work at once.")


class File(Settings):
    """A config file."""

    defaults: Defaults = Field(
        default_factory=Defaults, description="What holds where neither target nor module says anything."
    )
    limits: Limits = Field(default_factory=Limits, description="How much is done at once.")
    modules: dict[Name, Module] = Field({}, description="Named, reusable protocol and probes blocks.")
    targets: list[Target] | None = Field(
        None, description="What is watched. May be empty; this, `discovery` or `training` must be present."
    )
    discovery: list[Discovery] | None = Field(None, description="Where further targets come from. May be empty.")
    training: list[Training] | None = Field(
        None, description="Training jobs whose logs are followed: docs/training.md. May be empty."
    )
    sinks: list[Sink] = Field([], description="Where records of results and changes of state go: docs/sinks.md.")
    on_demand: OnDemand = Field(default_factory=OnDemand, description="What `/probe` may do.")
    metrics: Metrics = Field(default_factory=Metrics, description="How results are exposed.")
    environments: dict[Name, Environment] = Field(
        {}, description="Targets that `model-exporter deploy` brings a model to together."
    )
    deploy: Deploy | None = Field(
        None,
        description="What `model-exporter deploy` needs beside the targets; the daemon never uses it.",
    )

    #: Where relative paths start; None: at the working directory.
    _folder: str | None = PrivateAttr(None)

    @property
    def folder(self) -> str | None:
        """Where relative paths of protocols' own keys start."""
        return self._folder

    #: (module, host, port) of targets that use a module's credentials; None until it was asked for.
    _trusted: frozenset[tuple[str, str, int]] | None = PrivateAttr(None)

    def placed(self, folder: str | None) -> "File":
        """The same file with a folder for relative paths."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def trusted(self) -> frozenset[tuple[str, str, int]]:
        """(module, host, port) wherever a target already sends a module's credentials or headers."""
        if self._trusted is None:
            holding = {name for name, module in self.modules.items() if module.auth is not None or module.headers}
            self._trusted = frozenset(
                (target.module, target.url.host, target.url.port)
                for target in self.targets or ()
                if target.module in holding and "auth" not in target.model_fields_set
            ) | frozenset(
                (entry.module, entry.catalogue.url.host, entry.catalogue.url.port)
                for entry in self.discovery or ()
                if entry.catalogue is not None
                and entry.module in holding
                and "auth" not in entry.catalogue.model_fields_set
            )
        return self._trusted

    def without_targets(self) -> "File":
        """What `/probe` needs of a file, without the memory that targets take."""
        trusted = self.trusted()
        copy = self.model_copy(update={"targets": []})
        copy._trusted = trusted
        return copy
