"""The shape of a record, field by field: what docs/sinks.md shows, what the JSON Schema says, what tests hold.

Within a version fields may be added; none is taken away, and none changes its meaning.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from exporter.model.failure import Reason, Status
from exporter.model.job import Kind
from exporter.model.observation import PHASES, Part, Stamps
from exporter.model.state import State
from exporter.model.stream import Channel, Outcome
from exporter.sinks.spec import TYPES

VERSION = 1

Schema = dict[str, Any]


class Field(NamedTuple):
    """One field of a record: its name, its JSON Schema, and what it says."""

    name: str
    schema: Schema
    text: str


def _maybe(schema: Schema) -> Schema:
    """The same, or null."""
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def _one_of(values: Any) -> Schema:
    return {"enum": [str(value) for value in values]}


def _each(schema: Schema, names: Any = None) -> Schema:
    whole: Schema = {"type": "object", "additionalProperties": schema}
    return whole if names is None else {**whole, "propertyNames": _one_of(names)}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_STATE = _one_of(State)
_REASON = _one_of(Reason)

#: Every record has these.
COMMON = (
    Field("version", {"const": VERSION}, "Version of this shape."),
    Field("type", _one_of(TYPES), "What it tells of."),
    Field("id", {"type": "string", "minLength": 32}, "Unique; the same however often and wherever the record arrives."),
    Field("at", _NUMBER, "When it happened, in Unix seconds."),
    Field("target", _TEXT, "The label `target`."),
    Field("model", _TEXT, "The label `model`."),
    Field("labels", _each(_TEXT), "The target's own labels."),
    Field("address", _maybe(_TEXT), "Of a replica, the label `address`."),
    Field("url", _TEXT, "Where the target is, without credentials and query."),
)

RESULT = (
    Field("probe", _TEXT, "The probe's name."),
    Field("kind", _one_of(Kind), "What it asks."),
    Field("status", _one_of(Status), "What became of the run."),
    Field("reason", _maybe(_REASON), "Why it was not healthy: docs/failures.md."),
    Field("detail", _TEXT, "The same for people. May quote the server; credentials are hidden."),
    Field("state", _maybe(_STATE), "What is believed of the target after this run: docs/states.md."),
    Field("attempts", _COUNT, "Tries made."),
    Field("failures", {"type": "array", "items": _REASON}, "Why tries failed, in their order."),
    Field("duration_seconds", _maybe(_SECONDS), "Time of the last attempt. Null when nothing was sent."),
    Field("phases_seconds", _each(_SECONDS, PHASES), "The same by phase, those it reached."),
    Field("http_status", _maybe(_COUNT), "HTTP status of the last attempt."),
    Field("response_bytes", _maybe(_COUNT), "Body bytes of the last attempt."),
    Field("certificate_not_after", _maybe(_NUMBER), "Unix time at which the server's certificate ends."),
    Field("trace_id", _TEXT, "The run's trace, as sent in `traceparent`."),
    Field("suspect", {"type": "boolean"}, "The exporter itself was late meanwhile: times may read too long."),
    Field("stamps", _one_of(Stamps), "Whose stamps the times are made of: docs/accuracy.md."),
    Field("stream", _maybe(_object(
            outcome=_one_of(Outcome), ttft_seconds=_each(_SECONDS, Channel), max_gap_seconds=_maybe(_SECONDS),
            token_events=_COUNT, time_per_output_token_seconds=_maybe(_SECONDS),
            output_tokens_per_second=_maybe(_SECONDS),
        )), "Of a stream that answered: how it ended, and its times."),
    Field("tokens", _maybe(_object(input=_COUNT, output=_COUNT, reasoning=_COUNT, cached=_COUNT)),
        "Tokens of the answer by disjoint type, where something counted them."),
    Field("server_seconds", _each(_SECONDS, Part), "The server's own account of the run, by part."),
    Field("info", _each(_TEXT), "Text the server told of itself and the model."),
    Field("facts", _each(_maybe(_NUMBER)), "Numbers it told of the model."),
)  # fmt: skip

STATE_CHANGE = (
    Field("from", _STATE, "The state before."),
    Field("to", _STATE, "The state now."),
    Field("reason", _maybe(_REASON), "That of the run that decided; null for a healthy state."),
    Field("detail", _TEXT, "The same for people."),
    Field("probe", _TEXT, "The probe that decided; empty where that is no single one."),
    Field("verified", {"type": "boolean"}, "The state rests on a current canary."),
)

EVALUATION = (
    Field("evaluation", _TEXT, "The label `evaluation`: the probe's name."),
    Field("status", _one_of(Status), "What became of the run; it has a `result` of its own, too."),
    Field("reason", _maybe(_REASON), "Why it was not healthy."),
    Field("detail", _TEXT, "The same for people."),
    Field("metric", _TEXT, "What was scored by."),
    Field("score", _maybe(_NUMBER), "The score; null when too few examples were answered for one."),
    Field("low", _maybe(_NUMBER), "Lower end of its 95 % interval."),
    Field("high", _maybe(_NUMBER), "Upper end of it."),
    Field("threshold", _maybe(_NUMBER), "The worst score that is good."),
    Field("coverage", _maybe(_NUMBER), "Share of the examples that were answered."),
    Field("outcomes", _each(_COUNT), "Examples by what became of them."),
    Field("dataset", _TEXT, "SHA-256 of the data set."),
    Field("seconds", _SECONDS, "Time the run took, waiting included."),
)

#: What records of a type have beside COMMON.
FIELDS: Mapping[str, tuple[Field, ...]] = {"result": RESULT, "state_change": STATE_CHANGE, "evaluation": EVALUATION}


def schema() -> Schema:
    """JSON Schema (draft 2020-12) of one record."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"model-exporter record, version {VERSION}",
        **_block(COMMON),
        "allOf": [
            {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": _block(fields)}
            for name, fields in FIELDS.items()
        ],
    }


def table(fields: tuple[Field, ...]) -> str:
    """The fields as a Markdown table."""
    rows = [f"| `{field.name}` | {' or '.join(_words(field.schema))} | {field.text} |\n" for field in fields]
    return "| field | JSON | meaning |\n|---|---|---|\n" + "".join(rows)


def _block(fields: tuple[Field, ...]) -> Schema:
    return {
        "type": "object",
        "properties": {field.name: {**field.schema, "description": field.text} for field in fields},
        "required": [field.name for field in fields],
    }


def _words(schema: Schema) -> Iterator[str]:
    if "const" in schema:
        yield f"`{schema['const']}`"
        return
    named = schema.get("type", "string")
    yield from [named] if isinstance(named, str) else named
    if None in schema.get("enum", ()):
        yield "null"
