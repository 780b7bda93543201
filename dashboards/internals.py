"""The exporter itself: whether what the other dashboards show can be believed."""

from dashboards.board import NEUTRAL, NONE_IS_GOOD, Board, Q
from dashboards.states import quantiles

_RELOADED = {1: ("in force", "green"), 0: ("refused", "red")}


def build() -> Board:
    board = Board(
        "internals",
        "The exporters: their config and sources, whether they keep their schedule, what their scrapes cost, and what "
        "becomes of records on their way to sinks.",
        since="now-3h",
    )
    _config(board)
    _schedule(board)
    _sinks(board)
    _process(board)
    return board


def _config(board: Board) -> None:
    board.row("Config and sources")
    board.stat(
        "Newest config",
        "Whether the newest config that was read is in force; refused: an older one runs.",
        Q("min(model_exporter_config_last_reload_successful{*})"),
        names=_RELOADED,
        unit="none",
    )
    board.stat("Targets", "Targets watched.", Q("sum(model_exporter_targets{*})"))
    board.stat(
        "Missed runs",
        "Planned runs dropped in the time in view because the exporter was late.",
        Q("sum(increase(model_exporter_missed_slots_total{*}[$__range]))"),
        steps=NONE_IS_GOOD,
    )
    board.stat(
        "Suspect measurements",
        "Runs in the time in view that were measured while the event loop lagged.",
        Q("sum(increase(model_exporter_suspect_measurements_total{*}[$__range]))"),
        steps=((None, "green"), (1, "orange")),
    )
    board.stat(
        "Restarted parts",
        "Parts of the exporter that ended by an error and were started again in the time in view.",
        Q("sum(increase(model_exporter_component_restarts_total{*}[$__range])) or vector(0)"),
        steps=NONE_IS_GOOD,
    )
    board.stat(
        "Internal errors",
        "Errors nobody foresaw in the time in view: bugs of the exporter.",
        Q("sum(increase(model_exporter_internal_errors_total{*}[$__range])) or vector(0)"),
        steps=NONE_IS_GOOD,
    )
    board.graph(
        "Targets by source",
        "Where the targets that are watched come from.",
        Q("sum by (source) (model_exporter_targets{*})", "{{source}}"),
        stacked=True,
        width=8,
    )
    board.graph(
        "Age of sources",
        "Time since a source was last read. Targets found before stay while it fails.",
        Q("time() - max by (source) (model_exporter_discovery_last_success_timestamp_seconds{*})", "{{source}}"),
        unit="s",
        width=8,
    )
    board.graph(
        "What is found and not watched",
        "Readings of a source that failed, a minute; and what it found and is not watched: more than its limit allows, "
        "or without a replica now.",
        Q(
            "60 * sum by (source) (rate(model_exporter_discovery_failures_total{*}[$__rate_interval]))",
            "{{source}}: failed",
        ),
        Q("max by (source) (model_exporter_discovery_over_limit{*})", "{{source}}: over the limit"),
        Q(
            "max by (source) (model_exporter_discovery_asleep{*}) "
            "or 0 * max by (source) (model_exporter_discovery_over_limit{*})",
            "{{source}}: asleep",
        ),
        width=8,
    )
    board.table(
        "Exporters",
        "Version, Python and event loop of each.",
        {"": Q("max by (instance, version, python, loop) (model_exporter_build_info{*})")},
        width=12,
        height=8,
    )
    board.graph(
        "Reloads",
        "Loads of the config by result.",
        Q("sum by (result) (increase(model_exporter_config_reloads_total{*}[$__rate_interval]))", "{{result}}"),
        colors={"success": "green", "failure": "red"},
    )


