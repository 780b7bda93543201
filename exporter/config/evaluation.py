"""An `evaluate` probe: its own keys beside those of its protocol's infer probe, and the value they stand for."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path as FileSystemPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from exporter.config.access import Tls, tls_of
from exporter.config.messages import WRITTEN, translate
from exporter.config.problems import write_path
from exporter.contracts import ModelProtocol
from exporter.evaluation.scorers import SCORERS
from exporter.model import evaluation as model
from exporter.model.evaluation import Question, Unusable
from exporter.model.job import Kind
from exporter.protocols.family import Canary
from exporter.protocols.values import JmesPath
from exporter.settings import FilePath, Headers, Settings, Size, SmallCount, problem, shown
from exporter.url import parse

#: (path below the probe, message)
_Problem = tuple[tuple[str | int, ...], str]


def _url(value: str) -> str:
    if not re.match("https?://", value, re.IGNORECASE):
        raise problem(
            "url", "found something else (not shown); allowed: a url such as https://data.example/golden.jsonl"
        )
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise problem("url", "the url holds credentials (not shown); they belong in headers")
    parse(value)
    return value


def _file(value: str) -> str:
    if not FileSystemPath(value).is_file():
        raise problem("path", f"file not found, or not a regular file: {value}")
    return value


class Dataset(Settings):
    """Where the examples are: a file, or a url."""

    file: Annotated[FilePath, AfterValidator(_file)] | None = Field(None, description="A file.")
    url: Annotated[str, AfterValidator(_url)] | None = Field(
        None, description="An address, http:// or https://, that is asked before each run; sent again if it changed."
    )
    format: Literal["jsonl", "csv"] | None = Field(
        None, description="Its form. Default: csv by its ending, else jsonl."
    )
    headers: Headers | None = Field(
        None, description="Headers sent to the url, such as Authorization; every value counts as a secret."
    )
    tls: Tls | None = Field(None, description="TLS of the connection to the url.")
    max_size: Size = Field(10_000_000, description="Longest data set that is read.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.url is None):
            raise problem("dataset", "needs exactly one of file and url")
        if self.file is not None and (self.headers is not None or self.tls is not None):
            raise problem("dataset", "headers and tls go with a url; this is a file")
        return self


class Evaluate(Settings):
    """A golden set: its examples are asked, and the answers scored. Every key of infer holds for all examples."""

    dataset: Dataset | None = Field(None, description="Where the examples are: a file, or a url.")
    scorer: Literal["accuracy", "exact_match", "f1", "mae", "rmse", "cosine", "regex", "jmespath"] | None = Field(
        None, description="How answers are scored: see docs/evaluation.md."
    )
    command: list[str] | None = Field(
        None, min_length=1, description="A program that scores in place of a scorer: one JSON line in, one out."
    )
    average: Literal["macro", "micro", "weighted"] | None = Field(
        None, description="Of f1: how the classes are averaged. Default: macro."
    )
    answer: JmesPath | None = Field(
        None, description="Where in the server's JSON the answer is. Default: what the protocol takes for it."
    )
    at_least: float | None = Field(None, description="The lowest score that is good.")
    at_most: float | None = Field(None, description="The highest score that is good, of mae and rmse.")
    drop: Annotated[float, Field(ge=0)] | None = Field(
        None, description="How much worse than the baseline a score may be."
    )
    baseline: FilePath | None = Field(
        None, description="The score that `drop` is held against: `model-exporter evaluate --save-baseline` writes it."
    )
    min_coverage: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95, description="Share of the examples that must be answered; a run with fewer changes nothing."
    )
    in_flight: SmallCount = Field(
        1, description="Examples asked at once; at most half of limits.per_host and of limits.concurrency."
    )
    save: FilePath | None = Field(None, description="A file that each run writes anew: its score and all its examples.")


@cache
def keys(infer: type[Settings]) -> type[Settings]:
    """The settings model of an `evaluate` probe, of the model that the protocol's infer probe has."""
    return type(f"Evaluate{infer.__name__}", (Evaluate, infer), {"__doc__": Evaluate.__doc__})


