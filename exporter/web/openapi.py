"""/openapi.json: every path, its parameters and its answers, for programs that read such things (OpenAPI 3.1)."""

import json
from functools import cache
from typing import Any

from exporter import __version__
from exporter.model.state import State
from exporter.web.schemas import SCHEMAS, Schema, flag, instant, number, one_of, ref, text, whole

_HTML, _TEXT, _EVENTS = "text/html", "text/plain", "text/event-stream"
_NAME = {"name": "name", "in": "path", "required": True, "description": "A target, percent-encoded.", "schema": text()}


@cache
def written() -> str:
    """The description as JSON."""
    return json.dumps(description()) + "\n"


def description() -> dict[str, Any]:
    """All of it, as plain values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "model-exporter",
            "version": __version__,
            "description": (
                "Instants are RFC 3339 in UTC, durations seconds, and what is not known is null. Within /api/v1 fields "
                "are added and never renamed or removed. What goes wrong is told as {error: in words}."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: dict(methods) for path, methods in _paths().items()},
        "components": {"schemas": SCHEMAS},
    }


def _paths() -> dict[str, dict[str, Any]]:
    return {
        "/": {
            "get": _op(
                "The status page",
                {200: _page()},
                *_FILTER[:2],
                *(_query(name) for name in ("sort", "group", "page", "refresh")),
            )
        },
        "/target": {
            "get": _op("The page of one target", {200: _page(), 404: _page()}, _query("name")),
            "post": _op(
                "Its form without scripts: ask the target now",
                {
                    303: {"description": "Back to the page"},
                    403: _error("Another origin"),
                    404: _error("No such target"),
                    503: _error("Nothing is being probed"),
                },
                _query("name"),
            ),
        },
        "/training": {"get": _op("Training jobs that are followed", {200: _page()})},
        "/evaluations": {"get": _op("Evaluations of all targets", {200: _page()})},
        "/openapi.json": {"get": _op("This description", {200: _json("OpenAPI 3.1", {"type": "object"})})},
        "/metrics": {"get": _op("What Prometheus reads", {200: _is("Metrics", _TEXT), 503: _is("Too many", _TEXT)})},
        "/probe": {
            "get": _op(
                "One run of each probe of a module, now",
                {
                    200: _is("Metrics of that run, whatever the target did", _TEXT),
                    400: _is("Bad parameters", _TEXT),
                    403: _is("Nothing allows this target", _TEXT),
                    429: _is("Too many at once", _TEXT),
                },
                *(_query(name) for name in ("target", "module", "model", "probe")),
                _query("debug", "A transcript, where the config allows it.", flag()),
            )
        },
        "/config": {"get": _op("The config in force, secrets hidden", {200: _is("YAML", _TEXT)})},
        "/-/healthy": {
            "get": _op("Liveness of the exporter itself", {200: _is("It is", _TEXT), 503: _is("Not", _TEXT)})
        },
        "/-/ready": {
            "get": _op("Readiness of the exporter itself", {200: _is("It is", _TEXT), 503: _is("Not", _TEXT)})
        },
        "/-/reload": {
            "post": _op(
                "Read the config again",
                {200: _is("Done", _TEXT), 403: _is("Another origin", _TEXT), 500: _is("What is wrong with it", _TEXT)},
            )
        },
        "/ready/{name}": {
            "get": _op(
                "Readiness of one model, as a kubelet or a load balancer wants it",
                {
                    200: _ready("Requests may be sent to it"),
                    503: _ready("Send none"),
                    404: _is("No such target", _TEXT),
                },
                _NAME,
                _query("strict", "Whether `unhealthy` is not ready too.", flag()),
            )
        },
        "/api/v1/targets": {
            "get": _op(
                "Targets, page by page",
                {200: _json("One page", ref("Targets")), 400: _error("Bad parameters")},
                *_FILTER,
            )
        },
        "/api/v1/targets/{name}": {
            "get": _op(
                "One target in full; of one that is several servers, how they are together",
                {
                    200: _json("It", {"oneOf": [ref("TargetInFull"), ref("Group")]}),
                    404: _error("No such target"),
                },
                _NAME,
            )
        },
        "/api/v1/targets/{name}/probe": {
            "post": _op(
                "Ask a target now; its runs count as all others do",
                {
                    202: _json("Runs begin", ref("Asked")),
                    400: _error("No such probe"),
                    403: _error("Another origin"),
                    404: _error("No such target"),
                    503: _error("Nothing is being probed"),
                },
                _NAME,
                _query("probe", "One probe only; without it all but evaluations."),
            )
        },
        "/api/v1/events": {
            "get": _op(
                "What happens, as server-sent events: state (StateChange), run (Run), reset ({}: some were missed)",
                {
                    200: _is("The stream", _EVENTS),
                    400: _error("Bad parameters"),
                    503: _error("Too many clients"),
                },
                _query("kind", "May be given several times; without it: state.", one_of(("state", "run"))),
                _query("target", "May be given several times; without it: all."),
                {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "The last id that was heard; changes of state since then come first.",
                    "schema": text(),
                },
            )
        },
        "/api/v1/gate": {method: _gate() for method in ("get", "post")},
        "/api/v1/maintenance": {
            "get": _op("Maintenance that was announced", {200: _json("It", ref("Maintenances"))}),
            "post": _op(
                "Leave targets alone for a while",
                {
                    201: _json("It begins", ref("Maintenance")),
                    400: _error("All that is wrong"),
                    403: _error("Another origin"),
                    429: _error("Too much is announced"),
                },
            )
            | {"requestBody": {"required": True, "content": _content("application/json", ref("Announcement"))}},
        },
        "/api/v1/maintenance/{id}": {
            "delete": _op(
                "End a maintenance",
                {200: _json("Ended", ref("Ended")), 403: _error("Another origin"), 404: _error("No such id")},
                {"name": "id", "in": "path", "required": True, "schema": text()},
            )
        },
    }


def _gate() -> dict[str, Any]:
    return _op(
        "Whether what is selected is good",
        {
            200: _json("All is good", ref("Gate")),
            503: _json("Something is not, or not yet", ref("Gate")),
            400: _json("All that is wrong with the question", ref("GateError")),
        },
        _query("select", "label=value; may be given several times."),
        _query("consecutive", "Good runs in a row that are wanted.", whole()),
        _query("version"),
        _query("min_addresses", "", whole()),
        _query("max_duration", "Such as 2s."),
        _query("max_ttft", "Such as 500ms."),
        _query("evaluate", "", flag()),
        _query("since", "Unix seconds or RFC 3339.", {"anyOf": [instant(), number()]}),
    )


def _query(name: str, description: str = "", schema: Schema | None = None) -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema or text()} | told


_FILTER = (
    _query("state", "Only those in this state.", one_of(State)),
    _query("q", "Only those with this text in a name, address, label or reason; case does not matter."),
    _query("limit", "At most so many, up to 1000.", whole()),
    _query("cursor", "`next` of the answer before."),
)


def _op(summary: str, answers: dict[int, dict[str, Any]], *parameters: dict[str, Any]) -> dict[str, Any]:
    given = {"parameters": list(parameters)} if parameters else {}
    return {"summary": summary, "responses": {str(status): answer for status, answer in answers.items()}} | given


def _content(kind: str, schema: Schema) -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _is(description: str, kind: str) -> dict[str, Any]:
    return {"description": description, "content": _content(kind, text())}


def _page() -> dict[str, Any]:
    return _is("HTML", _HTML)


def _json(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": _content("application/json", schema)}


def _error(description: str) -> dict[str, Any]:
    return _json(description, ref("Error"))


def _ready(description: str) -> dict[str, Any]:
    schema = {"oneOf": [ref("Ready"), ref("GroupReady")]}
    return {"description": description, "content": _content(_TEXT, text()) | _content("application/json", schema)}
