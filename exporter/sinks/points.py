"""Records as OpenTelemetry metrics: names, labels and numbers of /metrics, a point for each record at its own time.

Counters and histograms are cumulative since a probe's first run. They are kept in a ledger of the sink's own, booked
like the exporter's: the numbers are the same because the code is. Each record is an exemplar of the counter that counts
it: `record_id` is its id, and `trace_id` that of the run.

OpenTelemetry's own part: the data model of the SDK (opentelemetry.sdk.metrics.export) and its OTLP encoder.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporter import __version__
from exporter.contracts import Record
from exporter.ledger import Bounds, Histogram, Ledger, ProbeRecord, TargetRecord
from exporter.ledger.records import counted
from exporter.metrics.catalog import FAMILIES
from exporter.metrics.family import Family
from exporter.metrics.text import Type
from exporter.model.result import Result
from exporter.model.state import State

_FAMILIES: Mapping[str, Family] = {family.name: family for family in FAMILIES}
#: Seconds without a record after which a target's counters are given up; should it come back, they begin anew.
FORGET = 25 * 3600.0
#: Seconds after which a state that holds is told again.
AGAIN = 60.0
_UNITS = {"seconds": "s", "bytes": "By"}

_CERTIFICATE = "model_probe_tls_certificate_not_after_timestamp_seconds"
#: Gauges of the last run: the metric, and the slot that holds it.
_GAUGES = (
    ("model_probe_last_duration_seconds", "last_duration"),
    ("model_probe_last_run_timestamp_seconds", "last_run_at"),
    ("model_probe_last_success_timestamp_seconds", "last_success_at"),
    ("model_probe_http_status_code", "http_status"),
    ("model_probe_response_size_bytes", "response_bytes"),
    ("model_probe_stream_max_gap_seconds", "max_gap"),
    ("model_probe_time_per_output_token_seconds", "time_per_output_token"),
    ("model_probe_output_tokens_per_second", "tokens_per_second"),
)
#: Counters: the metric, and the slot that holds it.
_COUNTERS = (
    ("model_probe_runs_total", "runs"),
    ("model_probe_successes_total", "successes"),
    ("model_probe_attempts_total", "attempts"),
    ("model_probe_retries_total", "retries"),
)
#: The same with a label of their own; the slot holds a number for each of its values.
_GAUGES_BY = (
    ("model_probe_phase_seconds", "phase", "phases"),
    ("model_probe_server_seconds", "part", "server_seconds"),
)
_COUNTERS_BY = (
    ("model_probe_stream_outcomes_total", "outcome", "outcomes"),
    ("model_probe_tokens_total", "token_type", "tokens"),
)


class Points:
    """What one sink has made of its records so far. One thread at a time uses it."""

    def __init__(self, bounds: Bounds, resource: Mapping[str, str], began: float) -> None:
        self._ledger = Ledger(Bounds(bounds.duration, bounds.ttft, bounds.inter_chunk))  # classic ones alone
        self._heard: dict[str, _Heard] = {}  #: by target
        self._began = _nanos(began)
        self._scope = InstrumentationScope("model-exporter", __version__)
        own = {"service.name": "model-exporter", "service.instance.id": socket.gethostname(),
               "service.version": __version__}  # fmt: skip
        self._resource = Resource({**own, **resource})

    def encode(self, batch: Sequence[Record]) -> bytes:
        """An ExportMetricsServiceRequest with the points of these records. Call it once for each record, in order."""
        found: dict[str, list[Any]] = {}
        for record in batch:
            self._add(record, found)
        self._forget(max((record.at for record in batch), default=0.0))
        metrics = [self._metric(_FAMILIES[name], points) for name, points in found.items()]
        whole = sdk.ResourceMetrics(self._resource, [sdk.ScopeMetrics(self._scope, metrics, "")], "")
        encoded: bytes = encode_metrics(sdk.MetricsData([whole])).SerializeToString()
        return encoded

    def _metric(self, family: Family, points: list[Any]) -> sdk.Metric:
        cumulative = sdk.AggregationTemporality.CUMULATIVE
        data: Any
        match family.type:
            case Type.GAUGE:
                data = sdk.Gauge(points)
            case Type.COUNTER:
                data = sdk.Sum(points, cumulative, is_monotonic=True)
            case _:
                data = sdk.Histogram(points, cumulative)
        unit = _UNITS.get(family.name.removesuffix("_total").rpartition("_")[2], "")
        return sdk.Metric(family.name, family.help, unit, data)

    # --- records --------------------------------------------------------------------------------------------------

    def _add(self, record: Record, found: dict[str, list[Any]]) -> None:
        target, result = record.target, record.source
        address = {"address": target.address} if target.address else {}
        labels = {"target": target.title, "model": target.model, **target.labels, **address}
        key = {"record_id": record.id}
        if isinstance(result, Result):
            key["trace_id"] = result.trace_id
        exemplar = Exemplar(key, 1, _nanos(record.at))
        into = _Into(found, self._began, _nanos(record.at), labels, exemplar)
        heard = self._heard.setdefault(target.name, _Heard())
        # Records of two probes may come in another order than their times: no receiver takes a series back in time.
        if record.at >= heard.at:
            heard.at = record.at
            if record.state is not None and (record.state is not heard.state or record.at >= heard.told + AGAIN):
                heard.state, heard.told = record.state, record.at
                into.state(record.state)
            if isinstance(result, Result):
                into.gauge(_CERTIFICATE, result.measurement.certificate_not_after)
        if isinstance(result, Result):
            into.score(result)
            probe, began = self._book(result, heard)
            _run(probe, _Into(found, began, into.at, {**labels, "probe": result.job.probe}, exemplar))
        elif record.type == "state_change":
            known = self._target(record)
            known.state_changes = counted(known.state_changes, (result.before, result.verdict.state))
            for (before, after), count in known.state_changes.items():
                told = (before, after) == (result.before, result.verdict.state)
                into.counter("model_probe_state_changes_total", count, told, **{"from": before, "to": after})

    def _target(self, record: Record) -> TargetRecord:
        """What is remembered of a record's target; of one without a run, no more than its changes of state."""
        name = record.target.name
        known = self._ledger.targets.get(name)
        if known is None:
            known = self._ledger.targets[name] = TargetRecord(record.target, 0, 0.0, record.at)
        return known

    def _book(self, result: Result, heard: "_Heard") -> tuple[ProbeRecord, int]:
        """The numbers of a probe with this run in them, and since when they count."""
        job, ledger = result.job, self._ledger
        target = ledger.targets.get(job.target.name)
        probe = target.probes.get(job.probe) if target is not None else None
        if probe is None or probe.job.fingerprint != job.fingerprint:
            probe = ledger.add(job)
            heard.since[job.probe] = _nanos(result.at - (result.ended - result.started))
        ledger.record(replace(result, generation=ledger.targets[job.target.name].generation))
        return probe, heard.since[job.probe]

    def _forget(self, now: float) -> None:
        for name in [name for name, heard in self._heard.items() if now - heard.at > FORGET]:
            del self._heard[name]
            self._ledger.targets.pop(name, None)


