"""The config file as one frozen tree. What needs more than one place to judge is in check.py.

Probes and blocks that a protocol extends keep the protocol's own keys as they were written (`model_extra`): which keys
exist is known only once target, module and defaults are merged.
"""

import marshal
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from exporter.config.access import ONE_OF, Auth, ModuleAuth, ProxyOrUrl, Tls
from exporter.config.budget import Budget
from exporter.config.deploy import Deploy, Environment
from exporter.config.hosts import HostPattern
from exporter.config.lists import Files, HttpList, KubernetesObjects, RelabelConfig, Source
from exporter.config.maintenance import Window
from exporter.config.metrics import Metrics
from exporter.config.names import LabelValue, Name
from exporter.config.problems import did_you_mean
from exporter.config.replicas import Replicas
from exporter.config.sinks import Sink
from exporter.config.training import Training
from exporter.model.failure import Evidence, Reason, row_of
from exporter.protocols.patterns import Regex
from exporter.settings import (
    Count,
    Duration,
    Headers,
    PositiveDuration,
    Settings,
    Size,
    SmallCount,
    problem,
)
from exporter.url import Url

ModelName = Annotated[str, Field(max_length=256)]
#: What a model can: a label's value.
Capability = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,62}$")]
ProbeKind = Literal["health", "ready", "metadata", "infer", "stream", "evaluate"]

_NEVER = (Evidence.REFUSED, Evidence.WRONG, Evidence.BUSY, Evidence.NONE)
RETRIED_REASONS = tuple(reason.value for reason in Reason if row_of(reason).evidence not in _NEVER)


def _retry_on(value: Any) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        if 400 <= value <= 599 and row_of(Reason.HTTP_STATUS, value).evidence not in _NEVER and value != 529:
            return value
        raise problem(
            "retry_on", "found {found}; allowed: 408, a status of 500 to 599 but 529, or a reason", found=value
        )
    if isinstance(value, str) and value in RETRIED_REASONS:
        return value
    hint = ""
    if isinstance(value, str) and (near := did_you_mean(value, RETRIED_REASONS)).startswith("did you mean"):
        hint = f"{near} "
    allowed = ", ".join(RETRIED_REASONS)
    raise problem("retry_on", f"found {{found}}; {hint}allowed: a status such as 503, or one of {allowed}", found=value)


RetryOn = Annotated[
    str | int,
    BeforeValidator(_retry_on),
    WithJsonSchema({"anyOf": [{"enum": list(RETRIED_REASONS)}, {"type": "integer", "minimum": 408, "maximum": 599}]}),
]


class Retry(Settings):
    """Attempts within one run."""

    attempts: SmallCount | None = Field(
        None,
        description="Tries at most, the first included; of evaluate for each example. Default: 3, 1 for infer and "
        "stream.",
    )
    backoff: Duration | None = Field(
        None, description="Longest wait before the second try; it doubles with each further one. Default: 500ms."
    )
    max_backoff: Duration | None = Field(None, description="Longest wait before any try. Default: 5s.")
    on: list[RetryOn] | None = Field(
        None,
        description="Reasons and HTTP statuses that are worth a new try. Default: dns, connect_refused, connect, "
        "reset, disconnected, 502 and 503.",
    )


class Thresholds(Settings):
    """Runs in a row before a change is believed."""

    failure: SmallCount | None = Field(
        None, description="Runs that must fail in a row. Default: 1, for infer and stream 2."
    )
    success: SmallCount | None = Field(None, description="Runs that must succeed in a row. Default: 1.")


