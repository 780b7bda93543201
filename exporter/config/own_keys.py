"""The keys that only a protocol knows: validated by its own models, once for each different set of values."""

import hashlib
import marshal
import os
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from exporter import protocols
from exporter.config.merge import AUTO, MergedProbe
from exporter.config.problems import Path
from exporter.contracts import ModelProtocol
from exporter.model.cost import Cost
from exporter.model.job import Kind
from exporter.model.secret import Secret
from exporter.protocols.family import Canary
from exporter.protocols.values import ValueExpect
from exporter.settings import Settings

#: What `auto` may be asked for: keys that all protocols share, and those are not the protocols' own.
AUTO_KINDS: Mapping[Kind, type[Settings]] = {Kind.HEALTH: Settings, Kind.READY: Settings, Kind.METADATA: Settings}

# Inline secrets enter a fingerprint as a digest under a key that dies with the process: a fingerprint seen elsewhere
# cannot be used to guess them.
_SALT = os.urandom(16)


class Validated:
    """Own keys as the protocol wants them, the secrets they name with the keys that lead there, and pydantic's errors
    when they are wrong.
    """

    __slots__ = ("errors", "has_schema", "secrets", "settings", "_cost", "_digest")

    def __init__(self, settings: Settings | None, errors: tuple[Any, ...] = ()) -> None:
        self.settings = settings
        self.errors = errors
        self.secrets: tuple[tuple[Path, Secret], ...] = () if settings is None else tuple(secrets_in(settings))
        expect = getattr(settings, "expect", None)
        #: Whether answers are held against a JSON Schema, for which there is a library.
        self.has_schema = isinstance(expect, ValueExpect) and expect.schema_ is not None
        self._digest: str | None = None
        self._cost: Cost | None = None

    @property
    def digest(self) -> str:
        """A stable hash of the settings, secrets by reference. Made when it is asked for: checking needs none."""
        if self._digest is None:
            # pydantic writes settings out many times faster than we could walk them; it hides secrets, so those follow.
            dumped = "" if self.settings is None else self.settings.model_dump_json()
            self._digest = digest((dumped, self.secrets) if self.secrets else dumped)
        return self._digest

    def cost(self, instance: ModelProtocol) -> Cost:
        """What a canary with these settings costs. A long prompt that many targets share is measured once."""
        if self._cost is None:
            self._cost = instance.cost()
        return self._cost


class OwnKeys:
    """Validates and remembers. `folder` is where relative paths start."""

    def __init__(self, folder: str | None) -> None:
        self._context = {"base": folder}
        self._known: dict[tuple[Any, ...], Validated] = {}
        self._probes: dict[tuple[int, str], tuple[Validated, MergedProbe]] = {}
        self._digests: dict[Hashable, str] = {}

    def probe(self, protocol: str, kind: Kind, own: dict[str, Any]) -> Validated:
        """Settings of a probe. The protocol must offer the kind."""
        return self._validate((protocol, kind), kinds(protocol)[kind], own)

    def of(self, protocol: str, probe: MergedProbe) -> Validated:
        """As `probe`, of one that many targets share."""
        known = self._probes.get((id(probe), protocol))
        if known is None:
            assert probe.kind is not None  # noqa: S101 - the caller looked
            # The probe is kept, so that its id is not given to another.
            known = self._probes[id(probe), protocol] = (self._asked(protocol, probe.kind, probe), probe)
        return known[0]

    def _asked(self, protocol: str, kind: Kind, probe: MergedProbe) -> Validated:
        known = self.probe(protocol, kind, probe.own)
        if probe.drift and isinstance(known.settings, Canary) and known.settings.varies:
            # Only answers to the same words can be held against each other.
            return Validated(known.settings.as_written())
        return known

    def options(self, protocol: str, own: dict[str, Any]) -> Validated:
        """Options of a target."""
        return self._validate((protocol,), load(protocol).options, own)

    def once(self, value: Hashable) -> str:
        """The digest of a value that many targets share."""
        known = self._digests.get(value)
        if known is None:
            known = self._digests[value] = digest(value)
        return known

    def _validate(self, what: tuple[Any, ...], model: type[Settings], own: dict[str, Any]) -> Validated:
        key = (*what, marshal.dumps(own, 2))
        known = self._known.get(key)
        if known is None:
            try:
                settings = model.model_validate(own, context=self._context)
                known = Validated(settings)
            except ValidationError as error:
                known = Validated(None, errors=tuple(error.errors(include_url=False)))
            self._known[key] = known
        return known


@cache
def kinds(protocol: str) -> Mapping[Kind, type[Settings]]:
    """The kinds a config may ask of a protocol, with the model of their own keys. What can be asked once can be
    evaluated.
    """
    if protocol == AUTO:
        return AUTO_KINDS
    offered = protocols.load(protocol).kinds
    return _AndEvaluate(offered) if Kind.INFER in offered else offered


class _AndEvaluate(Mapping[Kind, type[Settings]]):
    """The kinds of a protocol, and `evaluate`, whose model is made when it is asked for: few configs have one."""

    def __init__(self, offered: Mapping[Kind, type[Settings]]) -> None:
        self._offered = offered

    def __getitem__(self, kind: Kind) -> type[Settings]:
        if kind is not Kind.EVALUATE:
            return self._offered[kind]
        from exporter.config import evaluation

        return evaluation.keys(self._offered[Kind.INFER])

    def __contains__(self, kind: object) -> bool:
        return kind in self._offered or kind is Kind.EVALUATE

    def __iter__(self) -> Iterator[Kind]:
        yield from self._offered
        yield Kind.EVALUATE

    def __len__(self) -> int:
        return len(self._offered) + 1


@cache
def load(protocol: str) -> type[ModelProtocol]:
    """The class of a protocol."""
    return protocols.load(protocol)


def secrets_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, Secret]]:
    """Every secret that settings name, with the keys that lead to it."""
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, BaseModel):
        if not _may_hold_secrets(type(value)):
            return
        for name, field in type(value).model_fields.items():
            if name in value.model_fields_set:
                yield from secrets_in(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, Secret | BaseModel):
                yield from secrets_in(item, (*path, key))
            elif isinstance(value, list):
                break  # numbers and the like: no list of ours is mixed


@cache
def _may_hold_secrets(model: type[BaseModel]) -> bool:
    return any(_names_secret(field.annotation) for field in model.model_fields.values())


def _names_secret(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _may_hold_secrets(annotation)
    return annotation is Secret or any(_names_secret(part) for part in get_args(annotation))


def digest(value: Any) -> str:
    """A stable hash of settings and plain values; secrets enter by reference."""
    return hashlib.blake2b(repr(_canonical(value)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return [(name, _canonical(getattr(value, name))) for name in type(value).model_fields]
    if isinstance(value, Secret):
        if value.source != "inline":
            return (value.source, value.where)
        return ("inline", hashlib.blake2b(value.where.encode(), key=_SALT, digest_size=12).hexdigest())
    if isinstance(value, Mapping):
        return sorted((str(name), _canonical(item)) for name, item in value.items())
    if isinstance(value, set | frozenset):
        return sorted(repr(_canonical(item)) for item in value)
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    slots = getattr(type(value), "__dataclass_fields__", None)
    if slots is not None:
        return [(name, _canonical(getattr(value, name))) for name in slots]
    pattern = getattr(value, "pattern", None)
    return pattern if isinstance(pattern, str) else value
