"""Every metric of watched targets, declared once. Those of the exporter itself are declared in `own`."""

from collections.abc import Callable, Iterable
from math import isfinite
from operator import attrgetter

from exporter.ledger import DURATION_BOUNDS, INTER_CHUNK_BOUNDS, TTFT_BOUNDS, Dirty, ProbeRecord, TargetRecord
from exporter.metrics.budget import BUDGET_FAMILIES
from exporter.metrics.evaluation import EVALUATION_FAMILIES
from exporter.metrics.family import Family, Rows, closed, count, histogram, histograms, info, value, values
from exporter.metrics.text import Type, number
from exporter.model.observation import PHASES
from exporter.model.state import State
from exporter.model.stream import Outcome
from exporter.model.text import label

#: What model_probe_info may say beside `protocol`: text a server told, in this order.
INFO_KEYS = ("server", "server_version", "model_version", "platform", "model_id")

TOKEN_TYPES = ("input", "output", "reasoning", "cached")


def _up(target: TargetRecord) -> int | None:
    return None if target.state is State.UNKNOWN else int(target.state is State.HEALTHY)


def _one_hot(target: TargetRecord) -> Iterable[int]:
    now = target.state
    return [1 if state is now else 0 for state in State]


def _info(target: TargetRecord) -> Iterable[tuple[str, str]]:
    yield "protocol", target.target.protocol
    for key in INFO_KEYS:
        if text := label(target.info.get(key, "")):
            yield key, text


def _facts(target: TargetRecord) -> dict[str, bytes]:
    return {key: number(found).encode() for key, found in target.facts.items()}


def _load(name: str) -> Callable[[TargetRecord], float | None]:
    told = attrgetter(f"load.{name}")

    def read(target: TargetRecord) -> float | None:
        found: float | None = told(target)
        return None if found is None or not isfinite(found) else found

    return read


def _paused(probe: ProbeRecord) -> dict[str, int]:
    return {reason: int(on) for reason, on in probe.paused.items()}


def _probe(
    name: str, kind: Type, text: str, read: str, *, rows: Rows = Rows.PROBE, on_demand: bool = False,
    group: int = Dirty.RUN,
) -> Family:  # fmt: skip
    shape = (value if name.endswith(("_seconds", "_per_second")) else count)(attrgetter(read))
    return Family(name=name, type=kind, help=text, group=group, rows=rows, shape=shape, on_demand=on_demand)


_G, _C, _H = Type.GAUGE, Type.COUNTER, Type.HISTOGRAM
_RUN, _CHANGE, _STATIC = Dirty.RUN, Dirty.CHANGE, Dirty.STATIC

