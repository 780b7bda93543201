"""The `training` block of the config: logs of training jobs that are followed, and the values it stands for."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from exporter.config.cluster import Context, Kubeconfig
from exporter.config.names import Name, ObjectName, Selector
from exporter.config.service import Service, ServiceUrl, service_of
from exporter.model import endpoint
from exporter.model.training import MAX_NAMES, STALL_AFTER, Divergence, Outcome, Rules
from exporter.protocols.patterns import Regex
from exporter.settings import FilePath, PositiveDuration, Settings, SmallCount, problem
from exporter.training import patterns
from exporter.training.folder import Folder
from exporter.training.follow import Job
from exporter.training.sources import Source
from exporter.training.sources.file import File
from exporter.training.sources.http import Http
from exporter.training.sources.kubernetes import Kubernetes
from exporter.training.sources.mlflow import Mlflow

#: Where a log may come from, one of them.
SOURCES = ("file", "http", "kubernetes", "mlflow")
#: How lines are read where nothing is said.
DEFAULT_PRESET = "plain"

Preset = Literal["huggingface", "json", "keras", "lightgbm", "lightning", "plain", "xgboost"]


def _groups(value: str) -> str:
    try:
        patterns.check(value)
    except ValueError as error:
        raise problem("regex", str(error)) from None
    return value


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value < 1e9:
        raise problem("factor", "found {found}; allowed: a number > 1", found=value)
    return float(value)


LineRegex = Annotated[Regex, AfterValidator(_groups)]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,255}$")]
ValueName = Annotated[str, Field(min_length=1, max_length=128)]
Factor = Annotated[float, BeforeValidator(_factor), WithJsonSchema({"type": "number", "exclusiveMinimum": 1})]


class TrainingFile(Settings):
    """A file that grows, or with `glob` one for each job."""

    path: FilePath | None = Field(None, description="The file; it need not be there yet.")
    glob: FilePath | None = Field(
        None, description="Which files are jobs: *, ? and [] as in a shell, ** for any folders. Goes with job_from."
    )
    start: Literal["beginning", "end"] = Field("beginning", description="Where a file is begun that is there already.")
    forget: PositiveDuration = Field(
        3600.0, description="With glob: a job is followed until its file was not written to for so long."
    )
    limit: SmallCount = Field(100, description="With glob: jobs that are followed at most, those written to last.")


class TrainingHttp(Service):
    """A log over HTTP: server-sent events, lines of JSON or plain lines; the answer says which."""

    url: ServiceUrl = Field(description="Where the log is: http:// or https://.")


class TrainingKubernetes(Settings):
    """The log of a pod: exactly one of pod, selector."""

    namespace: ObjectName | None = Field(
        None, description="Its namespace. Default: the exporter's own, or that of the kubeconfig's context."
    )
    pod: ObjectName | None = Field(None, description="The pod's name.")
    selector: Selector | None = Field(
        None, description="Labels that select it, such as job-name=train; of several pods the newest is followed."
    )
    container: ObjectName | None = Field(None, description="The container. Default: the pod's default or first one.")
    kubeconfig: Kubeconfig = None
    context: Context = None


class TrainingMlflow(Service):
    """A run of an MLflow tracking server: its metrics, its steps and how it ends."""

    url: ServiceUrl = Field(description="The tracking server: http:// or https://.")
    run: RunId = Field(description="The run's id.")


class Ends(Settings):
    """Lines that tell how the job ended, beside those that the preset knows."""

    finished: Regex | None = Field(None, description="Found in a line that says it is done.")
    failed: Regex | None = Field(
        None, description="Found in a line that says it failed. Default: the first line of a Python traceback."
    )
    killed: Regex | None = Field(
        None, description="Found in a line that says someone ended it. Default: KeyboardInterrupt."
    )


class Diverged(Settings):
    """When a job counts as diverged: its last values were all too large, or not finite."""

    name: ValueName = Field("loss", description="The value that is watched.")
    factor: Factor = Field(2.0, description="Too large is more than so many times the smallest value there was.")
    values: SmallCount = Field(10, description="How many values in a row.")


class Training(Settings):
    """A training job whose log is followed: exactly one of file, http, kubernetes, mlflow."""

    job: Name | None = Field(None, description="Unique name: the label `training`.")
    job_from: Literal["filename", "folder"] | None = Field(
        None,
        description="In place of job, with file.glob: each file is a job, called as the file without an ending such as "
        ".log, or as the folder it lies in.",
    )
    file: TrainingFile | None = Field(None, description="A log file, or several.")
    http: TrainingHttp | None = Field(None, description="A log over HTTP.")
    kubernetes: TrainingKubernetes | None = Field(None, description="The log of a pod.")
    mlflow: TrainingMlflow | None = Field(None, description="A run of an MLflow tracking server.")
    preset: Preset | None = Field(None, description=f"What prints the lines. Default: {DEFAULT_PRESET}.")
    regex: LineRegex | None = Field(
        None,
        description="In place of preset: each named group is a value, but step, steps, epoch, epochs and progress; "
        "groups name and value go together.",
    )
    ends: Ends | None = Field(None, description="Lines that tell how the job ended.")
    stall_after: PositiveDuration = Field(
        STALL_AFTER, description="A job that has not ended is stalled when it told no value for so long."
    )
    names: Annotated[list[ValueName], Field(min_length=1, max_length=1000)] | None = Field(
        None, description=f"The values that are kept. Default: the first {MAX_NAMES} names that come."
    )
    diverged: Diverged | None = Field(None, description="Tell a job that diverged. Default: it is not looked for.")


def sources_of(block: Training) -> list[str]:
    """The sources a block gives; exactly one where it is right."""
    return [source for source in SOURCES if getattr(block, source) is not None]


def followed(blocks: Iterable[Training]) -> Iterator[Job | Folder]:
    """What a file that `loader.load` gave back wants followed."""
    for block in blocks:
        job = Job(
            name=block.job or "",
            source=_source(block),
            preset=None if block.regex is not None else block.preset or DEFAULT_PRESET,
            regex=block.regex,
            ends={Outcome(name): regex for name, regex in block.ends or () if regex is not None},
            rules=_rules(block),
        )
        file = block.file
        if file is not None and file.glob is not None and block.job_from is not None:
            yield Folder(file.glob, job, block.job_from, file.forget, file.limit)
        else:
            yield job


def _rules(block: Training) -> Rules:
    given = block.diverged
    return Rules(
        stall_after=block.stall_after,
        names=None if block.names is None else frozenset(block.names),
        divergence=None if given is None else Divergence(given.name, given.factor, given.values),
    )


def _source(block: Training) -> Source:
    if block.file is not None:
        return File(block.file.path or "", block.file.start)
    if block.http is not None:
        return Http(service_of(block.http))
    if block.kubernetes is not None:
        return Kubernetes(**dict(block.kubernetes))
    assert block.mlflow is not None  # noqa: S101 - check says so
    return Mlflow(_tracking(block.mlflow), block.mlflow.run)


def _tracking(block: TrainingMlflow) -> endpoint.Service:
    """The server alone: paths of its API are added to its url."""
    service = service_of(block)
    return replace(service, url=service.url.partition("?")[0].rstrip("/"))
