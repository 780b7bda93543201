"""The config file as one frozen tree. What needs more than one place to judge is in check.py.

Probes and blocks that a protocol extends keep the protocol's own keys as they were written (`model_extra`): which keys
exist is known only once target, module and defaults are merged.
"""

import itertools
import marshal
import math
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

from exporter.config.hosts import HostPattern
from exporter.config.names import LabelValue, Name
from exporter.config.problems import did_you_mean
from exporter.config.url import Url
from exporter.model.failure import Evidence, Reason, row_of
from exporter.settings import (
    Count,
    Duration,
    FilePath,
    HeaderName,
    Headers,
    PositiveDuration,
    Secret,
    Settings,
    Size,
    SmallCount,
    problem,
)

ProbeKind = Literal["health", "ready", "metadata", "infer", "stream"]

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


def _username(value: Any) -> str:
    if not isinstance(value, str) or not value or ":" in value or any(char < " " or char == "\x7f" for char in value):
        raise problem("username", "found something else (not shown); allowed: text without colon or control character")
    return value


RetryOn = Annotated[
    str | int,
    BeforeValidator(_retry_on),
    WithJsonSchema({"anyOf": [{"enum": list(RETRIED_REASONS)}, {"type": "integer", "minimum": 408, "maximum": 599}]}),
]


class Retry(Settings):
    """Attempts within one run."""

    attempts: SmallCount | None = Field(
        None,
        description="Tries at most, the first included. Default: 3 for health, ready and metadata, 1 for infer and "
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
        description="Time between runs. Default: 15s for health and ready, 1m for infer and stream, 5m for metadata.",
    )
    timeout: PositiveDuration | None = Field(
        None, description="Time one attempt may take. Default: 5s, 30s for infer and stream."
    )
    recheck: PositiveDuration | None = Field(
        None,
        description="First wait before a failed infer or stream is asked again; it doubles up to the interval. "
        "Default: 5s, at most the interval.",
    )
    retry: Retry | None = Field(None, description="Attempts within one run.")
    thresholds: Thresholds | None = Field(None, description="Runs in a row before a change is believed.")


