"""docs/reference/config.md: every key of the config file, from the models and the protocols."""

import json
from typing import Any

from exporter import protocols
from exporter.config.evaluation import Evaluate
from exporter.config.merge import AUTO
from exporter.config.own_keys import kinds, load
from exporter.config.schema import Schema, schema
from exporter.model.job import Kind

_INTRODUCTION = """\
# Config file

Written by `python -m exporter.reference` from the code. [example.yaml](example.yaml) shows every block at work;
[config.schema.json](config.schema.json) lets editors complete and check: begin the file with
`# yaml-language-server: $schema=config.schema.json`.

- Target over module over defaults: mappings are merged, lists replaced; `null` in place of a module's probe drops it.
- Durations are written as Prometheus writes them (`500ms`, `15s`, `1m30s`), sizes as `512kB`, `10MB` or `1MiB`.
- A secret is text, `{env: NAME}` or `{file: PATH}`. Files are read when they are used: a rotated one needs no reload.
- Relative paths start at the folder of the config file.
- Unknown keys are errors. `model-exporter check FILE` names every problem with its line.
- Several files (`--config` repeated) are one config: targets and modules add up, every other key is in one of them.
- At least one of `targets`, `discovery` and `training` is present.
"""

_BLOCKS = (
    ("Top level", "", ""),
    ("defaults", "Defaults", ""),
    ("limits", "Limits", ""),
    ("modules.NAME", "Module", ""),
    ("targets[]", "Target", ""),
    ("discovery[]", "Discovery", ""),
    ("discovery[].catalogue", "Catalogue", ""),
    ("discovery[].file", "Files", ""),
    ("discovery[].http", "HttpList", ""),
    ("discovery[].dns", "DnsRecords", ""),
    ("discovery[].kubernetes", "KubernetesObjects", ""),
    ("discovery[].relabel_configs[]", "RelabelConfig", ""),
    ("training[]", "Training", ""),
    ("training[].file", "TrainingFile", ""),
    ("training[].http", "TrainingHttp", ""),
    ("training[].kubernetes", "TrainingKubernetes", ""),
    ("training[].mlflow", "TrainingMlflow", ""),
    ("training[].ends", "Ends", ""),
    ("training[].diverged", "Diverged", ""),
    ("auth of a server that is no target", "StandingAuth", ""),
    ("sinks[]", "Sink", ""),
    ("sinks[].jsonl", "Jsonl", ""),
    ("sinks[].webhook", "Webhook", ""),
    ("sinks[].otlp", "Otlp", ""),
    ("auth", "Auth", "Of defaults, modules and targets."),
    ("auth of a module", "ModuleAuth", ""),
    ("auth.basic", "Basic", ""),
    ("auth.header", "HeaderCredential", ""),
    ("auth.oauth2", "OAuth2", ""),
    ("auth.sigv4", "SigV4", ""),
    ("tls", "Tls", "Of defaults, modules and targets."),
    ("proxy", "Proxy", ""),
    ("proxy.auth", "ProxyAuth", ""),
    ("retry", "Retry", "Of a probe."),
    ("thresholds", "Thresholds", "Of a probe."),
    ("on_demand", "OnDemand", ""),
    ("metrics", "Metrics", ""),
    ("metrics.buckets", "Buckets", ""),
    ("environments.NAME", "Environment", ""),
    ("environments.NAME.kserve", "DeployKServe", ""),
    ("deploy", "Deploy", ""),
    ("deploy.torchserve", "DeployTorchServe", ""),
    ("deploy.ollama", "DeployOllama", ""),
)
#: Blocks of the kind evaluate, which are the same for all protocols.
_OF_EVALUATE = ("Dataset", "Tls")
_COMMON = ("kind", "interval", "timeout", "recheck", "retry", "thresholds")


def config_page() -> str:
    """The whole page as Markdown."""
    whole = schema()
    definitions: Schema = whole["$defs"]
    parts = [_INTRODUCTION]
    for title, name, note in _BLOCKS:
        block = definitions[name] if name else whole
        parts.append(
            f"## {title}\n\n{_text(block.get('description', '') if name else note)}{_table(block, definitions)}"
        )
    parts.append(_probes(definitions))
    return "\n".join(parts)


