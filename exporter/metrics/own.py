"""The exporter's own metrics: declared here, held in a prometheus_client registry of their own.

The numbers live in the ledger; a collector hands them to the registry, beside `process_*` and `python_info`.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.ledger import Histogram, Own
from exporter.metrics import protobuf
from exporter.metrics.text import Type, number, pairs

Reading = float | Histogram | Mapping[str, float] | Mapping[tuple[str, ...], float] | None


@dataclass(frozen=True, slots=True)
class OwnFamily:
    """One metric of the exporter itself. `read` gives its number, a number per label value, or None while there is
    none.
    """

    name: str
    type: Type
    help: str
    read: Callable[[Own], Reading] = field(repr=False)
    labels: tuple[str, ...] = ()


def _build(_: Own) -> dict[tuple[str, ...], float]:
    try:
        module = type(asyncio.get_running_loop()).__module__
    except RuntimeError:
        module = ""
    loop = "uvloop" if module.startswith("uvloop") else "asyncio"
    return {(__version__, platform.python_version(), loop): 1}


_G, _C, _H = Type.GAUGE, Type.COUNTER, Type.HISTOGRAM

#: Of what is watched, but of no target: that there is none is what it says.
MISSING = OwnFamily("model_probe_models_missing", _G,
    "Models a catalogue was told to expect that the server did not list when it was read last. Each is watched all the "
    "same, and reported as model_not_found. Absent until the list was read.",
    attrgetter("models_missing"), ("source",))  # fmt: skip

OWN: tuple[OwnFamily, ...] = (
    OwnFamily("model_exporter_build_info", _G, "Always 1. Version, Python and event loop of this exporter.",
        _build, ("version", "python", "loop")),
    OwnFamily("model_exporter_config_last_reload_successful", _G,
        "1 when the config in force is the newest that was read, 0 when the newest was refused and an older one runs.",
        lambda own: int(own.reload_successful)),
    OwnFamily("model_exporter_config_last_reload_success_timestamp_seconds", _G,
        "Unix time at which the config in force was loaded.", attrgetter("reload_success_at")),
    OwnFamily("model_exporter_config_reloads_total", _C, "Loads of the config by result, the one at start included.",
        attrgetter("reloads"), ("result",)),
    OwnFamily("model_exporter_targets", _G, "Targets watched, by where they come from.",
        attrgetter("targets"), ("source",)),
    OwnFamily("model_exporter_discovery_last_success_timestamp_seconds", _G,
        "Unix time at which a source was last read: a catalogue by its name, a name look-up as dns:HOST. Targets found "
        "before stay while it fails.", attrgetter("discovery_last_success_at"), ("source",)),
    OwnFamily("model_exporter_discovery_failures_total", _C, "Readings of a source that failed, from 0.",
        attrgetter("discovery_failures"), ("source",)),
    OwnFamily("model_exporter_discovery_over_limit", _G,
        "What a source found last and is not watched, because its limit is reached.",
        attrgetter("discovery_over_limit"), ("source",)),
    OwnFamily("model_exporter_discovery_asleep", _G,
        "Workloads a source of kind kubernetes found that have no replica now. They are left out, and never woken.",
        attrgetter("discovery_asleep"), ("source",)),
    OwnFamily("model_exporter_probes_in_flight", _G, "Runs that hold a slot now.", attrgetter("in_flight")),
    OwnFamily("model_exporter_probes_waiting", _G, "Runs that are due and wait for a slot now.", attrgetter("waiting")),
    OwnFamily("model_exporter_probe_slots", _G, "Runs that may go on at once.", attrgetter("slots")),
    OwnFamily("model_exporter_missed_slots_total", _C,
        "Planned runs dropped because the exporter was late: its overload, not the targets'.",
        attrgetter("missed_slots")),
    OwnFamily("model_exporter_schedule_delay_seconds", _H,
        "From planned to real start of a run, the wait for a slot included. It is in no probe's duration.",
        attrgetter("schedule_delay")),
    OwnFamily("model_exporter_loop_lag_seconds", _H,
        "How late the event loop runs: the error a measurement may have.", attrgetter("loop_lag")),
    OwnFamily("model_exporter_suspect_measurements_total", _C, "Runs measured while the event loop lagged.",
        attrgetter("suspect")),
    OwnFamily("model_exporter_kernel_stamps_total", _C,
        "Reads of targets with timestamps: kernel, by what became of the kernel's stamp. used: times are made of it. "
        "Else of the event loop's: missing (the kernel gave none), clock_moved (the wall clock was set), out_of_order "
        "(the stamp cannot be true, or packets overtook each other).", attrgetter("stamps"), ("result",)),
    OwnFamily("model_exporter_scrape_duration_seconds", _G,
        "Time the last scrape took to write, waiting for its reader excluded.", attrgetter("scrape_seconds")),
    OwnFamily("model_exporter_scrape_series", _G, "Sample lines of the last scrape.", attrgetter("scrape_series")),
    OwnFamily("model_exporter_on_demand_total", _C, "Requests to /probe by result.", attrgetter("on_demand"),
        ("result",)),
    OwnFamily("model_exporter_sink_queued_total", _C,
        "Records a sink took. Those neither written nor dropped are on their way: queued - written - dropped.",
        attrgetter("sink_queued"), ("sink",)),
    OwnFamily("model_exporter_sink_written_total", _C, "Records a sink delivered.", attrgetter("sink_written"),
        ("sink",)),
    OwnFamily("model_exporter_sink_dropped_total", _C,
        "Records a sink gave up: its queue was full, the receiver refused them for good, or the exporter ended. These "
        "are lost.", attrgetter("sink_dropped"), ("sink",)),
    OwnFamily("model_exporter_sink_retried_total", _C, "Tries at a batch of records after its first.",
        attrgetter("sink_retried"), ("sink",)),
    OwnFamily("model_exporter_sink_failed_total", _C,
        "Tries at a batch of records that failed. Rising while model_exporter_sink_written_total stands: the receiver "
        "is down, or the disk is full.", attrgetter("sink_failed"), ("sink",)),
    OwnFamily("model_exporter_component_restarts_total", _C,
        "Times a part of the exporter ended by an error and was started again.", attrgetter("component_restarts"),
        ("component",)),
    OwnFamily("model_exporter_internal_errors_total", _C,
        "Errors nobody foresaw, by part: bugs of the exporter, logged with their traceback.",
        attrgetter("internal_errors"), ("component",)),
)  # fmt: skip


class OwnCollector(Collector):
    """Reads the exporter's counters for a prometheus_client registry."""

    def __init__(self, own: Own) -> None:
        self._own = own

    def collect(self) -> Iterator[Metric]:
        """The declared families that have a number now."""
        for family in (MISSING, *OWN):
            found = family.read(self._own)
            if found is not None:
                yield _metric(family, found)


