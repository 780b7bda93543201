"""What the API's answers look like, as JSON Schema. Objects have exactly the fields that are named."""

from collections.abc import Iterable
from typing import Any

from exporter.model.failure import Reason, Status
from exporter.model.observation import Stamps
from exporter.model.state import State
from exporter.model.stream import Channel, Outcome

Schema = dict[str, Any]


def text(description: str = "") -> Schema:
    """A text."""
    return _told({"type": "string"}, description)


def number(description: str = "") -> Schema:
    """A number."""
    return _told({"type": "number"}, description)


def whole(description: str = "") -> Schema:
    """A whole number."""
    return _told({"type": "integer"}, description)


def flag(description: str = "") -> Schema:
    """True or false."""
    return _told({"type": "boolean"}, description)


def instant(description: str = "") -> Schema:
    """An instant."""
    return _told({"type": "string", "format": "date-time"}, description)


def one_of(values: Iterable[str], description: str = "") -> Schema:
    """One of a closed set."""
    return _told({"type": "string", "enum": [str(value) for value in values]}, description)


def named(value: Schema, description: str = "") -> Schema:
    """An object with any names, all of whose values are alike."""
    return _told({"type": "object", "additionalProperties": value}, description)


def listed(value: Schema, description: str = "") -> Schema:
    """An array."""
    return _told({"type": "array", "items": value}, description)


def maybe(value: Schema) -> Schema:
    """The same, or null: not known."""
    if "$ref" in value:
        return {"oneOf": [value, {"type": "null"}]}
    also = {"enum": [*value["enum"], None]} if "enum" in value else {}
    return value | {"type": [value["type"], "null"]} | also