def problems(settings: Evaluate) -> Iterator[_Problem]:
    """What is missing or contradictory once target, module and defaults are merged."""
    if settings.dataset is None:
        yield ("dataset",), "missing; needs {file: PATH} or {url: URL}"
    if (settings.scorer is None) == (settings.command is None):
        found = "none" if settings.scorer is None else "scorer and command"
        yield ("scorer",), f"found {found}; needs exactly one of scorer and command"
        return
    if settings.average is not None and settings.scorer != "f1":
        yield ("average",), "a key of the scorer f1"
    scorer = SCORERS[settings.scorer or "command"]
    right, wrong = ("at_most", "at_least") if scorer.lower_is_better else ("at_least", "at_most")
    if getattr(settings, wrong) is not None:
        better = "lower" if scorer.lower_is_better else "higher"
        yield (wrong,), f"{scorer.name} is better when it is {better}; allowed: {right}"
    bound = getattr(settings, right)
    if bound is not None and scorer.span is not None and not scorer.span[0] <= bound <= scorer.span[1]:
        yield (right,), f"found {shown(bound)}; allowed: a score of {scorer.name}, from {_span(scorer.span)}"
    if (settings.drop is None) != (settings.baseline is None):
        lone, lacking = ("baseline", "drop") if settings.drop is None else ("drop", "baseline")
        yield (lone,), f"needs {lacking} beside it"
    elif bound is not None and settings.drop is not None:
        yield (right,), f"found {right} and drop; needs at most one of them"


def warnings(settings: Evaluate) -> Iterator[_Problem]:
    """What should be mended though it works."""
    if settings.baseline is not None and not FileSystemPath(settings.baseline).is_file():
        how = "write it with model-exporter evaluate --save-baseline; until then no run says anything"
        yield ("baseline",), f"file not found: {settings.baseline}; {how}"


def _span(span: tuple[float, float]) -> str:
    return f"{span[0]:g} on" if span[1] == float("inf") else f"{span[0]:g} to {span[1]:g}"


def value_of(settings: Evaluate, question: model.MakeQuestion) -> model.Evaluation:
    """The evaluation that settings without problems stand for."""
    dataset = settings.dataset
    if dataset is None:
        raise ValueError("the settings of an evaluate probe are wrong; load them first")
    where = dataset.file or (dataset.url or "").partition("?")[0]
    bound = settings.at_least if settings.at_least is not None else settings.at_most
    return model.Evaluation(
        source=model.Source(
            name=where,
            form=dataset.format or ("csv" if where.lower().endswith(".csv") else "jsonl"),
            limit=dataset.max_size,
            path=dataset.file or "",
            url=dataset.url or "",
            headers=tuple((dataset.headers or {}).items()),
            tls=tls_of(dataset.tls),
        ),
        scoring=model.Scoring(
            scorer=settings.scorer or "command",
            command=tuple(settings.command or ()),
            average=settings.average or "macro",
            answer=settings.answer or "",
        ),
        question=question,
        threshold=model.Threshold(bound, settings.drop or 0.0, settings.baseline or ""),
        min_coverage=settings.min_coverage,
        in_flight=settings.in_flight,
        save=settings.save or "",
    )


class Asking:
    """Makes a question of an example: `build` gives the protocol for the settings of a probe, `infer` is their model,
    `base` what holds for all examples.
    """

    __slots__ = ("_base", "_build", "_infer")

    def __init__(self, build: "Build", infer: type[Settings], base: Settings) -> None:
        self._build = build
        self._infer = infer
        self._base = base

    def __call__(self, given: Mapping[str, Any]) -> Question:
        """See `model.evaluation.MakeQuestion`."""
        try:
            # Sealed: what comes in a data set must not be able to name files and variables of this machine.
            own = self._infer.model_validate(dict(given), context={"sealed": True})
        except ValidationError as error:
            found = translate(error.errors(include_url=False), given, self._infer)
            raise Unusable(
                tuple((write_path(each.path), each.message.replace(WRITTEN, _at(given, each.path))) for each in found)
            ) from None
        settings = self._base.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
        if isinstance(settings, Canary):
            settings = settings.as_written()  # the expected answer is to these very words
        instance = self._build(settings)
        if wrong := instance.problems(Kind.INFER):
            raise Unusable(tuple((write_path(path), message) for path, message in wrong))
        return Question(instance.infer, instance.cost())


class Build:
    """Builds a protocol for one target."""

    __slots__ = ("_given", "_protocol")

    def __init__(self, protocol: type[ModelProtocol], **given: Any) -> None:
        self._protocol = protocol
        self._given = given

    def __call__(self, settings: Settings) -> Any:
        """The protocol with the settings of one probe."""
        return self._protocol(settings=settings, **self._given)


def _at(value: Any, path: tuple[str | int, ...]) -> str:
    for part in path:
        value = value[part]
    return shown(value)
