"""The exporter's plain counters about itself."""

from collections import Counter
from collections.abc import Mapping

from exporter.ledger.numbers import LAG_BOUNDS, Histogram
from exporter.model.cost import Balance


class Own:
    """The exporter's plain counters about itself."""

    __slots__ = (
        "balance", "component_restarts", "discovery_asleep", "discovery_failures", "discovery_last_success_at",
        "discovery_over_limit", "in_flight", "internal_errors", "loop_lag", "missed_slots", "models_missing",
        "on_demand", "reload_success_at", "reload_successful", "reloads", "schedule_delay", "scrape_seconds",
        "scrape_series", "sink_dropped", "sink_failed", "sink_queued", "sink_retried", "sink_written", "slots",
        "stamps", "suspect", "targets", "unread_loads", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        #: Where the budget of all targets together stands.
        self.balance: Balance | None = None
        self.in_flight = 0
        self.waiting = 0
        self.slots = 0
        self.missed_slots = 0
        self.suspect = 0
        #: By what became of the kernel's stamp: reads of those who want it.
        self.stamps: Mapping[str, int] = {}
        #: Readings of a server's load that failed. They are no measurement, so nobody is told of them one by one.
        self.unread_loads = 0
        self.schedule_delay = Histogram(LAG_BOUNDS)
        self.loop_lag = Histogram(LAG_BOUNDS)
        self.reloads = {"success": 0, "failure": 0}
        self.reload_successful = False
        self.reload_success_at: float | None = None
        self.targets: dict[str, int] = {}  #: by source
        self.on_demand = {"ok": 0, "bad_request": 0, "denied": 0, "limited": 0}
        self.component_restarts: Counter[str] = Counter()
        self.internal_errors: Counter[str] = Counter()
        self.discovery_last_success_at: dict[str, float] = {}
        self.discovery_failures: Counter[str] = Counter()
        self.discovery_over_limit: dict[str, int] = {}  #: by source: found, and not watched
        self.discovery_asleep: dict[str, int] = {}  #: by source: without a replica now, and not watched
        self.models_missing: dict[str, int] = {}  #: by source: expected, and not listed
        #: By sink: records taken, delivered and given up; tries of a batch after its first, and tries that failed.
        self.sink_queued: Counter[str] = Counter()
        self.sink_written: Counter[str] = Counter()
        self.sink_dropped: Counter[str] = Counter()
        self.sink_retried: Counter[str] = Counter()
        self.sink_failed: Counter[str] = Counter()
        #: Of the last scrape written out: work it took, waiting for the reader excluded, and sample lines.
        self.scrape_seconds: float | None = None
        self.scrape_series: int | None = None

    @property
    def sinks(self) -> tuple[Counter[str], ...]:
        """All that is counted by sink."""
        return (self.sink_queued, self.sink_written, self.sink_dropped, self.sink_retried, self.sink_failed)
