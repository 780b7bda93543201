"""Target over module over defaults: what is in force for one target, before any protocol looks at its own keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from exporter.config.access import auth_of, proxy_of, tls_of
from exporter.config.budget import allowance_of
from exporter.config.maintenance import windows_of
from exporter.config.models import File, Module, Target
from exporter.config.probes import Probe
from exporter.config.reach import Connection
from exporter.model.cost import Allowance
from exporter.model.endpoint import Auth, Proxy, Tls
from exporter.model.failure import Reason
from exporter.model.job import Kind, Retry, Schedule, Thresholds
from exporter.model.maintenance import Window
from exporter.model.secret import Secret
from exporter.url import Address

AUTO = "auto"

_CANARY = (Kind.INFER, Kind.STREAM)
_INTERVAL = {Kind.METADATA: 300.0, Kind.EVALUATE: 21600.0, Kind.INFER: 60.0, Kind.STREAM: 60.0}
_TIMEOUT = {Kind.INFER: 30.0, Kind.STREAM: 30.0, Kind.EVALUATE: 30.0}
_CAPABILITY = 3600.0
_RECHECK = 5.0
#: Keys whose null takes away what is below, and how they become values.
_NULL_IS_SAID: Mapping[str, Callable[[Any], Any]] = {
    "auth": auth_of, "proxy": proxy_of, "budget": allowance_of, "maintenance": windows_of,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MergedProbe:
    """One probe of one target. `kind` is None when neither its name nor a key tells it. `own` holds the keys that the
    protocol has to judge, as they were written; `numbers` is the rest as a fingerprint takes it.
    """

    name: str
    kind: Kind | None
    schedule: Schedule
    retry: Retry
    thresholds: Thresholds
    own: dict[str, Any]
    numbers: str = ""
    drift: bool | None = None
    capability: str = ""
    #: The probe it was made from, where it is the second one of `cache: pair`.
    pair_of: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """One target with everything that holds for it. `probes` is None when nothing names any: the protocol's default
    ones run. `own` holds the keys of target and module that the protocol has to judge.
    """

    name: str
    address: Address
    protocol: str
    model: str
    auth: Auth | None
    headers: tuple[tuple[str, Secret], ...]
    tls: Tls
    proxy: Proxy | None
    keep_alive: bool
    kernel_stamps: bool
    follow_redirects: bool
    max_body: int
    startup: float
    saturated_at: float | None
    wake: bool
    budget: Allowance | None
    maintenance: tuple[Window, ...]
    labels: Mapping[str, str]
    own: dict[str, Any]
    probes: tuple[MergedProbe, ...] | None


class _Reach(NamedTuple):
    """How a server is reached: the part of a target that module and defaults may say too."""

    auth: Auth | None
    headers: tuple[tuple[str, Secret], ...]
    tls: Tls
    proxy: Proxy | None
    keep_alive: bool
    kernel_stamps: bool
    follow_redirects: bool
    max_body: int
    startup: float
    saturated_at: float | None
    wake: bool
    budget: Allowance | None
    maintenance: tuple[Window, ...]
    labels: Mapping[str, str]


class Merger:
    """Merges the targets of one file. Equal values are shared between targets: ten thousand are much alike."""

    def __init__(self, file: File) -> None:
        # The file itself is not kept: its targets are what memory is spent on.
        self.defaults = file.defaults
        self.modules = file.modules
        self._shared: dict[Any, Any] = {}
        self._reaches: dict[str | None, _Reach] = {}
        self._merged_probes: dict[tuple[int, int], tuple[tuple[MergedProbe, ...], Any, Any]] = {}
        self._schedules: dict[Any, Schedule] = {}
        self._alike: dict[tuple[object, ...], tuple[tuple[MergedProbe, ...], tuple[Probe, ...]]] = {}

    def merge(self, target: Target) -> Merged:
        """What holds for a target. An unknown module counts as none."""
        name = target.module
        module = self.modules.get(name) if name is not None else None
        if name not in self._reaches:
            reach = self._over(
                _Reach(None, (), Tls(), None, False, False, False, 10_000_000, 0.0, None, False, None, (), {}),
                self.defaults,
            )
            self._reaches[name] = reach if module is None else self._over(reach, module)
        reach = self._over(self._reaches[name], target)
        return Merged(
            name_of(target),
            target.url,
            target.protocol or (module.protocol if module is not None else None) or AUTO,
            target.model or "",
            *reach,
            deep((module.model_extra if module is not None else None) or {}, target.model_extra or {}),
            self._probes(target, module),
        )

    def probe(self, name: str, *layers: Probe) -> MergedProbe:
        """One probe from its layers, the one that wins first; without layers, everything is built in."""
        kind = _kind(name, layers)
        own: dict[str, Any] = {}
        for layer in reversed(layers):
            own = deep(own, layer.model_extra or {})
        schedule = self._schedule(kind or Kind.HEALTH, layers)
        retry = self.share(_retry(kind or Kind.HEALTH, layers))
        thresholds = self.share(_thresholds(kind or Kind.HEALTH, layers))
        on = None if retry.on is None else sorted(map(str, retry.on))
        drift, capability = _of(layers, "drift"), _of(layers, "capability") or ""
        numbers = repr(
            (name, schedule.interval, schedule.timeout, schedule.recheck, retry.attempts, retry.backoff,
             retry.max_backoff, on, thresholds.failure, thresholds.success, drift, capability)
        )  # fmt: skip
        return MergedProbe(name, kind, schedule, retry, thresholds, own, numbers, drift, capability)

    def share(self, value: Any) -> Any:
        """The first value equal to this one."""
        return self._shared.setdefault(value, value)

    def _probes(self, target: Target, module: Module | None) -> tuple[MergedProbe, ...] | None:
        upper = target.probes
        lower = module.probes if module is not None else None
        if upper is None and lower is None:
            return None
        known = self._merged_probes.get((id(upper), id(lower)))
        if known is None:
            # The blocks are kept beside the result, so that their ids are not given to others.
            known = (self._merge_probes(upper or {}, lower or {}), upper, lower)
            self._merged_probes[id(upper), id(lower)] = known
        return known[0]

    def _merge_probes(
        self, upper: Mapping[str, Probe | None], lower: Mapping[str, Probe | None]
    ) -> tuple[MergedProbe, ...]:
        merged: list[MergedProbe] = []
        for name in [*lower, *(name for name in upper if name not in lower)]:
            if name in upper and upper[name] is None:
                continue
            layers = [probe for probe in (upper.get(name), lower.get(name)) if probe is not None]
            if layers:
                merged += self._once(name, *layers)
        return tuple(merged)

    def _once(self, name: str, *layers: Probe) -> tuple[MergedProbe, ...]:
        """As `probe`, of layers that other targets may have too; two where it asks for a pair."""
        key = (name, *map(id, layers))
        known = self._alike.get(key)
        if known is None:
            # The layers are kept, so that their ids are not given to others.
            known = self._alike[key] = (_pair(self.probe(name, *layers)), layers)
        return known[0]

    def _schedule(self, kind: Kind, layers: tuple[Probe, ...]) -> Schedule:
        capability = _of(layers, "capability") is not None
        key = (kind, _of(layers, "interval"), _of(layers, "timeout"), _of(layers, "recheck"), capability)
        schedule = self._schedules.get(key)
        if schedule is None:
            general = None if capability or kind in (Kind.METADATA, Kind.EVALUATE) else self.defaults.interval
            usual = _CAPABILITY if capability else _INTERVAL.get(kind, 15.0)
            interval = key[1] or general or usual
            timeout = key[2] or self.defaults.timeout or _TIMEOUT.get(kind, 5.0)
            schedule = Schedule(interval, timeout, min(interval, key[3] or _RECHECK))
            self._schedules[key] = schedule
        return schedule

    def _over(self, below: _Reach, layer: Connection) -> _Reach:
        """What a layer says over what is below it."""
        given = layer.model_fields_set
        changes: dict[str, Any] = {}
        for key in given & _NULL_IS_SAID.keys():
            changes[key] = self.share(_NULL_IS_SAID[key](getattr(layer, key)))
        if layer.headers:
            changes["headers"] = self.share(_headers(below.headers, layer.headers))
        if layer.tls is not None:
            changes["tls"] = self.share(tls_of(layer.tls, below.tls))
        if layer.connection is not None:
            changes["keep_alive"] = layer.connection == "keep_alive"
        if layer.timestamps is not None:
            changes["kernel_stamps"] = layer.timestamps == "kernel"
        for key in ("follow_redirects", "max_body", "startup", "wake"):
            if (value := getattr(layer, key)) is not None:
                changes[key] = value
        if layer.saturated_at is not None:
            changes["saturated_at"] = float(layer.saturated_at.waiting)
        if layer.labels:
            labels = {**below.labels, **layer.labels}
            changes["labels"] = self._shared.setdefault(("labels", *sorted(labels.items())), labels)
        return below._replace(**changes) if changes else below


def _headers(below: tuple[tuple[str, Secret], ...], given: Mapping[str, Secret]) -> tuple[tuple[str, Secret], ...]:
    merged = {name.lower(): (name, value) for name, value in below}
    merged |= {name.lower(): (name, value) for name, value in given.items()}
    return tuple(merged.values())


def name_of(target: Target) -> str:
    """The name given, else the default one."""
    return default_name(target) if target.name is None else target.name


def default_name(target: Target) -> str:
    """`host:port[/path][/model]`."""
    return f"{target.url.name}/{target.model}" if target.model else target.url.name


def deep(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Mappings merged at every level, everything else replaced. Neither argument is changed."""
    if not lower or not upper:
        return upper or lower
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = deep(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _pair(probe: MergedProbe) -> tuple[MergedProbe, ...]:
    """The probe itself, or with `cache: pair` one that no cache knows and one that it may know. Only the second asks
    the same each time, so only its answers can be held against each other.
    """
    if probe.kind not in _CANARY or probe.own.get("cache") != "pair":
        return (probe,)
    warm = {**probe.own, "cache": "warm"}
    return (
        replace(probe, drift=False, numbers=f"{probe.numbers} cold"),
        replace(probe, name=f"{probe.name}-warm", own=warm, numbers=f"{probe.numbers} warm", pair_of=probe.name),
    )


def _of(layers: tuple[Probe, ...], name: str) -> Any:
    return next((value for layer in layers if (value := getattr(layer, name)) is not None), None)


def _within(layers: tuple[Probe, ...], block: str, name: str, otherwise: Any) -> Any:
    for layer in layers:
        part = getattr(layer, block)
        if part is not None and (value := getattr(part, name)) is not None:
            return value
    return otherwise


def _kind(name: str, layers: tuple[Probe, ...]) -> Kind | None:
    kind = _of(layers, "kind") or name
    return next((each for each in Kind if each == kind and not each.internal), None)


_RETRY = {False: Retry(3, 0.5, 5.0), True: Retry(1, 0.5, 5.0)}
_THRESHOLDS = {False: Thresholds(1, 1), True: Thresholds(2, 1)}


def _retry(kind: Kind, layers: tuple[Probe, ...]) -> Retry:
    if all(layer.retry is None for layer in layers):
        return _RETRY[kind in _CANARY]
    backoff = _within(layers, "retry", "backoff", 0.5)
    on = _within(layers, "retry", "on", None)
    return Retry(
        attempts=_within(layers, "retry", "attempts", 1 if kind in _CANARY else 3),
        backoff=backoff,
        max_backoff=max(backoff, _within(layers, "retry", "max_backoff", max(5.0, backoff))),
        on=None if on is None else frozenset(_reason(each) for each in on),
    )


def _reason(value: str | int) -> Reason | int:
    return value if isinstance(value, int) else Reason(value)


def _thresholds(kind: Kind, layers: tuple[Probe, ...]) -> Thresholds:
    if all(layer.thresholds is None for layer in layers):
        return _THRESHOLDS[kind in _CANARY]
    return Thresholds(
        failure=_within(layers, "thresholds", "failure", 2 if kind in _CANARY else 1),
        success=_within(layers, "thresholds", "success", 1),
    )