class Probe(Settings):
    """A named question asked on a schedule. Further keys depend on protocol and kind."""

    model_config = ConfigDict(extra="allow")

    kind: ProbeKind | None = Field(None, description="What it asks. Default: the probe's name.")
    interval: PositiveDuration | None = Field(
        None,
        description="Time between runs. Default: 15s for health and ready, 1m for infer and stream, 5m for metadata, "
        "6h for evaluate, 1h with a capability.",
    )
    timeout: PositiveDuration | None = Field(
        None,
        description="Time one attempt, of evaluate one example, may take. Default: 5s, 30s for infer, stream and "
        "evaluate.",
    )
    recheck: PositiveDuration | None = Field(
        None,
        description="First wait before a failed infer or stream is asked again; it doubles up to the interval. "
        "Default: 5s, at most the interval.",
    )
    drift: bool | None = Field(
        None,
        description="Hold the answers of an infer or stream probe against each other: see docs/drift.md. Default: "
        "where the same question has to bring the same answer: with a seed, with temperature 0 and cache: warm, and "
        "of tensors, predictions, embeddings and rankings.",
    )
    capability: Capability | None = Field(
        None,
        description="What an infer or stream probe shows that the model can, such as tools, json_schema or embeddings. "
        "It sets model_probe_capability and is no part of the state.",
    )
    retry: Retry | None = Field(None, description="Attempts within one run.")
    thresholds: Thresholds | None = Field(None, description="Runs in a row before a change is believed.")


def _share(what: str) -> WrapValidator:
    """Equal blocks become one object: most of ten thousand targets are alike, and what is one is judged once."""

    def validated(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        shared = (info.context or {}).get("shared")
        if shared is None or not isinstance(value, dict):
            return validate(value)
        key = (what, marshal.dumps(value, 2))
        if key not in shared:
            shared[key] = validate(value)
        return shared[key]

    return WrapValidator(validated)


#: Probes by name. Validation with `context={"shared": {}}` makes equal ones the same object, and equal probes in them.
Probes = Annotated[dict[Name, Annotated[Probe, _share("probe")] | None], _share("probes")]


class SaturatedAt(Settings):
    """What a server tells of its load that is too much, whatever its canary says."""

    waiting: Count = Field(description="Requests in the server's queue.")


class Reach(Settings):
    """How to reach a server."""

    auth: Auth | None = Field(None, description=f"{ONE_OF} null: none, whatever module and defaults say.")
    headers: Headers | None = Field(
        None, description="Headers sent with every request; every value counts as a secret."
    )
    tls: Tls | None = Field(None, description="TLS of the connection.")
    proxy: ProxyOrUrl | None = Field(
        None,
        description="HTTP proxy on the way: http://host:port, or a block with credentials. The environment's is never "
        "used. null: none, whatever module and defaults say.",
    )
    connection: Literal["fresh", "keep_alive"] | None = Field(
        None, description="A new connection for each run, or one that is kept. Default: fresh."
    )
    follow_redirects: bool | None = Field(None, description="Follow redirects within the same origin. Default: false.")
    max_body: Size | None = Field(None, description="Longest body that is read. Default: 10MB.")
    startup: Duration | None = Field(
        None,
        description="Time after it was added during which a target that was never healthy is loading and not down. "
        "Default: 0s.",
    )
    saturated_at: SaturatedAt | None = Field(
        None, description="From when a server is saturated though its canary passes. Default: never."
    )
    wake: bool | None = Field(
        None,
        description="Let canaries run on a model that is asleep, unloaded, or of which the server does not tell "
        "whether it is loaded. Default: false.",
    )
    budget: Budget | None = Field(
        None,
        description="What the canaries of a target may use. Default: as much as they like; null: the same, whatever "
        "module and defaults say.",
    )
    maintenance: list[Window] | None = Field(
        None, max_length=100, description="When nothing is asked and the state stays. Default: never."
    )


class Connection(Reach):
    """What defaults, modules and targets share: how to reach a server, and labels."""

    labels: dict[str, LabelValue] = Field({}, description="Labels on every series of the target.")


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

    concurrency: Count = Field(500, description="Probes in flight, all together.")
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
    kubernetes: KubernetesObjects | None = Field(None, description="What runs in a Kubernetes cluster.")
    name: Name | None = Field(
        None,
        description="Unique name: the label `source`, and with a catalogue the beginning of the targets' names. "
        "Default: host:port of the catalogue, file:NAME of the first file, http:host:port[/path], "
        "kubernetes:ROLE.",
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
        return self.file or self.http or self.kubernetes

    @property
    def modules(self) -> frozenset[str]:
        """The modules that objects of a cluster may have."""
        named = self.kubernetes.modules if self.kubernetes is not None else ()
        return frozenset((*named, *((self.module,) if self.module is not None else ())))


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
    deploy: Deploy = Field(
        default_factory=Deploy,
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
