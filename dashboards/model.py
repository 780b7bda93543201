"""One model: everything that is known of one target."""

from dashboards.board import NEUTRAL, ONE_IS_GOOD, RATIO, Board, Q, Variable
from dashboards.states import STATE_COLORS, STATES, YES, buckets, quantiles, state

_TARGET = Variable("target", "Target", 'label_values(model_probe_state{job=~"$job"}, target)', None)
_PROBE = Variable("probe", "Probe", 'label_values(model_probe_runs_total{job=~"$job", target="$target"}, probe)')
#: For what runs of the chosen probes told, beside what is of the target as a whole.
_CHOSEN = '{*, probe=~"$probe"}'


def build() -> Board:
    board = Board(
        "model",
        "One target: its state and what it rests on, each probe of it, its answers, its server and its versions.",
        selected=(_TARGET,),
        others=(_PROBE,),
        since="now-3h",
    )
    _state(board)
    _runs(board)
    _times(board)
    _answers(board)
    _server(board)
    return board


def _state(board: Board) -> None:
    board.row("State")
    board.stat(
        "State",
        "The state now; the worst of them where there are replicas.",
        state("target", "{{target}}"),
        names=STATES,
        unit="none",
    )
    board.stat(
        "Verified by a canary",
        "Whether the state rests on a current canary, which is a real prediction or token stream, or on cheap probes "
        "alone.",
        Q("min(model_probe_verified{*})"),
        names=YES,
        unit="none",
    )
    board.stat(
        "Healthy time",
        "Share of the time in view that it was healthy, of the time it was judged.",
        Q(
            'sum(increase(model_probe_state_seconds_total{*, state="healthy"}[$__range])) / '
            'sum(increase(model_probe_state_seconds_total{*, state!="unknown"}[$__range]))'
        ),
        unit="percentunit",
        steps=RATIO,
    )
    board.stat(
        "Since the last good run",
        "Time since the last healthy run of any probe.",
        Q("time() - max(model_probe_last_success_timestamp_seconds{*})"),
        unit="s",
    )
    board.stat(
        "Time to load",
        "From when it was added, or its server was found gone, to the first good canary.",
        Q("max(model_probe_load_seconds{*})"),
        unit="s",
    )
    board.stat(
        "First request penalty",
        "How much longer that first good canary took than those after it.",
        Q("max(model_probe_first_request_penalty_seconds{*})"),
        unit="s",
    )
    board.timeline(
        "State over time",
        "Its state, of each replica where it has several.",
        state("target, address"),
        STATES,
        height=5,
    )
    board.graph(
        "Replicas by state",
        "Only for a target that is several servers.",
        Q("max by (state) (model_probe_replicas{*})", "{{state}}"),
        stacked=True,
        colors=STATE_COLORS,
    )
    board.graph(
        "Changes of state",
        "Changes from one state to another.",
        Q("60 * sum by (from, to) (rate(model_probe_state_changes_total{*}[$__rate_interval]))", "{{from}} to {{to}}"),
        unit="cpm",
    )


def _runs(board: Board) -> None:
    board.row("Runs")
    board.graph(
        "Success",
        "Share of runs that were healthy, by probe.",
        Q(
            f"sum by (probe) (rate(model_probe_successes_total{_CHOSEN}[$__rate_interval])) / "
            f"sum by (probe) (rate(model_probe_runs_total{_CHOSEN}[$__rate_interval]))",
            "{{probe}}",
        ),
        unit="percentunit",
        top=1,
    )
    board.graph(
        "Failures",
        "Runs that were not healthy, by probe, status and reason.",
        Q(
            f"60 * sum by (probe, status, reason) (rate(model_probe_failures_total{_CHOSEN}[$__rate_interval]))",
            "{{probe}}: {{reason}} ({{status}})",
        ),
        unit="cpm",
        stacked=True,
    )
    board.graph(
        "Age of results",
        "Time since each probe ran last, beside the interval in force (dashed). Far above it: what is shown of that "
        "probe is old.",
        Q(f"time() - max by (probe) (model_probe_last_run_timestamp_seconds{_CHOSEN})", "{{probe}}"),
        Q(f"max by (probe) (model_probe_interval_seconds{_CHOSEN})", "{{probe}}: interval"),
        unit="s",
        dashed=".*: interval",
    )
    board.graph(
        "Retries",
        "Tries after the first of a run. Retries while runs succeed: flaky.",
        Q(f"60 * sum by (probe) (rate(model_probe_retries_total{_CHOSEN}[$__rate_interval]))", "{{probe}}"),
        unit="cpm",
        width=6,
    )
    board.graph(
        "Skipped runs",
        "Runs that did not happen, by probe and reason.",
        Q(
            f"60 * sum by (probe, reason) (rate(model_probe_skipped_total{_CHOSEN}[$__rate_interval]))",
            "{{probe}}: {{reason}}",
        ),
        unit="cpm",
        width=6,
    )
    board.graph(
        "Health checks that lie",
        "Canaries that contradicted the cheap probes.",
        Q(
            "60 * sum by (cheap, canary) (rate(model_probe_disagreement_total{*}[$__rate_interval]))",
            "cheap {{cheap}}, canary {{canary}}",
        ),
        unit="cpm",
    )
    board.graph(
        "Paused probes",
        "1 while a probe does not run for a reason that goes on: asleep, budget, maintenance.",
        Q(f"max by (probe, reason) (model_probe_paused{_CHOSEN})", "{{probe}}: {{reason}}"),
        top=1,
    )