def ref(name: str) -> Schema:
    """One of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def thing(fields: dict[str, Schema], description: str = "", optional: Iterable[str] = ()) -> Schema:
    """An object with these fields and no others."""
    required = [name for name in fields if name not in set(optional)]
    return _told(
        {"type": "object", "properties": fields, "required": required, "additionalProperties": False}, description
    )


def _told(schema: Schema, description: str) -> Schema:
    return schema | ({"description": description} if description else {})


_STATE = one_of(State, "State of a target; docs/states.md says what each means.")
_REASON = maybe(one_of(Reason, "Why it is not healthy; docs/failures.md says where to look."))
_STATES = named(whole(), "How many targets are in each state; a state that none is in is absent.")

_PROBE = {
    "name": text("The label `probe`."),
    "kind": text("What it asks: health, ready, metadata, infer, stream, evaluate or detect."),
    "status": maybe(one_of(Status, "Of the last run; null before the first.")),
    "reason": _REASON,
    "tokens": named(whole(), "Tokens its runs have cost since the exporter runs, by type."),
    "detail": text("More of the reason, in words."),
    "last_run": maybe(instant()),
    "last_success": maybe(instant()),
    "next_run": maybe(instant()),
    "interval_seconds": number("In force now: re-checks and Retry-After included."),
    "timeout_seconds": number(),
    "duration_seconds": maybe(number("Of the last attempt; waiting and backoff excluded.")),
    "phase_seconds": named(number(), "Of the last run: dns, connect, tls, first_byte, transfer."),
    "stamps": maybe(one_of(Stamps, "Whose stamps the times of the last run are made of.")),
    "server_seconds": named(number(), "The server's own account of the last run."),
    "drift": maybe(ref("Drift")),
    "ttft_seconds": named(number(), f"Of the last run, by channel: {', '.join(Channel)}."),
    "stream_outcome": maybe(one_of(Outcome, "How the last stream ended.")),
    "output_tokens_per_second": maybe(number()),
    "http_status": maybe(whole()),
    "runs": whole(),
    "successes": whole(),
    "failures": listed(thing({"status": one_of(Status), "reason": one_of(Reason), "count": whole()})),
    "skipped": named(whole(), "Runs that were due and not done, by why."),
    "paused": listed(text(), "Why no run is done at present."),
}
_RECENT = {
    "recent": listed(
        thing({"at": instant(), "duration_seconds": maybe(number())}), "The last healthy runs, oldest first."
    ),
    "recent_failures": listed(ref("Failure"), "The last failures, oldest first; kept apart from healthy runs."),
    "last_failure_transcript": listed(text(), "The last failure, what was said on the wire included, line by line."),
}
_TARGET = {
    "name": text(),
    "group": maybe(text("Of a replica: the name of the target in the config.")),
    "address": maybe(text("Of a replica: host:port.")),
    "odd": maybe(text("Of a replica: in what it differs from most others.")),
    "model": text("As configured or listed by a catalogue; empty when none."),
    "protocol": text(),
    "url": text("Without query and credentials."),
    "labels": named(text()),
    "state": _STATE,
    "reason": _REASON,
    "detail": text("More of the reason, in words."),
    "probe": text("Whose evidence decided; empty for a healthy state."),
    "verified": flag("Whether the state rests on a current canary."),
    "since": instant("Since when it is in this state."),
    "info": named(text(), "What the server told of itself."),
    "metadata": named(maybe(number()), "Numbers that it told."),
    "metadata_changes": named(whole()),
    "certificate_not_after": maybe(instant()),
    "maintenance_until": maybe(instant()),
    "budget": maybe(ref("Budget")),
    "evaluations": listed(ref("Evaluation")),
}

SCHEMAS: dict[str, Schema] = {
    "Error": thing({"error": text("What is wrong, in words."), "problems": listed(text())}, optional=("problems",)),
    "Budget": thing(
        {
            "limit_tokens": maybe(whole()),
            "remaining_tokens": maybe(whole()),
            "limit_requests": maybe(whole()),
            "remaining_requests": maybe(whole()),
            "until": maybe(instant()),
        },
        "What canaries may use in a period; a limit that there is not is null.",
    ),
    "Drift": thing({"match": maybe(flag()), "distance": maybe(number()), "changes": whole()}),
    "Evaluation": thing(
        {
            "name": text(),
            "metric": maybe(text()),
            "score": maybe(number()),
            "threshold": maybe(number()),
            "below": maybe(flag()),
            "coverage": maybe(number("Share of the examples that were scored.")),
            "dataset": maybe(text("SHA-256 of the data set.")),
            "last_run": maybe(instant()),
            "examples": named(whole(), "Of all runs, by what became of them."),
        }
    ),
    "Failure": thing(
        {
            "at": instant("Of the last of them."),
            "first_at": instant(),
            "count": whole("Failures in a row that were alike are one entry."),
            "status": one_of(Status),
            "reason": _REASON,
            "detail": text(),
            "duration_seconds": maybe(number()),
            "attempts": whole(),
            "http_status": maybe(whole()),
            "trace_id": text(),
        }
    ),
    "Probe": thing(_PROBE),
    "ProbeInFull": thing(_PROBE | _RECENT),
    "Target": thing(_TARGET | {"probes": listed(ref("Probe"))}),
    "TargetInFull": thing(_TARGET | {"probes": listed(ref("ProbeInFull"))}),
    "Group": thing(
        {
            "name": text(),
            "model": text(),
            "url": text(),
            "labels": named(text()),
            "states": _STATES,
            "versions": named(whole(), "How many serve each version."),
            "majority": thing({"state": maybe(_STATE), "version": maybe(text())}),
            "odd": listed(
                thing({"address": text(), "state": _STATE, "version": maybe(text()), "why": text()}),
                "Replicas that are another than most.",
            ),
            "replicas": listed(ref("Target")),
        },
        "A target that is several servers, all together.",
    ),
    "Targets": thing(
        {
            "total": whole("Targets that are watched."),
            "found": whole("Those that the filter leaves, on all pages."),
            "states": _STATES,
            "budget": maybe(ref("Budget")),
            "next": maybe(text("The `cursor` of the next page; null on the last.")),
            "targets": listed(ref("Target")),
        }
    ),
    "Asked": thing({"target": text(), "probes": listed(text(), "Those whose runs begin now.")}),
    "StateChange": thing(
        {
            "target": text(),
            "model": text(),
            "from": _STATE,
            "to": _STATE,
            "reason": _REASON,
            "detail": text(),
            "probe": maybe(text()),
            "verified": flag(),
            "at": instant(),
        },
        "`data` of an event `state`.",
    ),
    "Run": thing(
        {
            "target": text(),
            "probe": text(),
            "kind": text(),
            "status": one_of(Status),
            "reason": _REASON,
            "detail": text(),
            "at": instant("Its end."),
            "duration_seconds": maybe(number()),
            "ttft_seconds": named(number()),
            "attempts": whole(),
            "http_status": maybe(whole()),
            "trace_id": text(),
        },
        "`data` of an event `run`.",
    ),
    "Ready": thing(
        {
            "target": text(),
            "ready": flag(),
            "state": _STATE,
            "reason": _REASON,
            "detail": text(),
            "since": instant(),
        }
    ),
    "GroupReady": thing(
        {"target": text(), "ready": flag(), "replicas": whole(), "replicas_ready": whole(), "states": _STATES}
    ),
    "Gate": thing({"ready": flag(), "targets": whole("Those that are meant."), "blocking": listed(ref("Standing"))}),
    "GateError": thing({"ready": flag(), "error": text(), "problems": listed(text())}),
    "Standing": {
        "type": "object",
        "properties": {"target": text(), "state": _STATE, "reason": maybe(text()), "detail": text()},
        "required": ["target", "state", "reason", "detail"],
    },
    "Maintenance": thing(
        {
            "id": text(),
            "begins": instant(),
            "ends": instant(),
            "targets": listed(text()),
            "select": named(text()),
            "comment": text(),
            "matches": whole("Targets that it means now, each replica counted."),
        }
    ),
    "Maintenances": thing({"announced": listed(ref("Maintenance")), "targets_in_maintenance": whole()}),
    "Announcement": thing(
        {
            "targets": listed(text()),
            "select": named(text(), "Labels that a target has to have."),
            "for": text("How long, such as 30m."),
            "comment": text(),
        },
        "Needs targets, select or both.",
        optional=("targets", "select", "comment"),
    ),
    "Ended": thing({"ended": text()}),
}