_TARGET_FAMILIES = (
    Family(
        name="model_probe_up", type=_G, group=_CHANGE, rows=Rows.TARGET,
        help="1 while the target is healthy, 0 in any other judged state, absent while unknown. Judged from scheduled "
        "probes, not from this scrape. To alert, prefer model_probe_state: saturated or loading is not down.",
        shape=count(_up),
    ),
    Family(
        name="model_probe_state", type=_G, group=_CHANGE, rows=Rows.TARGET, labels=("state",), series=len(State),
        help="1 for the state the target is in and 0 for the six others. zombie: the cheap probes say yes and the "
        "canary does not come back.",
        shape=closed(State, _one_hot),
    ),
    Family(
        name="model_probe_verified", type=_G, group=_CHANGE, rows=Rows.TARGET,
        help="1 when the state rests on a current canary (a real prediction or token stream), 0 when on cheap probes "
        "alone.",
        shape=count(lambda target: int(target.verdict.verified)),
    ),
    Family(
        name="model_probe_info", type=_G, group=_CHANGE, rows=Rows.TARGET, labels=("protocol", *INFO_KEYS),
        help="Always 1. What the server says of itself and of the model; labels it told nothing about are absent.",
        shape=info(_info), on_demand=True,
    ),
    Family(
        name="model_probe_metadata", type=_G, group=_CHANGE, rows=Rows.TARGET, labels=("key",), series=0,
        help="Numeric facts the server tells of the model, such as max_model_len, by key.",
        shape=values(_facts, written=True), on_demand=True,
    ),
    Family(
        name="model_probe_metadata_changes_total", type=_C, group=_CHANGE, rows=Rows.TARGET, labels=("key",), series=0,
        help="Times a fact or a text of model_probe_info became another, by key: a new version was rolled out.",
        shape=values(attrgetter("metadata_changes")),
    ),
    Family(
        name="model_probe_state_changes_total", type=_C, group=_CHANGE, rows=Rows.TARGET, labels=("from", "to"),
        help="Changes of state. A pair appears with its first change.",
        shape=values(attrgetter("state_changes")),
    ),
    Family(
        name="model_probe_state_seconds_total", type=_C, group=_RUN, rows=Rows.TARGET, labels=("state",),
        series=len(State),
        help="Time spent in each state, counted up to the latest run.",
        shape=closed(State, attrgetter("state_seconds")),
    ),
    Family(
        name="model_probe_disagreement_total", type=_C, group=_CHANGE, rows=Rows.TARGET, labels=("cheap", "canary"),
        series=2,
        help="Canary runs that contradicted the cheap probes: cheap=ok, canary=bad is a health check that lies. "
        "Busy and loading are not bad.",
        shape=closed((("ok", "bad"), ("bad", "ok")), lambda target: target.disagreements.values()),
    ),
    Family(
        name="model_probe_tls_certificate_not_after_timestamp_seconds", type=_G, group=_CHANGE, rows=Rows.TARGET,
        help="Unix time at which the server's certificate expires. The last one seen stays while handshakes fail.",
        shape=value(attrgetter("certificate_not_after")), on_demand=True,
    ),
    Family(
        name="model_probe_load_seconds", type=_G, group=_CHANGE, rows=Rows.TARGET, series=0,
        help="Time to the first good canary, from when the target was added or, after a restart, from when its server "
        "was found gone. Absent from then until that canary.",
        shape=value(attrgetter("lifecycle.load")), needs="lifecycle",
    ),
    Family(
        name="model_probe_first_request_penalty_seconds", type=_G, group=_CHANGE, rows=Rows.TARGET, series=0,
        help="How much longer that first good canary took than the median of the next 5 good runs of its probe; 0 when "
        "no longer. Absent until they have come: compilation, warm-up, cold caches.",
        shape=value(attrgetter("lifecycle.penalty")), needs="lifecycle",
    ),
    Family(
        name="model_probe_capability", type=_G, group=_RUN, rows=Rows.TARGET, labels=("capability",), series=0,
        help="1 while the last run of the probes with this `capability` brought what they expect, 0 while it brought "
        "something else or was refused; absent while nothing came back. It is no part of the state.",
        shape=values(attrgetter("capabilities")), needs="capabilities", on_demand=True,
    ),
    Family(
        name="model_probe_queue_depth", type=_G, group=_RUN, rows=Rows.TARGET, series=0, on_demand=True,
        help="Requests that waited in the server's queue when the last canary ran, as the server tells it. Absent "
        "where it tells nothing.",
        shape=value(_load("waiting")), needs="load",
    ),
    Family(
        name="model_probe_requests_running", type=_G, group=_RUN, rows=Rows.TARGET, series=0, on_demand=True,
        help="Requests the server was working on when the last canary ran, as the server tells it; the canary itself "
        "may be among them. Absent where it tells nothing.",
        shape=value(_load("running")), needs="load",
    ),
)  # fmt: skip