def _times(board: Board) -> None:
    board.row("Times")
    board.graph(
        "Latency",
        "Median and 95th percentile of healthy runs, estimated from a histogram, by probe.",
        *quantiles("model_probe_duration_seconds", "probe", "{{probe}}", of=_CHOSEN),
        unit="s",
    )
    board.heat(
        "Durations",
        "Healthy runs of the chosen probes by how long they took.",
        buckets("model_probe_duration_seconds", of=_CHOSEN),
    )
    board.graph(
        "Last attempt",
        "Time of the last attempt, whatever became of it, beside the time it may take (dashed).",
        Q(f"max by (probe) (model_probe_last_duration_seconds{_CHOSEN})", "{{probe}}"),
        Q(f"max by (probe) (model_probe_timeout_seconds{_CHOSEN})", "{{probe}}: timeout"),
        unit="s",
        width=8,
        dashed=".*: timeout",
    )
    board.graph(
        "Last run by phase",
        "Where the time of the last attempt went, as seen from outside; the mean over the chosen probes.",
        Q(f"avg by (phase) (model_probe_phase_seconds{_CHOSEN})", "{{phase}}"),
        unit="s",
        width=8,
        stacked=True,
    )
    board.graph(
        "Last run by the server's account",
        "Queue, prefill and decode, or compute, where the server tells them. What the duration has beyond their sum is "
        "the way there and back.",
        Q(f"max by (probe, part) (model_probe_server_seconds{_CHOSEN})", "{{probe}}: {{part}}"),
        unit="s",
        width=8,
        stacked=True,
    )


def _answers(board: Board) -> None:
    board.row("Answers")
    board.graph(
        "Answers as before",
        "1 while a canary's answer is one of the good ones remembered; 0: the model is another, or not the same twice.",
        Q(f"min by (probe) (model_probe_canary_match{_CHOSEN})", "{{probe}}"),
        top=1,
        width=8,
    )
    board.graph(
        "Distance to them",
        "How far the last answer was from the nearest good one that is remembered: 0 alike, 1 nothing in common.",
        Q(f"max by (probe) (model_probe_canary_distance{_CHOSEN})", "{{probe}}"),
        unit="percentunit",
        top=1,
        width=8,
    )
    board.graph(
        "Answers that changed",
        "Good answers that were another than the good one before.",
        Q(
            f"60 * sum by (probe) (rate(model_probe_canary_output_changes_total{_CHOSEN}[$__rate_interval]))",
            "{{probe}}",
        ),
        unit="cpm",
        width=8,
    )
    board.graph(
        "HTTP status",
        "Of the last attempt, by probe.",
        Q(f"max by (probe) (model_probe_http_status_code{_CHOSEN})", "{{probe}}"),
        unit="none",
        width=8,
    )
    board.graph(
        "Size of answers",
        "Body of the last attempt, by probe.",
        Q(f"max by (probe) (model_probe_response_size_bytes{_CHOSEN})", "{{probe}}"),
        unit="bytes",
        width=8,
    )
    board.bars(
        "Capabilities",
        "1 while the probes of a capability bring what they expect. No part of the state.",
        Q("min by (capability) (model_probe_capability{*})", "{{capability}}"),
        unit="none",
        steps=ONE_IS_GOOD,
        top=1,
    )


def _server(board: Board) -> None:
    board.row("Server, versions and budget")
    board.graph(
        "Load",
        "Requests the server works on and those that wait in its queue, as it tells them.",
        Q("max by (address) (model_probe_requests_running{*})", "running {{address}}"),
        Q("max by (address) (model_probe_queue_depth{*})", "waiting {{address}}"),
        width=8,
    )
    board.graph(
        "Budget left",
        "What canaries may still use in this hour or day of UTC, beside what they may use in all (dashed).",
        Q("min(model_probe_budget_remaining_tokens{*})", "tokens"),
        Q("max(model_probe_budget_limit_tokens{*})", "tokens: limit"),
        Q("min(model_probe_budget_remaining_requests{*})", "requests"),
        Q("max(model_probe_budget_limit_requests{*})", "requests: limit"),
        width=8,
        dashed=".*: limit",
    )
    board.graph(
        "What the server says changed",
        "Changes of facts and texts the server tells of itself: a new version was rolled out.",
        Q("60 * sum by (key) (rate(model_probe_metadata_changes_total{*}[$__rate_interval]))", "{{key}}"),
        unit="cpm",
        width=8,
    )
    board.table(
        "The server of itself",
        "What it tells, now.",
        {
            "": Q(
                "max by (address, protocol, server, server_version, model_version, model_id, platform) "
                "(model_probe_info{*})"
            )
        },
        width=16,
        height=6,
    )
    board.stat(
        "Certificate expires in",
        "Time until the certificate of the server expires.",
        Q("min(model_probe_tls_certificate_not_after_timestamp_seconds{*}) - time()"),
        unit="s",
        steps=((None, "red"), (14 * 86400, "orange"), (30 * 86400, "green")),
    )
    board.stat(
        "Versions served",
        "Different versions among its replicas.",
        Q("max(model_probe_versions{*})"),
        steps=(*NEUTRAL, (2, "orange")),
    )
    board.table(
        "Facts",
        "Numbers the server tells of the model, by key.",
        {"Value": Q("max by (key, address) (model_probe_metadata{*})")},
        width=24,
        height=7,
    )
