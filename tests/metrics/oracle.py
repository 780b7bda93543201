"""The same numbers kept the ordinary way: one prometheus_client object per metric, written as results come in.

It reads results and never the ledger, so that it and the renderer can only agree by both being right.
"""

from collections.abc import Callable
from statistics import median

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from exporter.ledger import DURATION_BOUNDS, INTER_CHUNK_BOUNDS, TTFT_BOUNDS
from exporter.ledger.lifecycle import USUAL
from exporter.model.failure import Status
from exporter.model.job import Job, Kind
from exporter.model.observation import Part
from exporter.model.result import Result
from exporter.model.state import State
from exporter.model.stream import Outcome

disable_created_metrics()


class Oracle:
    """Give it what the ledger gets; `registry` then holds what a scrape must show."""

    def __init__(self, *extra: str, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.registry = CollectorRegistry()
        self.clock = clock
        self._base = ("target", "model", *extra)
        self._metrics: dict[str, MetricWrapperBase] = {}
        self._states: dict[str, tuple[State, float]] = {}
        self._verdicts: dict[str, tuple[State, bool]] = {}
        self._info: dict[str, dict[str, str]] = {}
        self._facts: dict[tuple[str, str], float] = {}
        self._targets: dict[str, Job] = {}
        self._described: set[tuple[str, str]] = set()
        #: Good canaries since the target was added, which these tests do first: (probe, duration).
        self._good: dict[str, list[tuple[str, float | None]]] = {}

    def _get(
        self, kind: type[MetricWrapperBase], name: str, own: tuple[str, ...], bounds: tuple[float, ...] = ()
    ) -> MetricWrapperBase:
        if name not in self._metrics:
            options = {"buckets": bounds} if bounds else {}
            labels = (*self._base, *own)
            self._metrics[name] = kind(f"model_probe_{name}", "An oracle.", labels, registry=self.registry, **options)
        return self._metrics[name]

    def _values(self, job: Job, *own: str) -> tuple[str, ...]:
        return (job.target.name, job.target.model, *job.target.labels.values(), *own)

    def gauge(self, job: Job, name: str, value: float | None, labels: tuple[str, ...] = (), *own: str) -> None:
        metric = self._get(Gauge, name, labels)
        if value is None:
            if self._values(job, *own) in metric._metrics:
                metric.remove(*self._values(job, *own))
        else:
            metric.labels(*self._values(job, *own)).set(value)

    def count(self, job: Job, name: str, by: float, labels: tuple[str, ...] = (), *own: str) -> None:
        self._get(Counter, name, labels).labels(*self._values(job, *own)).inc(by)

    def observe(self, job: Job, name: str, bounds: tuple[float, ...], labels: tuple[str, ...], *own: str) -> Histogram:
        return self._get(Histogram, name, labels, bounds).labels(*self._values(job, *own))

    def watch(self, job: Job) -> None:
        name, probe = job.target.name, ("probe",)
        if name not in self._targets:
            self._targets[name] = job
            self._states[name] = (State.UNKNOWN, self.clock())
            self._info[name] = {}
            for state in State:
                self.gauge(job, "state", state is State.UNKNOWN, ("state",), state)
                self.count(job, "state_seconds", 0, ("state",), state)
            for sides in (("ok", "bad"), ("bad", "ok")):
                self.count(job, "disagreement", 0, ("cheap", "canary"), *sides)
            self.gauge(job, "verified", 0)
        for counter in ("runs", "successes", "attempts", "retries"):
            self.count(job, counter, 0, probe, job.probe)
        self.observe(job, "duration_seconds", DURATION_BOUNDS, probe, job.probe)
        self.gauge(job, "interval_seconds", job.schedule.interval, probe, job.probe)
        self.gauge(job, "timeout_seconds", job.schedule.timeout, probe, job.probe)
        if job.kind is Kind.STREAM:
            self.observe(job, "inter_chunk_seconds", INTER_CHUNK_BOUNDS, probe, job.probe)
            for outcome in Outcome:
                self.count(job, "stream_outcomes", 0, ("probe", "outcome"), job.probe, outcome)
            for kind in ("input", "output", "reasoning", "cached"):
                self.count(job, "tokens", 0, ("probe", "token_type"), job.probe, kind)

    def run(self, result: Result) -> None:
        job, found, probe = result.job, result.measurement, result.job.probe
        healthy = result.status is Status.HEALTHY
        own = ("probe",)
        self.count(job, "runs", 1, own, probe)
        self.count(job, "successes", healthy, own, probe)
        self.count(job, "attempts", result.attempts, own, probe)
        self.count(job, "retries", result.attempts - 1, own, probe)
        self.gauge(job, "success", healthy, own, probe)
        self.gauge(job, "last_run_timestamp_seconds", result.at, own, probe)
        self.gauge(job, "last_duration_seconds", found.duration, own, probe)
        self.gauge(job, "http_status_code", found.http_status, own, probe)
        self.gauge(job, "response_size_bytes", found.response_bytes, own, probe)
        for phase in ("dns", "connect", "tls", "first_byte", "transfer"):
            self.gauge(job, "phase_seconds", found.phases.get(phase), ("probe", "phase"), probe, phase)
        for part in Part if job.kind.canary else ():
            took = result.observation.server_seconds.get(part)
            self.gauge(job, "server_seconds", took, ("probe", "part"), probe, part)
        if found.certificate_not_after is not None:
            self.gauge(job, "tls_certificate_not_after_timestamp_seconds", found.certificate_not_after)
        if healthy:
            self.gauge(job, "last_success_timestamp_seconds", result.at, own, probe)
            if found.duration is not None:
                self.observe(job, "duration_seconds", DURATION_BOUNDS, own, probe).observe(
                    found.duration, {"trace_id": result.trace_id}
                )
        else:
            self.count(job, "failures", 1, ("probe", "status", "reason"), probe, result.status, result.reason)
        self._settle(job)
        self._tell(result)
        if healthy and job.kind.canary:
            self._come_up(result)
        if job.kind is Kind.STREAM:
            self._stream(result)
        if tokens := result.observation.tokens:
            for kind in ("input", "output", "reasoning", "cached"):
                self.count(job, "tokens", getattr(tokens, kind), ("probe", "token_type"), probe, kind)

    def _tell(self, result: Result) -> None:
        if result.status is Status.ERROR:
            return
        name, job = result.job.target.name, result.job
        for key, value in result.observation.info.items():
            own = (name, key) in self._described
            if job.kind.canary and own:
                continue
            if (job.kind.canary or own) and self._info[name].get(key, value) != value:
                self.count(job, "metadata_changes", 1, ("key",), key)
            if not job.kind.canary:
                self._described.add((name, key))
            self._info[name][key] = value
        for key, value in result.observation.facts.items():
            if self._facts.get((name, key), value) != value:
                self.count(job, "metadata_changes", 1, ("key",), key)
            self._facts[name, key] = value
            self.gauge(job, "metadata", value, ("key",), key)

    def _come_up(self, result: Result) -> None:
        job, good = result.job, self._good.setdefault(result.job.target.name, [])
        good.append((job.probe, result.measurement.duration))
        if len(good) == 1:
            self.gauge(job, "load_seconds", result.ended)
        (probe, first), *others = good
        usual = [seconds for name, seconds in others if name == probe and seconds is not None]
        if first is not None and len(usual) == USUAL:
            self.gauge(job, "first_request_penalty_seconds", max(0.0, first - median(usual)))

    def _stream(self, result: Result) -> None:
        job, stream, own = result.job, result.observation.stream, ("probe",)
        for name in ("time_per_output_token", "output_tokens_per_second", "max_gap"):
            label = {"max_gap": "stream_max_gap_seconds", "time_per_output_token": "time_per_output_token_seconds"}
            self.gauge(job, label.get(name, name), getattr(stream, name) if stream else None, own, job.probe)
        if stream:
            self.count(job, "stream_outcomes", 1, ("probe", "outcome"), job.probe, stream.outcome)
            for gap in stream.gaps:
                self.observe(job, "inter_chunk_seconds", INTER_CHUNK_BOUNDS, own, job.probe).observe(gap)
            for channel, seconds in stream.ttft.items():
                labels = ("probe", "channel")
                self.observe(job, "ttft_seconds", TTFT_BOUNDS, labels, job.probe, channel).observe(
                    seconds, {"trace_id": result.trace_id}
                )
            if result.observation.tokens is None:
                self.count(job, "tokens", stream.token_events, ("probe", "token_type"), job.probe, "output")

    def _settle(self, job: Job) -> State:
        name, now = job.target.name, self.clock()
        state, since = self._states[name]
        self.count(job, "state_seconds", now - since, ("state",), state)
        self._states[name] = (state, now)
        return state

    def judge(self, target: str, state: State, *, verified: bool) -> None:
        job = self._targets[target]
        if self._verdicts.get(target, (State.UNKNOWN, False)) == (state, verified):
            return
        self._verdicts[target] = (state, verified)
        before = self._settle(job)
        self.gauge(job, "verified", verified)
        if state is before:
            return
        self.count(job, "state_changes", 1, ("from", "to"), before, state)
        self._states[target] = (state, self.clock())
        for each in State:
            self.gauge(job, "state", each is state, ("state",), each)
        self.gauge(job, "up", None if state is State.UNKNOWN else state is State.HEALTHY)

    def info(self, target: str) -> dict[str, str]:
        return {"protocol": self._targets[target].target.protocol, **self._info[target]}
