"""JSON Schema of the Helm chart's values, from its values.yaml: types are those of the defaults, descriptions the
comments.

Helm reads draft 7, as editors do. Objects of Kubernetes that are handed on whole are not described.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from exporter import log

Schema = dict[str, Any]

_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d))+$"}
_MAYBE_DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d))*$"}
_MAYBE: Schema = {"type": ["boolean", "null"]}
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_TEXT_ITEMS: Schema = {"type": "array", "items": {"type": "string"}}
_SECRET_NAMES: Schema = {"type": "array", "items": {"type": ["string", "object"]}}


def _mount(source: str) -> Schema:
    texts = {key: {"type": "string"} for key in ("name", source, "mountPath", "subPath")}
    properties = texts | {"optional": {"type": "boolean"}, "defaultMode": {"type": "integer"}}
    required = ["name", source, "mountPath"]
    item = {"type": "object", "required": required, "properties": properties, "additionalProperties": False}
    return {"type": "array", "items": item}


#: What a default does not tell, by the path of the key.
_MORE: dict[str, Schema] = {
    "kind": {"enum": ["Deployment", "StatefulSet"]},
    "replicas": {"type": "integer", "minimum": 0},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.repository": {"type": "string", "minLength": 1},
    "image.pullSecrets": _SECRET_NAMES,
    "global.imagePullSecrets": _SECRET_NAMES,
    "reloadInterval": _DURATION,
    "shutdownGrace": _DURATION,
    "logLevel": {"enum": list(log.LEVELS)},
    "logFormat": {"enum": list(log.FORMATS)},
    "containerPort": _PORT,
    "service.port": _PORT,
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "extraArgs": _TEXT_ITEMS,
    "extraConfigmapMounts": _mount("configMap"),
    "extraSecretMounts": _mount("secretName"),
    "automountServiceAccountToken": _MAYBE,
    "rbac.discovery": _MAYBE,
    "rbac.trainingLogs": _MAYBE,
    "rbac.namespaces": _TEXT_ITEMS,
    "rbac.resources": {
        "type": "array",
        "items": {"enum": ["services", "endpointslices", "pods", "inferenceservices"]},
    },
    "serviceMonitor.scheme": {"enum": ["http", "https"]},
    "podMonitor.scheme": {"enum": ["http", "https"]},
    "scrapeConfig.scheme": {"enum": ["HTTP", "HTTPS"]},
    **{
        f"{block}.{key}": _MAYBE_DURATION
        for block in ("serviceMonitor", "podMonitor", "scrapeConfig")
        for key in ("interval", "scrapeTimeout")
    },
    "probe.interval": _DURATION,
    "probe.scrapeTimeout": _DURATION,
    "probe.modules": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["module", "targets"],
            "properties": {"module": {"type": "string", "minLength": 1}, "targets": _TEXT_ITEMS, "labels": _TEXTS},
            "additionalProperties": False,
        },
    },
    "prometheusRule.disabled": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "podDisruptionBudget": {
        "type": "object",
        "properties": {
            "minAvailable": {"type": ["integer", "string"]},
            "maxUnavailable": {"type": ["integer", "string"]},
            "unhealthyPodEvictionPolicy": {"enum": ["IfHealthyBudget", "AlwaysAllow"]},
        },
        "additionalProperties": False,
    },
}
#: Objects of Kubernetes: what they may hold is its to say.
_WHOLE = {
    "podSecurityContext",
    "securityContext",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
}
#: Maps of text to text, by the end of their key.
_TEXT_MAPS = ("labels", "Labels", "annotations", "Annotations", "nodeSelector")


def values_schema(text: str, config_keys: Iterable[str]) -> Schema:
    """The schema of a values.yaml. `config_keys`: what the key `config` may hold.

    ValueError for a key whose type nothing tells, or that has no description.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    properties = _properties(node, text.splitlines(), "")
    config = {"description": properties["config"]["description"], "type": "object"}
    properties["config"] = config | {"properties": {key: {} for key in config_keys}, "additionalProperties": False}
    # A chart that depends on this one may switch it by a key of its own, and shares what is global.
    properties["enabled"] = {"type": "boolean", "description": "For the condition of a chart that depends on this one."}
    properties["global"] = {**properties["global"], "additionalProperties": True}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart model-exporter",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _properties(node: Any, lines: list[str], prefix: str) -> Schema:
    return {key.value: _key(key, value, lines, f"{prefix}{key.value}") for key, value in node.value}


def _key(key: Any, value: Any, lines: list[str], path: str) -> Schema:
    description = _comment(lines, key.start_mark.line)
    told = {"description": description} if description else {}
    group = isinstance(value, yaml.MappingNode) and value.value and path not in _WHOLE
    if not description and not group:
        raise ValueError(f"{path}: no description")
    if path in _MORE:
        return told | _MORE[path]
    if group:
        properties = _properties(value, lines, f"{path}.")
        return told | {"type": "object", "properties": properties, "additionalProperties": False}
    if isinstance(value, yaml.MappingNode):
        return told | (_TEXTS if path.endswith(_TEXT_MAPS) else {"type": "object"})
    if isinstance(value, yaml.SequenceNode):
        return told | {"type": "array"}
    types = {"tag:yaml.org,2002:str": "string", "tag:yaml.org,2002:int": "integer", "tag:yaml.org,2002:bool": "boolean"}
    if value.tag not in types:
        raise ValueError(f"{path}: its default tells no type")
    return told | {"type": types[value.tag]}


def _comment(lines: list[str], at: int) -> str:
    """The comment that begins with `# --` above line `at`."""
    found: list[str] = []
    for line in reversed(lines[:at]):
        text = line.strip()
        if not text.startswith("#"):
            return ""
        found.append(text.lstrip("# ").removeprefix("-- "))
        if text.startswith("# --"):
            return " ".join(reversed(found))
    return ""
