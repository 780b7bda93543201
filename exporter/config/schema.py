"""JSON Schema of the config file, with the keys of every protocol: what editors complete and check by."""

from typing import Any

from pydantic import BaseModel

from exporter import protocols
from exporter.config.catalogue import offering
from exporter.config.merge import AUTO
from exporter.config.models import File
from exporter.config.own_keys import kinds, load
from exporter.model.job import Kind
from exporter.settings import format_duration

Schema = dict[str, Any]

#: Keys of a target that people look for first.
_FIRST = ("name", "url", "protocol", "model", "module", "probes")


def schema() -> Schema:
    """The whole schema (draft 2020-12)."""
    definitions: Schema = {}
    top = _adopt(File, definitions)
    for name in protocols.NAMES:
        for kind, model in _asked(name).items():
            definitions[_probe_name(name, kind)] = _probe(_adopt(model, definitions, f"{name}."), kind, definitions)
        definitions[f"probes.{name}"] = _probes(name)
    definitions["probes.any"] = {
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"type": "null"},
                *(_ref(_probe_name(name, kind)) for name in protocols.NAMES for kind in _asked(name)),
            ]
        },
    }
    for block in ("Module", "Target"):
        _extend(definitions[block], definitions)
        _add_probes(definitions[block])
    _extend(definitions["Catalogue"], definitions)
    definitions["Catalogue"]["properties"]["protocol"] |= {"enum": [AUTO, *offering()]}
    del definitions["Probe"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "model-exporter config",
        **{key: value for key, value in top.items() if key != "title"},
        "anyOf": [{"required": ["targets"]}, {"required": ["discovery"]}, {"required": ["training"]}],
        "$defs": dict(sorted(definitions.items())),
    }


def _adopt(model: type[BaseModel], definitions: Schema, prefix: str = "") -> Schema:
    """A model's own schema; the schemas it refers to go to the definitions, under a prefix."""
    own = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}{{model}}")
    for name, value in own.pop("$defs", {}).items():
        definitions[f"{prefix}{name}"] = _tidy(value)
    tidy: Schema = _tidy(own)
    return tidy


def _tidy(value: Any) -> Any:
    """Without titles, which editors would show above our descriptions, and without defaults and `null` that mean no
    more than "not given": the keys of a block have their own. A default is written as a config has it: of a duration
    pydantic gives the seconds.
    """
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidy(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))}
    default = tidy.get("default", 0)
    if default is None or default == [] or isinstance(default, dict):
        del tidy["default"]
    elif tidy.get("type") == "string" and isinstance(default, float):
        tidy["default"] = format_duration(default)
    options = tidy.get("anyOf")
    if isinstance(options, list) and len(options) == 2 and options[1] == {"type": "null"} and not _null_means(tidy):
        del tidy["anyOf"]
        tidy = {**options[0], **tidy}
    return tidy


def _null_means(field: Schema) -> bool:
    """Whether a field's description gives `null` a meaning of its own."""
    return "null:" in field.get("description", "")


def _asked(protocol: str) -> dict[Kind, Any]:
    return {kind: model for kind, model in kinds(protocol).items() if not kind.internal}


def _probe_name(protocol: str, kind: Kind) -> str:
    return f"probe.{protocol}.{kind.value}"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _probe(own: Schema, kind: Kind, definitions: Schema) -> Schema:
    properties = {**definitions["Probe"]["properties"], **own.get("properties", {})}
    properties["kind"] = {**properties["kind"], "enum": [kind.value]}
    return {
        "type": "object",
        "description": own.get("description", "").partition("\n")[0],
        "properties": properties,
        "additionalProperties": False,
    }


def _probes(protocol: str) -> Schema:
    offered = _asked(protocol)
    return {
        "type": "object",
        "properties": {
            kind.value: {"anyOf": [_ref(_probe_name(protocol, kind)), {"type": "null"}]} for kind in offered
        },
        "additionalProperties": {
            "anyOf": [{"type": "null"}, *(_ref(_probe_name(protocol, kind)) for kind in offered)],
        },
    }


def _extend(block: Schema, definitions: Schema) -> None:
    """Give a block the keys that depend on its protocol."""
    options: dict[str, Schema] = {}
    owners: dict[str, list[str]] = {}
    for name in protocols.NAMES:
        for key, value in _adopt(load(name).options, definitions, f"{name}.").get("properties", {}).items():
            options[key] = {**value, "description": f"{value.get('description', '')} (protocol {name})".strip()}
            owners.setdefault(key, []).append(name)
    given = block["properties"] | options
    block["properties"] = {key: given[key] for key in (*_FIRST, *given) if key in given}
    block["properties"]["protocol"] |= {"enum": list(protocols.NAMES)}
    block["additionalProperties"] = False
    block["allOf"] = [
        {
            "if": {"properties": {"protocol": {"const": name}}, "required": ["protocol"]},
            "then": {"properties": {key: False for key, names in owners.items() if name not in names}},
        }
        for name in protocols.NAMES
    ]


def _add_probes(block: Schema) -> None:
    """Give a module or target the probes of its protocol."""
    block["properties"]["probes"] = {
        "type": "object",
        "description": block["properties"]["probes"]["description"],
    }
    for name, condition in zip(protocols.NAMES, block["allOf"], strict=True):
        properties = condition["then"]["properties"]
        condition["then"]["properties"] = {"probes": _ref(f"probes.{name}"), **properties}
    block["allOf"].append(
        {
            "if": {"not": {"required": ["protocol"]}},
            "then": {
                "if": {"required": ["url"], "not": {"required": ["module"]}},
                "then": {"properties": {"probes": _ref(f"probes.{AUTO}")}},
                "else": {"properties": {"probes": _ref("probes.any")}},
            },
        }
    )
