"""docs/reference/metrics.md, written from the declarations: every metric, and how many series a probe has."""

from collections.abc import Iterable

from exporter.metrics.catalog import DRIFT_FAMILIES, FAMILIES, TOKEN_TYPES
from exporter.metrics.evaluation import EVALUATION_SERIES
from exporter.metrics.family import Family, Rows
from exporter.metrics.own import MISSING, OWN, OwnFamily
from exporter.metrics.replicas import REPLICA_FAMILIES
from exporter.metrics.training import TRAINING_FAMILIES
from exporter.model.job import Kind


def series(kind: Kind) -> int:
    """Series that one more healthy probe of this kind has over HTTPS."""
    return sum(family.series for family in FAMILIES if family.rows.holds(kind))


#: Series that every other probe has, and an evaluation has not: it is no exchange by itself, and its answers may tell
#: no tokens.
_UNTOLD = sum(
    family.series
    for family in FAMILIES
    if family.name.removeprefix("model_probe_")
    in ("last_duration_seconds", "phase_seconds", "http_status_code", "response_size_bytes", "tokens_total")
)

#: Series a healthy target has beside those of its probes.
TARGET_SERIES = sum(family.series for family in FAMILIES if family.rows is Rows.TARGET)


_INTRODUCTION = f"""\
# Metrics

Written by `model-exporter` from its own declarations; do not edit.

Every series of a watched target carries `target`, `model` and the labels the config gives the target; series of a
probe add `probe`, its name. The series of one replica of a target add `address`; what tells of all of them together has
none. The exporter probes on a schedule of its own, so a scrape shows the latest results and
starts nothing: `model_probe_last_run_timestamp_seconds` says how old they are. A gauge of the last run that the last
run did not produce is absent, never zero and never an older value. There are no `_created` series, and no timestamps
on samples. Histograms carry the trace id of a run as exemplar where the scraper asks for OpenMetrics or protobuf; in
protobuf they may have native buckets, beside or instead of these ([histograms](../histograms.md)).

## Series

A healthy target over HTTPS has {TARGET_SERIES} series of its own. Each probe adds, by its kind, at the default bounds:

| kind | series |
|---|---|
"""


def metrics_page() -> str:
    """All of the page, as Markdown."""
    kinds = "".join(
        f"| `{kind}` | {series(kind)} |\n" for kind in (Kind.HEALTH, Kind.READY, Kind.METADATA, Kind.INFER, Kind.STREAM)
    )
    return (
        f"{_INTRODUCTION}{kinds}\n"
        "Each fact, reason, pair of states, skip or pause reason, limit of a budget (two), further channel and number "
        "of a server's load that was seen adds its own. An `infer` probe whose "
        f"server counts no tokens has {len(TOKEN_TYPES)} fewer, and a canary that is watched for drift "
        f"{len(DRIFT_FAMILIES)} more. A target has one more once a canary was good, and another once it is known what "
        "its first request had to wait for. "
        f"An `evaluate` probe has {series(Kind.EVALUATE) - _UNTOLD} series once it ran, {EVALUATION_SERIES} of the "
        "target by its name, and one for each type of tokens that its answers told.\n\n"
        f"## Watched targets\n\n{_table((*FAMILIES, *REPLICA_FAMILIES, MISSING))}\n"
        "## Training jobs\n\n"
        "Every series carries `training`, the job's name in the config, and no label of a target. A job has "
        f"{sum(family.series for family in TRAINING_FAMILIES)} series, and one more for each name of a value and each "
        f"other number that its log told.\n\n{_table(TRAINING_FAMILIES)}\n"
        f"## The exporter itself\n\n{_table(OWN)}\n"
        "Beside them the standard `process_*` and `python_info`. `/probe` answers `probe_success` and "
        "`probe_duration_seconds` as blackbox_exporter does, with the metrics of those runs.\n"
    )


def _table(families: Iterable[Family | OwnFamily]) -> str:
    rows = [
        f"| `{family.name}` | {family.type} | {', '.join(_labels(family))} | {family.help} |\n" for family in families
    ]
    return "| metric | type | labels | meaning |\n|---|---|---|---|\n" + "".join(rows)


def _labels(family: Family | OwnFamily) -> Iterable[str]:
    if isinstance(family, Family) and family.rows is Rows.TRAINING:
        yield "training"
    elif isinstance(family, Family) and family.rows not in (Rows.TARGET, Rows.REPLICAS):
        yield "probe"
    yield from family.labels