def _share(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Equal blocks become one object: most of ten thousand targets are alike, and what is one is judged once."""
    shared = (info.context or {}).get("shared")
    if shared is None or not isinstance(value, dict):
        return validate(value)
    key = marshal.dumps(value, 2)
    if key not in shared:
        shared[key] = validate(value)
    return shared[key]


#: Probes by name. Validation with `context={"shared": {}}` makes equal ones the same object.
Probes = Annotated[dict[Name, Probe | None], WrapValidator(_share)]


class Basic(Settings):
    """HTTP basic authentication."""

    username: Annotated[str, BeforeValidator(_username), WithJsonSchema({"type": "string", "minLength": 1})] = Field(
        description="The user; it holds no colon."
    )
    password: Secret = Field(description="The password.")


class HeaderCredential(Settings):
    """A credential in a header of its own, such as `X-API-Key`."""

    name: HeaderName = Field(description="The header.")
    value: Secret = Field(description="Its value.")


class Auth(Settings):
    """Credentials: exactly one kind."""

    bearer: Secret | None = Field(None, description="Sent as `Authorization: Bearer ...`.")
    basic: Basic | None = Field(None, description="HTTP basic authentication.")
    header: HeaderCredential | None = Field(None, description="A credential in a header of its own.")


class ModuleAuth(Auth):
    """Credentials of a module: exactly one kind, and where `/probe` may send them."""

    hosts: list[HostPattern] = Field(
        [],
        description="Hosts `/probe?target=` may send this module's credentials and headers to: names, *.suffixes, "
        "addresses and networks, each with an optional :port. Configured targets need no entry.",
    )


class Tls(Settings):
    """TLS of the connection. Files are read again when they change."""

    ca_file: FilePath | None = Field(None, description="Certificates to trust instead of the system's.")
    cert_file: FilePath | None = Field(None, description="Client certificate, PEM.")
    key_file: FilePath | None = Field(None, description="The client certificate's key, PEM, not encrypted.")
    server_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        None, description="Name to ask for and to check the certificate against. Default: the url's host."
    )
    min_version: Literal["TLS12", "TLS13"] | None = Field(
        None, description="Oldest TLS version to speak. Default: TLS12."
    )
    insecure_skip_verify: bool | None = Field(None, description="Accept any certificate. Default: false.")


class Connection(Settings):
    """What defaults, modules and targets share: how to reach a server."""

    auth: Auth | None = Field(
        None,
        description="Credentials: exactly one of bearer, basic, header. null: none, whatever module and defaults say.",
    )
    headers: Headers | None = Field(
        None, description="Headers sent with every request; every value counts as a secret."
    )
    tls: Tls | None = Field(None, description="TLS of the connection.")
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
    labels: dict[str, LabelValue] = Field({}, description="Labels on every series of the target.")


class Defaults(Connection):
    """What holds where neither target nor module says anything."""

    interval: PositiveDuration | None = Field(None, description="Time between runs of every probe but metadata.")
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
    auth: ModuleAuth | None = Field(None, description="Credentials: exactly one of bearer, basic, header.")


class Target(Connection):
    """One model behind one endpoint. Further keys depend on the protocol."""

    model_config = ConfigDict(extra="allow")

    name: Name | None = Field(None, description="Unique name. Default: host:port[/path][/model].")
    url: Url = Field(description="Where the server is: http://, https:// or unix:///path/of/socket.")
    protocol: str | None = Field(
        None, description="The server's API. Default: the module's, else auto, which asks the server what it is."
    )
    model: Annotated[str, Field(max_length=256)] | None = Field(None, description="The model to ask.")
    module: str | None = Field(None, description="The module whose settings hold where the target has none.")
    probes: Probes | None = Field(
        None, description="Probes by name, merged over the module's; null drops one of the module's."
    )


class Limits(Settings):
    """How much is done at once."""

    concurrency: Count = Field(500, description="Probes in flight, all together.")
    per_host: Count = Field(8, description="Probes in flight to one host and port.")


class OnDemand(Settings):
    """What `/probe` may do."""

    allow: list[HostPattern] = Field(
        [],
        description="Hosts that may be asked beside configured targets: names, *.suffixes, addresses and networks, "
        "each with an optional :port.",
    )
    debug: bool = Field(False, description="Whether `debug=true` shows a transcript.")
    concurrency: Count = Field(50, description="Requests at work at once.")


def _bounds(value: Any) -> list[float]:
    if not isinstance(value, list) or not value or len(value) > 100:
        raise problem("bounds", "found {found}; allowed: a list of 1 to 100 numbers in rising order", found=value)
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number <= 0:
            raise problem(
                "bounds", "found {found}; allowed: finite numbers of seconds > 0 (+Inf is added)", found=number
            )
    if any(left >= right for left, right in itertools.pairwise(value)):
        raise problem("bounds", "the bounds are not in rising order")
    return [float(number) for number in value]


Bounds = Annotated[
    list[float],
    BeforeValidator(_bounds),
    WithJsonSchema(
        {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1, "maxItems": 100}
    ),
]


class Buckets(Settings):
    """Histogram bounds in seconds, where they are not the default."""

    duration: Bounds | None = Field(None, description="Of model_probe_duration_seconds.")
    ttft: Bounds | None = Field(None, description="Of model_probe_ttft_seconds.")
    inter_chunk: Bounds | None = Field(None, description="Of model_probe_inter_chunk_seconds.")


class Metrics(Settings):
    """How results are exposed."""

    histograms: Literal["classic"] = Field("classic", description="Form of histograms.")
    buckets: Buckets = Field(default_factory=Buckets, description="Histogram bounds.")


class File(Settings):
    """A config file."""

    defaults: Defaults = Field(
        default_factory=Defaults, description="What holds where neither target nor module says anything."
    )
    limits: Limits = Field(default_factory=Limits, description="How much is done at once.")
    modules: dict[Name, Module] = Field({}, description="Named, reusable protocol and probes blocks.")
    targets: list[Target] | None = Field(None, description="What is watched. May be empty, must be present.")
    on_demand: OnDemand = Field(default_factory=OnDemand, description="What `/probe` may do.")
    metrics: Metrics = Field(default_factory=Metrics, description="How results are exposed.")

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
            )
        return self._trusted

    def without_targets(self) -> "File":
        """What `/probe` needs of a file, without the memory that targets take."""
        trusted = self.trusted()
        copy = self.model_copy(update={"targets": []})
        copy._trusted = trusted
        return copy
