"""Fleet overview: which targets are well, and which are not and why."""

from dashboards.board import NEUTRAL, NONE_IS_GOOD, RATIO, Board, Q
from dashboards.states import MODEL, STATE_COLORS, STATES, TARGETS, YES, quantiles, state

#: Days until a certificate expires.
_EXPIRY = ((None, "red"), (14 * 86400, "orange"), (30 * 86400, "green"))


def build() -> Board:
    board = Board(
        "fleet",
        "Every watched target: its state now and over time, how often and how fast its probes succeed, and why they do "
        "not.",
        selected=(MODEL, TARGETS),
    )
    _now(board)
    _targets(board)
    _results(board)
    _means(board)
    return board


def _now(board: Board) -> None:
    board.row("Now")
    board.stat(
        "Targets by state",
        "How many targets are in each state.",
        Q("sum by (state) (model_probe_state{*})", "{{state}}"),
        colors=STATE_COLORS,
        width=12,
    )
    board.stat(
        "Not well",
        "Targets that are unhealthy, a zombie or in error. Saturated and loading are not broken.",
        Q('sum(model_probe_state{*, state=~"unhealthy|zombie|error"})'),
        steps=NONE_IS_GOOD,
    )
    board.stat(
        "Not verified",
        "Targets whose state rests on cheap probes alone: no canary has confirmed it lately.",
        Q("count(model_probe_verified{*} == 0) or vector(0)"),
        steps=((None, "green"), (1, "orange")),
    )
    board.stat(
        "Healthy time",
        "Share of the time in view that targets were healthy, of the time they were judged.",
        Q(
            'sum(increase(model_probe_state_seconds_total{*, state="healthy"}[$__range])) / '
            'sum(increase(model_probe_state_seconds_total{*, state!="unknown"}[$__range]))'
        ),
        unit="percentunit",
        steps=RATIO,
    )


def _targets(board: Board) -> None:
    board.row("Targets")
    board.timeline(
        "State over time",
        "The state of each target, and of each replica where it has several. A click leads to the target's own "
        "dashboard.",
        state("target, model, address"),
        STATES,
        height=10,
        link=True,
    )
    labels = "target, model, address"
    board.table(
        "Targets",
        "Each target now: its state, whether a canary confirmed it, and what its server says of itself.",
        {
            "State": state(labels),
            "Verified": Q(f"max by ({labels}) (model_probe_verified{{*}})"),
            "Since the last good run": Q(
                f"time() - max by ({labels}) (model_probe_last_success_timestamp_seconds{{*}})"
            ),
            "": Q(f"max by ({labels}, protocol, server, server_version, model_version) (model_probe_info{{*}})"),
        },
        units={"Since the last good run": "s"},
        names={"State": STATES, "Verified": YES},
    )


def _results(board: Board) -> None:
    board.row("Results")
    board.graph(
        "Success",
        "Share of runs that were healthy, by target.",
        Q(
            "sum by (target) (rate(model_probe_successes_total{*}[$__rate_interval])) / "
            "sum by (target) (rate(model_probe_runs_total{*}[$__rate_interval]))",
            "{{target}}",
        ),
        unit="percentunit",
        top=1,
        link=True,
    )
    board.graph(
        "Failures by reason",
        "Runs that were not healthy, by reason. docs/failures.md says what each means and where to look.",
        Q("60 * sum by (reason) (rate(model_probe_failures_total{*}[$__rate_interval]))", "{{reason}}"),
        unit="cpm",
        stacked=True,
    )
    board.graph(
        "Latency",
        "95th percentile of healthy runs, estimated from a histogram, by target and probe.",
        *quantiles("model_probe_duration_seconds", "target, probe", "{{target}} {{probe}}", (0.95,)),
        unit="s",
        link=True,
    )
    board.graph(
        "Changes of state",
        "How often targets change their state: a target that goes to and fro needs a look, whatever its state is now.",
        Q("60 * sum by (target) (rate(model_probe_state_changes_total{*}[$__rate_interval]))", "{{target}}"),
        unit="cpm",
        link=True,
    )
    board.graph(
        "Health checks that lie",
        "Canaries that contradicted the cheap probes. cheap ok, canary bad: whoever trusts the health check sends "
        "requests to a server that does not answer them.",
        Q(
            "60 * sum by (target, cheap, canary) (rate(model_probe_disagreement_total{*}[$__rate_interval]))",
            "{{target}}: cheap {{cheap}}, canary {{canary}}",
        ),
        unit="cpm",
        link=True,
    )
    board.graph(
        "Skipped runs",
        "Runs that did not happen, by reason: the model is asleep, a budget is spent, the target is in maintenance, "
        "the run before still went on, or the exporter was late.",
        Q(
            "60 * sum by (target, reason) (rate(model_probe_skipped_total{*}[$__rate_interval]))",
            "{{target}}: {{reason}}",
        ),
        unit="cpm",
        link=True,
    )


def _means(board: Board) -> None:
    board.row("Capacity, cost and versions")
    board.graph(
        "Tokens spent on probing",
        "What canaries and golden sets use, by target.",
        Q("60 * sum by (target) (rate(model_probe_tokens_total{*}[$__rate_interval]))", "{{target}}"),
        unit="cpm",
        width=8,
        stacked=True,
        link=True,
    )
    board.graph(
        "Queue",
        "Requests that wait in the servers, as they tell it.",
        Q("max by (target, address) (model_probe_queue_depth{*})", "{{target}} {{address}}"),
        width=8,
        link=True,
    )
    board.graph(
        "Versions served",
        "Different versions among the replicas of a target. More than one for long: a rollout that did not reach all.",
        Q("max by (target) (model_probe_versions{*})", "{{target}}"),
        width=8,
        link=True,
    )
    board.bars(
        "Budget left",
        "Share of the tokens that canaries may use in this hour or day of UTC.",
        Q(
            "min by (target) (model_probe_budget_remaining_tokens{*} / model_probe_budget_limit_tokens{*})",
            "{{target}}",
        ),
        unit="percentunit",
        steps=((None, "red"), (0.1, "orange"), (0.25, "green")),
        top=1,
    )
    board.bars(
        "Certificates expire in",
        "Time until the certificate of a server expires.",
        Q("min by (target) (model_probe_tls_certificate_not_after_timestamp_seconds{*}) - time()", "{{target}}"),
        unit="s",
        steps=_EXPIRY,
    )
    board.bars(
        "Models missing",
        "Models that a catalogue was told to expect and did not list, by catalogue.",
        Q('max by (source) (model_probe_models_missing{job=~"$job", instance=~"$instance"})', "{{source}}"),
        unit="short",
        steps=(*NEUTRAL, (1, "red")),
    )