def _schedule(board: Board) -> None:
    board.row("Schedule")
    board.graph(
        "Runs at once",
        "Runs that hold a slot, those that are due and wait for one, and the slots there are (dashed).",
        Q("sum(model_exporter_probes_in_flight{*})", "in flight"),
        Q("sum(model_exporter_probes_waiting{*})", "waiting"),
        Q("sum(model_exporter_probe_slots{*})", "slots"),
        width=8,
        dashed="slots",
    )
    board.graph(
        "Delay of runs",
        "From planned to real start of a run, the wait for a slot included. It is in no probe's duration.",
        *quantiles("model_exporter_schedule_delay_seconds", "", "", (0.5, 0.99)),
        unit="s",
        width=8,
    )
    board.graph(
        "Lag of the event loop",
        "How late the loop runs: the error that a measurement may have.",
        *quantiles("model_exporter_loop_lag_seconds", "", "", (0.5, 0.99)),
        unit="s",
        width=8,
    )
    board.graph(
        "Missed and suspect",
        "Planned runs dropped because the exporter was late, runs measured while its loop lagged, and reads of targets "
        "with timestamps: kernel that had to do with the loop's.",
        Q(
            "60 * sum by (instance) (rate(model_exporter_missed_slots_total{*}[$__rate_interval]))",
            "{{instance}}: missed",
        ),
        Q(
            "60 * sum by (instance) (rate(model_exporter_suspect_measurements_total{*}[$__rate_interval]))",
            "{{instance}}: suspect",
        ),
        Q(
            '60 * sum by (instance) (rate(model_exporter_kernel_stamps_total{*, result!="used"}[$__rate_interval]))',
            "{{instance}}: not the kernel's stamp",
        ),
        unit="cpm",
        width=8,
    )
    board.graph(
        "Runs",
        "Runs that ended.",
        Q("sum by (instance) (rate(model_probe_runs_total{*}[$__rate_interval]))", "{{instance}}"),
        unit="cps",
        width=8,
    )
    board.graph(
        "Requests to /probe",
        "Probes on demand, by result.",
        Q("60 * sum by (result) (rate(model_exporter_on_demand_total{*}[$__rate_interval]))", "{{result}}"),
        unit="cpm",
        width=8,
    )


def _sinks(board: Board) -> None:
    board.row("Sinks")
    board.graph(
        "Records on their way",
        "Taken by a sink, and neither written nor dropped yet.",
        Q(
            "sum by (sink) (model_exporter_sink_queued_total{*} - model_exporter_sink_written_total{*} "
            "- model_exporter_sink_dropped_total{*})",
            "{{sink}}",
        ),
        width=8,
    )
    board.graph(
        "Records",
        "Written and dropped; those dropped are lost.",
        Q("60 * sum by (sink) (rate(model_exporter_sink_written_total{*}[$__rate_interval]))", "{{sink}}: written"),
        Q("60 * sum by (sink) (rate(model_exporter_sink_dropped_total{*}[$__rate_interval]))", "{{sink}}: dropped"),
        unit="cpm",
        width=8,
    )
    board.graph(
        "Tries",
        "Tries at a batch that failed, and tries after its first.",
        Q("60 * sum by (sink) (rate(model_exporter_sink_failed_total{*}[$__rate_interval]))", "{{sink}}: failed"),
        Q("60 * sum by (sink) (rate(model_exporter_sink_retried_total{*}[$__rate_interval]))", "{{sink}}: again"),
        unit="cpm",
        width=8,
    )


def _process(board: Board) -> None:
    board.row("Process and scrapes")
    board.graph(
        "CPU",
        "CPU time used a second: 100 % is one core.",
        Q("sum by (instance) (rate(process_cpu_seconds_total{*}[$__rate_interval]))", "{{instance}}"),
        unit="percentunit",
        width=6,
    )
    board.graph(
        "Memory",
        "Resident memory.",
        Q("max by (instance) (process_resident_memory_bytes{*})", "{{instance}}"),
        unit="bytes",
        width=6,
    )
    board.graph(
        "Open files",
        "Share of the open files that the process may have.",
        Q("max by (instance) (process_open_fds{*} / process_max_fds{*})", "{{instance}}"),
        unit="percentunit",
        width=6,
        top=1,
    )
    board.stat(
        "Since the start",
        "Time since the exporter that was started last was started.",
        Q("time() - max(process_start_time_seconds{*})"),
        unit="s",
        width=6,
        steps=NEUTRAL,
    )
    board.graph(
        "Time of a scrape",
        "Time the last scrape took to write, waiting for its reader excluded.",
        Q("max by (instance) (model_exporter_scrape_duration_seconds{*})", "{{instance}}"),
        unit="s",
    )
    board.graph(
        "Series",
        "Sample lines of the last scrape.",
        Q("max by (instance) (model_exporter_scrape_series{*})", "{{instance}}"),
    )