_PROBE_FAMILIES = (
    Family(
        name="model_probe_success", type=_G, group=_RUN, rows=Rows.PROBE, on_demand=True,
        help="1 when the last run was healthy, else 0; absent before the first. Probes run on their own schedule: "
        "see model_probe_last_run_timestamp_seconds for how old this is.",
        shape=count(attrgetter("success")),
    ),
    _probe("model_probe_runs_total", _C,
        "Finished runs, from 0. Success SLI: rate of model_probe_successes_total / rate of this.", "runs"),
    _probe("model_probe_successes_total", _C, "Healthy runs, from 0.", "successes"),
    Family(
        name="model_probe_failures_total", type=_C, group=_RUN, rows=Rows.PROBE, labels=("status", "reason"), series=0,
        help="Runs that were not healthy, by status (unhealthy: it answered and is not well; error: no valid answer) "
        "and reason. It explains; ratios are built from runs and successes.",
        shape=values(attrgetter("failures")), needs="failures", on_demand=True,
    ),
    _probe("model_probe_attempts_total", _C, "Tries, retries included: a run makes one or more.", "attempts",
        on_demand=True),
    _probe("model_probe_retries_total", _C, "Tries after the first of a run. Rising while runs succeed: flaky.",
        "retries", group=_CHANGE),
    Family(
        name="model_probe_duration_seconds", type=_H, group=_RUN, rows=Rows.PROBE, series=len(DURATION_BOUNDS) + 3,
        help="Time of the successful attempt of healthy runs, from name look-up to last byte; waiting and backoff "
        "excluded. Latency SLI: rate of a bucket / rate of model_probe_runs_total, so that failures count as slow.",
        shape=histogram(attrgetter("duration")),
    ),
    _probe("model_probe_last_duration_seconds", _G,
        "Time of the last attempt, whatever became of it; waiting and backoff excluded. Absent when nothing was sent.",
        "last_duration", on_demand=True),
    Family(
        name="model_probe_phase_seconds", type=_G, group=_RUN, rows=Rows.PROBE, labels=("phase",), series=len(PHASES),
        help="The last attempt's time by phase: dns, connect, tls, first_byte, transfer. Phases it did not reach are "
        "absent.",
        shape=values(attrgetter("phases")), on_demand=True,
    ),
    _probe("model_probe_last_run_timestamp_seconds", _G,
        "Unix time at which the last run ended. Older than a few model_probe_interval_seconds: the other gauges are "
        "stale.", "last_run_at"),
    _probe("model_probe_last_success_timestamp_seconds", _G, "Unix time at which the last healthy run ended.",
        "last_success_at"),
    _probe("model_probe_interval_seconds", _G,
        "Time between runs in force, quicker re-checks of a failing canary and Retry-After included.", "interval",
        group=_CHANGE),
    _probe("model_probe_http_status_code", _G, "HTTP status of the last attempt; absent when none came.",
        "http_status", on_demand=True),
    _probe("model_probe_response_size_bytes", _G, "Body bytes of the last attempt; absent when none came.",
        "response_bytes", on_demand=True),
    Family(
        name="model_probe_skipped_total", type=_C, group=_RUN, rows=Rows.PROBE, labels=("reason",), series=0,
        help="Runs that did not happen. asleep: the canary would have woken the model; budget: it might have used more "
        "than a budget has left; maintenance: the target is left alone; overlap: the previous run still went on; "
        "missed: the exporter was late. A reason appears with its first skip.",
        shape=values(attrgetter("skipped")), needs="skipped",
    ),
    Family(
        name="model_probe_paused", type=_G, group=_RUN, rows=Rows.PROBE, labels=("reason",), series=0, on_demand=True,
        help="1 while a probe does not run for a reason that goes on (asleep: its model is not loaded, and a canary "
        "would wake it; budget: too little is left; maintenance), 0 once it runs again. Its last results are as old as "
        "that pause.",
        shape=values(_paused), needs="paused",
    ),
    _probe("model_probe_timeout_seconds", _G, "Time one attempt may take.", "job.schedule.timeout", group=_STATIC,
        on_demand=True),
)  # fmt: skip


def _drift(name: str, kind: Type, text: str, read: Callable[[ProbeRecord], float | None]) -> Family:
    return Family(
        name=name, type=kind, group=_RUN, rows=Rows.CANARY, series=0, help=text, shape=value(read), needs="drift"
    )


def _match(probe: ProbeRecord) -> int | None:
    return None if probe.drift is None or probe.drift.match is None else int(probe.drift.match)