class _Heard:
    """What was heard of a target last: when, in Unix seconds, its state, and when that was told. `since`: by probe,
    when the first run began that its numbers count, in nanoseconds.
    """

    __slots__ = ("at", "since", "state", "told")

    def __init__(self) -> None:
        self.at = self.told = 0.0
        self.state: State | None = None
        self.since: dict[str, int] = {}


class _Into:
    """Adds points of one record, which share time and labels, to those found so far, by metric."""

    __slots__ = ("_began", "_exemplar", "_found", "_labels", "at")

    def __init__(
        self, found: dict[str, list[Any]], began: int, at: int, labels: Mapping[str, str], exemplar: Exemplar
    ) -> None:
        self._found = found
        self._began = began
        self.at = at
        self._labels = labels
        self._exemplar = exemplar

    def gauge(self, name: str, value: float | None, **labels: str) -> None:
        """One point; none where there is no number."""
        if value is not None:
            self._put(name, sdk.NumberDataPoint(self._with(labels), 0, self.at, value))

    def counter(self, name: str, value: int, told: bool = False, **labels: str) -> None:
        """One point of a sum; `told`: it is the one that counts the record."""
        exemplars = [self._exemplar] if told else []
        self._put(name, sdk.NumberDataPoint(self._with(labels), self._began, self.at, value, exemplars))

    def histogram(self, name: str, value: Histogram, **labels: str) -> None:
        """One point of a histogram."""
        # Smallest and largest are not kept; the encoder leaves them out.
        unknown: Any = None
        point = sdk.HistogramDataPoint(
            self._with(labels), self._began, self.at, value.count, value.sum, tuple(value.counts),
            tuple(value.bounds), unknown, unknown,
        )  # fmt: skip
        self._put(name, point)

    def state(self, now: State) -> None:
        """What is believed of a target."""
        if now is not State.UNKNOWN:
            self.gauge("model_probe_up", int(now is State.HEALTHY))
        for state in State:
            self.gauge("model_probe_state", int(now is state), state=state)

    def score(self, result: Result) -> None:
        """What an evaluation found."""
        score = result.observation.score
        if score is not None:
            evaluation = {"evaluation": result.job.probe}
            self.gauge("model_probe_evaluation_score", score.value, **evaluation, metric=score.metric)
            self.gauge("model_probe_evaluation_threshold", score.threshold, **evaluation, metric=score.metric)
            self.gauge("model_probe_evaluation_coverage", score.coverage, **evaluation)

    def slots(self, probe: ProbeRecord) -> None:
        """Points of all numbers of a probe that are told as they stand in its slots."""
        for name, slot in _GAUGES:
            self.gauge(name, getattr(probe, slot))
        for name, slot in _COUNTERS:
            self.counter(name, getattr(probe, slot), slot == "runs")
        for name, label, slot in _GAUGES_BY:
            for value, seconds in getattr(probe, slot).items():
                self.gauge(name, seconds, **{label: value})
        for name, label, slot in _COUNTERS_BY:
            for value, count in (getattr(probe, slot) or {}).items():
                self.counter(name, count, **{label: value})

    def _with(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {**self._labels, **{name: str(value) for name, value in labels.items()}}

    def _put(self, name: str, point: Any) -> None:
        self._found.setdefault(name, []).append(point)


def _run(probe: ProbeRecord, into: _Into) -> None:
    """Points of all that is known of a probe after a run."""
    into.gauge("model_probe_success", int(bool(probe.success)))
    for (status, reason), count in probe.failures.items():
        into.counter("model_probe_failures_total", count, status=status, reason=reason)
    into.histogram("model_probe_duration_seconds", probe.duration)
    for channel, histogram in probe.ttft.items():
        into.histogram("model_probe_ttft_seconds", histogram, channel=channel)
    if probe.inter_chunk is not None:
        into.histogram("model_probe_inter_chunk_seconds", probe.inter_chunk)
    into.slots(probe)


def _nanos(at: float) -> int:
    return int(at * 1_000_000) * 1000
