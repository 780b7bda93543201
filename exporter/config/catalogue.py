"""A `catalogue` entry of the config as targets: the server that is asked for its list, and the models on it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exporter import protocols
from exporter.config.merge import Merged, Merger
from exporter.config.models import Target
from exporter.config.own_keys import kinds
from exporter.config.reach import Reach
from exporter.model.job import Kind

if TYPE_CHECKING:
    from exporter.config.discovery import Catalogue, Discovery


def source_name(entry: "Discovery", catalogue: "Catalogue") -> str:
    """The label `source`, with which the names of its targets begin."""
    return entry.name if entry.name is not None else catalogue.url.name


def asked_of(entry: "Discovery", catalogue: "Catalogue", merger: Merger) -> Merged:
    """The server that is asked for its list, with everything that holds for it."""
    of_module = _protocol_of_module(entry, merger)
    protocol = catalogue.protocol or of_module
    merged = merger.merge(_target(entry, catalogue, source_name(entry, catalogue), protocol))
    if of_module is not None and protocol != of_module:
        merged = replace(merged, own=own_keys_of(catalogue))  # the module's keys are those of its protocol
    return replace(merged, keep_alive=False)


def watched(entry: "Discovery", catalogue: "Catalogue", merger: Merger, model: str) -> Target:
    """A model as a target. It is asked by its module's protocol; that of the catalogue says who tells the list."""
    protocol = _protocol_of_module(entry, merger) or catalogue.protocol
    return _target(entry, catalogue, f"{source_name(entry, catalogue)}/{model}", protocol, model)


def own_keys_of(catalogue: "Catalogue") -> dict[str, Any]:
    """The keys for a protocol to judge."""
    return {key: value for key, value in (catalogue.model_extra or {}).items() if key not in Target.model_fields}


def offering() -> list[str]:
    """The protocols that have a list of models."""
    return [name for name in protocols.NAMES if Kind.CATALOGUE in kinds(name)]


def _protocol_of_module(entry: "Discovery", merger: Merger) -> str | None:
    module = merger.modules.get(entry.module) if entry.module is not None else None
    return module.protocol if module is not None else None


def _target(entry: "Discovery", catalogue: "Catalogue", name: str, protocol: str | None, model: str = "") -> Target:
    said = catalogue.model_fields_set & Reach.model_fields.keys()
    given: dict[str, Any] = {key: getattr(catalogue, key) for key in said}
    if protocol == (catalogue.protocol or protocol):
        given |= own_keys_of(catalogue)  # the keys of one protocol mean nothing to another
    return Target.model_construct(
        name=name, url=catalogue.url, protocol=protocol, model=model, module=entry.module, labels=entry.labels, **given
    )
