"""The config in force as YAML for people: secrets, headers, url queries and what is sent to models are hidden."""

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel

from exporter import protocols
from exporter.config.merge import AUTO
from exporter.config.models import File, Module, Target
from exporter.config.own_keys import OwnKeys, kinds
from exporter.config.probes import Probe
from exporter.model.job import Kind
from exporter.settings import Settings
from exporter.url import without_query

if TYPE_CHECKING:
    from exporter.config.discovery import Catalogue, Discovery

HIDDEN = "<hidden>"

#: Keys whose values are hidden wherever they stand: credentials, and requests, which may hold what must not be shown.
_PRIVATE = frozenset({"auth", "body", "headers", "input", "messages", "prompt", "query"})
_FIRST = ("name", "url", "protocol", "module", "model")
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def dump(file: File) -> str:
    """A file as it was given, limits and the like with what holds by default, as YAML; what must not be seen is hidden.

    Never raises for what the file holds.
    """
    own_keys = OwnKeys(file.folder)
    plain: dict[str, Any] = {}
    for name in File.model_fields:
        value = getattr(file, name)
        if name == "modules":
            plain[name] = {key: _extended(module, module.protocol, own_keys, None) for key, module in value.items()}
        elif name == "targets":
            plain[name] = [_target(target, file, own_keys) for target in value or ()]
        elif name == "discovery":
            if value is not None:
                plain[name] = [_entry(entry, file, own_keys) for entry in value]
        elif name in ("sinks", "training"):
            plain |= {name: [_plain(entry) for entry in value]} if value else {}
        elif name in ("defaults", "deploy"):
            plain[name] = {} if value is None else _plain(value)
        elif name == "environments":
            plain[name] = {key: _plain(environment) for key, environment in value.items()}
        else:
            plain[name] = value.model_dump(mode="json")
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def _target(target: Target, file: File, own_keys: OwnKeys) -> dict[str, Any]:
    module = file.modules.get(target.module or "")
    return _extended(target, target.protocol or (module.protocol if module else None), own_keys, module)


def _entry(entry: "Discovery", file: File, own_keys: OwnKeys) -> dict[str, Any]:
    module = file.modules.get(entry.module or "")
    plain = _plain(entry)
    if (catalogue := entry.catalogue) is not None:
        protocol = catalogue.protocol or (module.protocol if module else None)
        plain["catalogue"] = _extended(catalogue, protocol, own_keys, module)
    return plain


def _extended(
    block: "Module | Target | Catalogue", protocol: str | None, own_keys: OwnKeys, module: Module | None
) -> dict[str, Any]:
    """A block that a protocol extends: its own keys as the protocol reads them, hidden where it cannot read them."""
    protocol = protocol or AUTO
    known = protocol in protocols.NAMES
    given = _plain(block)
    given.pop("probes", None)
    plain = {key: given.pop(key) for key in _FIRST if key in given} | given
    own = block.model_extra or {}
    plain |= _own(own_keys.options(protocol, own).settings if known else None, own)
    if isinstance(block, Module | Target) and block.probes is not None:
        plain["probes"] = {}
        for name, probe in block.probes.items():
            below = (module.probes or {}).get(name) if module is not None else None
            plain["probes"][name] = None if probe is None else _probe(name, probe, below, protocol, own_keys)
    return plain


def _probe(name: str, probe: Probe, below: Probe | None, protocol: str, own_keys: OwnKeys) -> dict[str, Any]:
    own = probe.model_extra or {}
    kind = probe.kind or (below.kind if below is not None else None) or name
    settings = None
    if protocol in protocols.NAMES and kind in list(Kind) and Kind(kind) in kinds(protocol):
        settings = own_keys.probe(protocol, Kind(kind), own).settings
    return _plain(probe) | _own(settings, own)


def _own(settings: Settings | None, own: dict[str, Any]) -> dict[str, Any]:
    if settings is None:
        return dict.fromkeys(own, HIDDEN)
    return _plain(settings)


def _plain(value: BaseModel) -> dict[str, Any]:
    """What was given of a block, as plain values, in the order of its fields."""
    plain: dict[str, Any] = value.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude=set(value.model_extra or {})
    )
    return {key: _hidden(key, item) for key, item in plain.items()}


def _hidden(key: str, value: Any) -> Any:
    """What may be seen of the value of a key."""
    if key in _PRIVATE:
        return _cover(value)
    if isinstance(value, dict):
        return {inner: _hidden(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_hidden("", item) for item in value]
    return without_query(value) if key == "url" and isinstance(value, str) else value


def _cover(value: Any) -> Any:
    """Only the shape of auth and headers stays."""
    if isinstance(value, dict):
        return {key: item if key == "hosts" else _cover(item) for key, item in value.items()}
    return None if value is None else HIDDEN