#: What only a canary has whose answers are held against each other.
DRIFT_FAMILIES = (
    _drift("model_probe_canary_match", _G,
        "1 when the last answer of a canary was one of the last 4 different good ones, 0 when it was none of them: the "
        "model is another, or not the same twice. Absent when no whole answer came, and for a first one.",
        _match),
    _drift("model_probe_canary_distance", _G,
        "How far the last answer of a canary was from the nearest good one that is remembered, 0 (alike) to 1: edits "
        "per character, one minus the cosine of embeddings, relative difference of other numbers.",
        attrgetter("drift.gap")),
    _drift("model_probe_canary_output_changes_total", _C,
        "Good answers of a canary that were another than the good one before, from 0. Rising while "
        "model_probe_canary_match stays 1: it goes to and fro between builds behind one address.",
        attrgetter("drift.changes")),
)  # fmt: skip

_STREAM_FAMILIES = (
    Family(
        name="model_probe_ttft_seconds", type=_H, group=_RUN, rows=Rows.STREAM, labels=("channel",),
        series=len(TTFT_BOUNDS) + 3, on_demand=True,
        help="Time to first token: from the moment before the first request byte to the first token of a channel "
        "(content, reasoning, tool). Name look-up, connect and TLS are not in it. Observed however the stream ended.",
        shape=histograms(lambda probe: probe.ttft.items()),
    ),
    Family(
        name="model_probe_inter_chunk_seconds", type=_H, group=_RUN, rows=Rows.STREAM,
        series=len(INTER_CHUNK_BOUNDS) + 3, on_demand=True,
        help="Gaps between successive chunks that hold tokens. A chunk may hold several tokens: this is not time per "
        "token.",
        shape=histogram(attrgetter("inter_chunk")),
    ),
    _probe("model_probe_time_per_output_token_seconds", _G,
        "Last stream: time from first to last token / (output tokens - 1), by the server's own count; absent without "
        "one.", "time_per_output_token", rows=Rows.STREAM, on_demand=True),
    _probe("model_probe_output_tokens_per_second", _G,
        "Last stream: inverse of model_probe_time_per_output_token_seconds.", "tokens_per_second", rows=Rows.STREAM,
        on_demand=True),
    _probe("model_probe_stream_max_gap_seconds", _G,
        "Last stream: longest wait after a token, the one until the end included; absent when no token came.",
        "max_gap", rows=Rows.STREAM, on_demand=True),
    Family(
        name="model_probe_stream_outcomes_total", type=_C, group=_RUN, rows=Rows.STREAM, labels=("outcome",),
        series=len(Outcome), on_demand=True,
        help="Streams that answered 2xx by how they ended, from 0. complete, length and stopped are good ends.",
        shape=closed(Outcome, lambda probe: probe.outcomes.values()),
    ),
    Family(
        name="model_probe_tokens_total", type=_C, group=_RUN, rows=Rows.COSTLY, labels=("token_type",),
        series=len(TOKEN_TYPES), on_demand=True,
        help="Tokens the probing itself cost, by disjoint type: output excludes reasoning, input excludes cached. "
        "Where the server counts none, token events seen stand for output.",
        shape=values(attrgetter("tokens")),
    ),
    Family(
        name="model_probe_server_seconds", type=_G, group=_RUN, rows=Rows.CANARY, labels=("part",), series=0,
        help="Where the time of the last run went, by the server's own account: queue, prefill, decode, or compute "
        "where it does not tell these two apart. What model_probe_last_duration_seconds has beyond their sum is the "
        "way there and back. Absent where the server tells nothing.",
        shape=values(attrgetter("server_seconds")), on_demand=True,
    ),
)  # fmt: skip

#: Every metric of watched targets.
FAMILIES: tuple[Family, ...] = (
    *_TARGET_FAMILIES, *BUDGET_FAMILIES, *EVALUATION_FAMILIES, *_PROBE_FAMILIES, *DRIFT_FAMILIES, *_STREAM_FAMILIES,
)  # fmt: skip