class _ProcessCollector(ProcessCollector):
    """`process_*`; nothing where /proc says what the library does not foresee, such as no limit of open files."""

    def collect(self) -> Iterable[Metric]:
        try:
            return list(super().collect())
        except (OSError, ValueError, IndexError):
            return []


class OwnMetrics:
    """The registry of everything the exporter says of itself."""

    def __init__(self, own: Own) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(OwnCollector(own))
        _ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def read(self) -> list[Metric]:
        """All its families, read in one step."""
        return list(self.registry.collect())


def _metric(
    family: OwnFamily, found: float | Histogram | Mapping[str, float] | Mapping[tuple[str, ...], float]
) -> Metric:
    if isinstance(found, Histogram):
        edges = [*(str(float(bound)) for bound in found.bounds), "+Inf"]
        buckets = [(edge, float(count)) for edge, count in zip(edges, accumulate(found.counts), strict=True)]
        return HistogramMetricFamily(family.name, family.help, buckets=buckets, sum_value=found.sum)
    make = CounterMetricFamily if family.type is Type.COUNTER else GaugeMetricFamily
    if not isinstance(found, Mapping):
        return make(family.name, family.help, value=found)
    metric = make(family.name, family.help, labels=family.labels)
    for key, count in found.items():
        metric.add_metric((key,) if isinstance(key, str) else key, count)
    return metric


def named(metric: Metric) -> tuple[str, Type]:
    """The name that a family's samples have, and its type."""
    kind = Type(metric.type)
    return (f"{metric.name}_total" if kind is Type.COUNTER else metric.name), kind


def lines(metric: Metric) -> bytes:
    """A family's samples as text."""
    found = [f"{sample.name}{_braced(sample.labels)} {number(sample.value)}\n" for sample in metric.samples]
    return "".join(found).encode()


def metrics(metric: Metric) -> bytes:
    """A family's samples in protobuf."""
    _, kind = named(metric)
    if kind is Type.HISTOGRAM:
        return _histogram(metric)
    made: list[bytes] = []
    for found in metric.samples:
        head, tail = protobuf.sample(kind, 0, protobuf.pairs(found.labels.items()))
        made += (head, tail, protobuf.double(found.value))
    return b"".join(made)


def _histogram(metric: Metric) -> bytes:
    """The one histogram of a family without labels, put together again from its samples."""
    cumulative = [(float(found.labels["le"]), int(found.value)) for found in metric.samples if "le" in found.labels]
    histogram = Histogram(tuple(edge for edge, _ in cumulative[:-1]))
    histogram.counts = [
        count - before for (_, count), (_, before) in zip(cumulative, ((0, 0), *cumulative), strict=False)
    ]
    histogram.sum = next(found.value for found in metric.samples if found.name.endswith("_sum"))
    return protobuf.of_histogram(b"", histogram)


def _braced(labels: Mapping[str, str]) -> str:
    return f"{{{pairs(labels.items())}}}" if labels else ""
