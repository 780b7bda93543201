"""Lists of targets that others keep, as the config names them: files of target groups, and what is made of them."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from exporter.config.cluster import Context, Kubeconfig
from exporter.config.names import LABEL_NAME, ObjectName, Selector
from exporter.config.replicas import Address
from exporter.config.service import Service
from exporter.discovery.records import Question, Type
from exporter.discovery.relabel import Action, Rule
from exporter.protocols.patterns import Regex
from exporter.settings import Count, FilePath, PositiveDuration, Settings, problem
from exporter.url import parse

#: Actions that need `target_label`, and those that know nothing but a pattern, or nothing but two labels.
_AIMED = frozenset({"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"})
_PATTERN_ALONE = frozenset({"labeldrop", "labelkeep"})
_LABELS_ALONE = frozenset({"keepequal", "dropequal"})
_RECORD_NAME = re.compile(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")


def _label(value: object) -> str:
    if not isinstance(value, str):
        raise problem("label", "found {found}; the name of a label expected", found=value)
    if not LABEL_NAME.fullmatch(value):
        raise problem("label", "found {found}, no name of a label; allowed: letters, digits and _", found=value)
    return value


LabelName = Annotated[
    str, BeforeValidator(_label), WithJsonSchema({"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"})
]


def _record_name(value: object) -> str:
    if not isinstance(value, str):
        raise problem("record", "found {found}; the name of a record expected", found=value)
    if len(value) > 254 or not _RECORD_NAME.fullmatch(value):
        allowed = "letters, digits, - and _, with dots between, at most 253 characters"
        raise problem("record", f"found {{found}}, no name of a record; allowed: {allowed}", found=value)
    return value


RecordName = Annotated[
    str, BeforeValidator(_record_name), WithJsonSchema({"type": "string", "pattern": f"^{_RECORD_NAME.pattern}$"})
]


class RelabelConfig(Settings):
    """One step of relabelling, as Prometheus has it."""

    action: Action = Field("replace", description="What is done.")
    source_labels: list[LabelName] = Field([], description="The labels whose values, joined, are looked at.")
    separator: str = Field(";", max_length=64, description="What the values are joined with.")
    regex: Regex = Field("(.*)", description="The whole of what is looked at must match it. Python syntax.")
    target_label: str = Field("", max_length=256, description="The label that is set; replace may use $1 in it.")
    replacement: str = Field("$1", max_length=4096, description="What it is set to; $1 or ${name} is a group.")
    modulus: Annotated[int, Field(ge=0, le=2**63)] = Field(0, description="By what hashmod divides.")


class Files(Settings):
    """Files of target groups, as Prometheus's file_sd: `[{targets: [...], labels: {...}}]` in YAML or JSON."""

    paths: list[FilePath] = Field(
        min_length=1, max_length=100, description="Files; *, ? and [] as in a shell, ** for any folders."
    )
    interval: PositiveDuration = Field(15.0, description="Time between two readings.")
    limit: Count = Field(10_000, description="Targets that are watched at most.")


class HttpList(Service):
    """A server of target groups, as Prometheus's http_sd: `[{targets: [...], labels: {...}}]` in JSON."""

    interval: PositiveDuration = Field(60.0, description="Time between two questions.")
    timeout: PositiveDuration = Field(10.0, description="Time an answer may take.")
    limit: Count = Field(10_000, description="Targets that are watched at most.")


class DnsRecords(Settings):
    """Records of a name server, as Prometheus's dns_sd; needs the extra `[dns]`."""

    names: list[RecordName] = Field(
        min_length=1, max_length=100, description="What is looked up, such as _http._tcp.models.svc.cluster.local."
    )
    type: Type = Field("SRV", description="The records; those of A and AAAA are addresses, and need port.")
    port: int | None = Field(None, ge=1, le=65535, description="The targets' port. Not with SRV, which has its own.")
    servers: list[Address] = Field(
        [], max_length=8, description="Name servers, each an address with an optional :port. Default: the system's."
    )
    interval: PositiveDuration = Field(30.0, description="Time between two look-ups.")
    timeout: PositiveDuration = Field(5.0, description="Time the look-up of one name may take.")
    limit: Count = Field(10_000, description="Targets that are watched at most.")


class KubernetesObjects(Settings):
    """Objects of a Kubernetes cluster, followed as they come and go: see docs/discovery.md."""

    role: Literal["service", "endpointslice", "pod", "inferenceservice"] = Field(
        description="What becomes a target: a Service, each address behind one, each Pod, or an InferenceService."
    )
    namespaces: list[ObjectName] = Field(
        [], max_length=100, description="Only of these. Default: of all; must be named where credentials are sent."
    )
    selector: Selector | None = Field(None, description="Labels that select the objects, such as app=llm.")
    annotated: bool | None = Field(
        None,
        description='Only objects annotated model-exporter/probe: "true"; otherwise all but those annotated "false". '
        "Default: true, false with role inferenceservice.",
    )
    modules: list[str] = Field(
        [], max_length=1000, description="Modules the annotation model-exporter/module may name. Default: none."
    )
    startup: PositiveDuration | None = Field(
        None,
        description="Time a workload that is new is loading and not down, where neither an annotation nor its "
        "startupProbe says. Default: that of module or defaults, else 10m.",
    )
    kubeconfig: Kubeconfig = None
    context: Context = None
    limit: Count = Field(10_000, description="Targets that are watched at most.")


def rule_of(block: RelabelConfig) -> Rule:
    """The step as a value."""
    return Rule(
        block.action, tuple(block.source_labels), block.separator, block.regex, block.target_label, block.replacement,
        block.modulus,
    )  # fmt: skip


def question_of(source: DnsRecords) -> Question:
    """The look-ups as a value."""
    servers = tuple((place.address, place.port) for place in source.servers)
    return Question(tuple(source.names), source.type, source.port or 0, servers, source.timeout)


def complaint(block: RelabelConfig) -> tuple[Literal["", "target_label", "modulus", "action"], str] | None:
    """The key that is wrong with a step, "" for the step as a whole, and why; None where nothing is."""
    said = block.model_fields_set - {"action"}
    action = block.action
    if action in _PATTERN_ALONE and said - {"regex"}:
        return "", f"{action} has regex and no other key"
    if action in _LABELS_ALONE and said - {"source_labels", "target_label"}:
        return "", f"{action} has source_labels, target_label and no other key"
    if action in _AIMED and not block.target_label:
        return "", f"{action} needs target_label"
    if action in _AIMED and action != "replace" and not LABEL_NAME.fullmatch(block.target_label):
        return "target_label", "no name of a label; allowed: letters, digits and _"
    if action == "hashmod" and not block.modulus:
        return "", "hashmod needs modulus, above 0"
    return None


#: What an entry may read its targets from, beside a server's own list of models.
Source = Files | HttpList | DnsRecords | KubernetesObjects


def default_name(source: Source) -> str:
    """The label `source` of a list without a name of its own."""
    if isinstance(source, KubernetesObjects):
        return f"kubernetes:{source.role}"
    if isinstance(source, DnsRecords):
        return f"{source.type.lower()}:{source.names[0]}"
    return f"file:{Path(source.paths[0]).name}" if isinstance(source, Files) else f"http:{parse(source.url).name}"