def _probes(definitions: Schema) -> str:
    parts = [
        "## probes\n\nA mapping of names to probes; the name becomes the label `probe`. These keys are common to all "
        f"protocols:\n\n{_table(definitions['probe.auto.health'], definitions)}"
    ]
    parts.append(_evaluate(definitions))
    for protocol in protocols.NAMES:
        offered = [kind for kind in kinds(protocol) if not kind.internal]
        default = [kind.value for kind in load(protocol).default_kinds if not kind.internal]
        lines = [f"## Protocol {protocol}\n\n{_about(protocol)}"]
        if protocol != AUTO:
            lines.append(f"Probes without a `probes` block: {', '.join(default)}.\n")
        for kind in offered:
            if kind is Kind.EVALUATE:
                continue  # told once, for all protocols
            own = definitions[f"probe.{protocol}.{kind.value}"]
            keys = {key: value for key, value in own["properties"].items() if key not in _COMMON}
            if keys:
                table = _table({"properties": keys}, definitions)
                lines.append(f"### {protocol}: {kind.value}\n\n{_text(own['description'])}{table}")
        for name, value in definitions.items():
            if name.startswith(f"{protocol}.") and name.partition(".")[2] not in _OF_EVALUATE:
                short = name.partition(".")[2]
                lines.append(
                    f"### {protocol}: {short}\n\n{_text(value.get('description', ''))}{_table(value, definitions)}"
                )
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _evaluate(definitions: Schema) -> str:
    own = definitions["probe.http.evaluate"]
    keys = {key: value for key, value in own["properties"].items() if key in Evaluate.model_fields}
    table = _table({"properties": keys}, definitions)
    dataset = definitions["http.Dataset"]
    return (
        "## Probes of the kind evaluate\n\n"
        "Of every protocol with infer. Beside these keys it takes those of infer, which then hold for all examples: "
        f"see [evaluation.md](../evaluation.md).\n\n{table}\n"
        f"### dataset\n\n{_text(dataset.get('description', ''))}{_table(dataset, definitions)}"
    )


def _about(protocol: str) -> str:
    if protocol == AUTO:
        return "Asks the server what it is, then runs what fits. Probes take the common keys only.\n"
    return _text((load(protocol).__doc__ or "").strip().partition("\n")[0])


def _text(text: str) -> str:
    return f"{text}\n\n" if text else ""


def _description(reference: str | None, definitions: Schema) -> str:
    """Pydantic leaves a field's description out where it is that of the block it refers to."""
    return definitions[reference.rpartition("/")[2]].get("description", "") if reference else ""


def _table(block: Schema, definitions: Schema) -> str:
    required = block.get("required", ())
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in block.get("properties", {}).items():
        default = "required" if key in required else _default(value)
        meaning = value.get("description") or _description(value.get("$ref"), definitions)
        rows.append(f"| `{key}` | {_type(value)} | {default} | {_cell(meaning)} |")
    return "\n".join(rows) + "\n"


def _default(value: Schema) -> str:
    return f"`{json.dumps(value['default'])}`" if "default" in value else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _type(value: Schema) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"{name.rpartition('.')[2]} block" if not name.startswith("probes") else "probes"
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if "oneOf" in value:
        sources = [next(iter(one["properties"])) for one in value["oneOf"] if one.get("type") == "object"]
        return "secret" if "env" in sources else "text or `{file: PATH}`"
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(one) for one in value["anyOf"]))
    kind: Any = value.get("type")
    if kind == "array":
        return f"list of {_type(value.get('items', {}))}"
    if kind == "object":
        inner = value.get("additionalProperties")
        return f"mapping of {_type(inner)}" if isinstance(inner, dict) and inner else "mapping"
    if kind == "string":
        return "duration" if "15s" in value.get("examples", ()) else "text"
    if isinstance(kind, list):
        return "size"
    return {"integer": "integer", "number": "number", "boolean": "boolean", "null": "null"}.get(kind, "any")
