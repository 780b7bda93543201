"""What a protocol says to the settings of a target: does it offer the kind, know the keys, and have what it needs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from exporter import protocols
from exporter.config import extras
from exporter.config.catalogue import offering
from exporter.config.merge import AUTO, Merged, MergedProbe, Merger
from exporter.config.messages import translate, unknown_key
from exporter.config.models import File, Module, Target
from exporter.config.own_keys import OwnKeys, Validated, kinds, load
from exporter.config.probes import Probe
from exporter.config.problems import MOST, Finding, Path, did_you_mean
from exporter.contracts import ModelProtocol
from exporter.model.cost import Cost
from exporter.model.job import Kind
from exporter.model.secret import Secret
from exporter.protocols.family import Canary
from exporter.settings import format_duration

if TYPE_CHECKING:
    from exporter.config.discovery import Catalogue

#: Judges secrets that settings name: path and secret in, findings out.
JudgeSecrets = Callable[[Path, Iterable[tuple[Path, Secret]]], Iterator[Finding]]


class _Layers(NamedTuple):
    """Where a merged block comes from: the target's path and block, and the module's where it has one."""

    above: Path
    upper: Target | Module | Probe | None
    below: Path | None
    lower: Module | Probe | None

    @property
    def place(self) -> Path:
        """Where the block stands: with the target, unless only the module has it."""
        return self.above if self.upper is not None or self.below is None else self.below

    def attribute(self, finding: Finding) -> Finding:
        """A finding about the target's path, moved to the module's where its value came from there."""
        if self.below is None or self.lower is None:
            return finding
        local = finding.path[len(self.above) :]
        upper = _reach(self.upper.model_extra, local) if self.upper is not None else -1
        if upper < 0 or _reach(self.lower.model_extra, local) > upper:
            return finding._replace(path=(*self.below, *local))
        return finding


class ProbeCheck:
    """Checks modules and targets against their protocols. Equal settings are validated once."""

    def __init__(self, file: File, merger: Merger, judge_secrets: JudgeSecrets) -> None:
        self.defaults = file.defaults
        self.modules = file.modules
        self.merger = merger
        self.own_keys = OwnKeys(file.folder)
        self.judge_secrets = judge_secrets
        #: Probes judged before and found good, and a module's probes that targets use as they are: either way there is
        #: nothing new to say of them. The probes are kept, so that their ids are not given to others.
        self.seen: dict[tuple[int, str], MergedProbe] = {}
        self._together: dict[tuple[object, ...], tuple[Finding, ...]] = {}
        self._default: dict[str, tuple[MergedProbe, ...]] = {}

    def module(self, path: Path, module: Module) -> Iterator[Finding]:
        """A module by itself: wrong values and unknown keys, not what is still missing."""
        protocol = module.protocol or AUTO
        if protocol not in protocols.NAMES:
            yield Finding((*path, "protocol"), _unknown_protocol(protocol))
            return
        if module.protocol is None and (module.model_extra or module.probes):
            return  # each target that uses it says which protocol it is
        own = module.model_extra or {}
        yield from self._options(path, self.own_keys.options(protocol, own), Module, protocol, own)
        for name, probe in (module.probes or {}).items():
            kind = self.merger.probe(name, probe).kind if probe is not None else None
            if probe is not None and kind is not None and kind in kinds(protocol):
                own = probe.model_extra or {}
                validated = self.own_keys.probe(protocol, kind, own)
                yield from self._keys((*path, "probes", name), validated, own, protocol, kind)

    def target(
        self, path: Path, target: Target, merged: Merged, block: "type[Target | Catalogue]" = Target
    ) -> Iterator[Finding]:
        """A target with everything that holds for it; `block` is what the config has at the path."""
        if merged.protocol not in protocols.NAMES:
            if target.protocol is not None:
                yield Finding((*path, "protocol"), _unknown_protocol(merged.protocol))
            return
        below: Path | None = None
        module = None
        if target.module is not None:
            below, module = ("modules", target.module), self.modules[target.module]
        layers = _Layers(path, target, below, module)
        options = self.own_keys.options(merged.protocol, merged.own)
        for finding in self._options(path, options, block, merged.protocol, merged.own):
            yield layers.attribute(finding)
        if merged.address.scheme not in load(merged.protocol).schemes:
            allowed = ", ".join(sorted(load(merged.protocol).schemes))
            text = f"the protocol {merged.protocol} does not go over {merged.address.scheme}; allowed: {allowed}"
            yield Finding((*path, "url"), text)
            return
        if target.saturated_at is not None and merged.protocol != AUTO and not load(merged.protocol).tells_load:
            text = f"the protocol {merged.protocol} does not tell the server's load: this never holds"
            yield Finding((*path, "saturated_at"), text, warning=True)
        if merged.probes is not None and not merged.probes:
            place = (*path, "probes") if target.probes is not None else path
            yield Finding(place, "no probe is left: this target is not watched", warning=True)
        for probe in self._probes(merged):
            lower = (module.probes or {}).get(probe.name) if module is not None else None
            yield from self._probe(
                _Layers(
                    (*path, "probes", probe.name),
                    (target.probes or {}).get(probe.name),
                    (*below, "probes", probe.name) if below is not None and lower is not None else None,
                    lower,
                ),
                merged,
                probe,
                options,
            )

    def costs(self, merged: Merged) -> Iterator[tuple[str, Cost]]:
        """The canaries of a target, as far as they are good, with the most that one run of each uses."""
        protocol = merged.protocol
        if protocol == AUTO or protocol not in protocols.NAMES:
            return
        options = self.own_keys.options(protocol, merged.own)
        for probe in merged.probes or ():
            if probe.kind is None or not probe.kind.canary or probe.kind not in kinds(protocol):
                continue
            own = self.own_keys.of(protocol, probe)
            if own.settings is None or options.settings is None:
                continue
            instance = _instance(merged, own, options)
            if not instance.problems(probe.kind):
                yield probe.name, own.cost(instance).times(probe.retry.attempts)

    def catalogue(self, path: Path, catalogue: "Catalogue", asked: Merged) -> Iterator[Finding]:
        """A server that is asked for its list of models."""
        protocol, place = asked.protocol, (*path, "protocol") if catalogue.protocol is not None else path
        if protocol not in protocols.NAMES:
            if catalogue.protocol is not None:
                yield Finding(place, _unknown_protocol(protocol))
            return
        yield from self._options(path, self.own_keys.options(protocol, asked.own), type(catalogue), protocol, asked.own)
        if protocol != AUTO and Kind.CATALOGUE not in kinds(protocol):
            allowed = ", ".join((AUTO, *offering()))
            yield Finding(place, f"the protocol {protocol} has no list of models; allowed: {allowed}")

    def _probes(self, merged: Merged) -> tuple[MergedProbe, ...]:
        if merged.probes is not None:
            return merged.probes
        protocol = merged.protocol
        if protocol not in self._default:
            kinds = load(protocol).default_kinds
            self._default[protocol] = tuple(self.merger.probe(kind.value) for kind in kinds if not kind.internal)
        return self._default[protocol]

    def _probe(self, layers: _Layers, merged: Merged, probe: MergedProbe, options: Validated) -> Iterator[Finding]:
        kind, protocol = probe.kind, merged.protocol
        if probe.pair_of:
            yield from _second(layers, probe)
            return
        if kind is None:
            allowed = "health, ready, metadata, infer, stream, evaluate"
            yield Finding(layers.place, f"the name is no kind, so kind is required; allowed: {allowed}")
            return
        if kind not in kinds(protocol):
            yield Finding(layers.place, _not_offered(protocol, kind), key=True)
            return
        own = self.own_keys.of(protocol, probe)
        if (id(probe), protocol) not in self.seen:
            findings = [
                layers.attribute(finding) for finding in self._keys(layers.above, own, probe.own, protocol, kind)
            ]
            findings += [*self._slow(layers, probe), *_backoff(layers), *_strange(layers, kind)]
            yield from findings
            if not findings or layers.upper is None:
                self.seen[id(probe), protocol] = probe
        if own.settings is not None and options.settings is not None and protocol != AUTO:
            for finding in self._as_a_whole(merged, probe, own, options):
                yield layers.attribute(finding._replace(path=(*layers.above, *finding.path)))
            yield from _varying(layers, probe, own)

    def _as_a_whole(
        self, merged: Merged, probe: MergedProbe, own: Validated, options: Validated
    ) -> tuple[Finding, ...]:
        """What is missing or contradictory in settings that are good one by one; paths begin at the probe. Told once
        for all targets that are alike in this.
        """
        key = (merged.protocol, probe.kind, id(own), id(options), bool(merged.model), merged.address.scheme)
        known = self._together.get(key)
        if known is None:
            known = self._together[key] = tuple(_together(merged, probe, own, options))
        return known

    def _slow(self, layers: _Layers, probe: MergedProbe) -> Iterator[Finding]:
        schedule = probe.schedule
        if schedule.timeout <= schedule.interval:
            return
        place = layers.place
        for key in ("interval", "timeout"):
            for path, layer in (
                (("defaults",), self.defaults),
                (layers.below, layers.lower),
                (layers.above, layers.upper),
            ):
                if layer is not None and path is not None and getattr(layer, key) is not None:
                    place = (*path, key)
        timeout, interval = format_duration(schedule.timeout), format_duration(schedule.interval)
        message = f"timeout {timeout} of {probe.name} is longer than its interval {interval}: slots will be skipped"
        yield Finding(place, message, warning=True)

    def _options(
        self,
        path: Path,
        validated: Validated,
        block: "type[Target | Module | Catalogue]",
        protocol: str,
        own: dict[str, Any],
    ) -> Iterator[Finding]:
        if validated.errors:
            model = load(protocol).options
            known = frozenset((*model.model_fields, *block.model_fields))
            for finding in translate(validated.errors, own, model, path, block.model_fields):
                if finding.key and len(finding.path) == len(path) + 1:
                    yield finding._replace(message=_foreign(str(finding.path[-1]), protocol, known))
                else:
                    yield finding
        yield from self._named_in(path, validated)

    def _keys(
        self, path: Path, validated: Validated, own: dict[str, Any], protocol: str, kind: Kind
    ) -> Iterator[Finding]:
        for finding in translate(validated.errors, own, kinds(protocol)[kind], path, Probe.model_fields):
            key = str(finding.path[-1])
            if protocol == AUTO and finding.key and _known_to_some(key, kind):
                message = "depends on the protocol, which auto does not know yet: name the protocol"
                yield finding._replace(message=message)
            else:
                yield finding
        yield from self._named_in(path, validated)

    def _named_in(self, path: Path, validated: Validated) -> Iterator[Finding]:
        """Secrets and libraries that a protocol's settings need."""
        yield from self.judge_secrets(path, validated.secrets)
        if validated.has_schema and (message := extras.missing("schema")):
            yield Finding((*path, "expect", "schema"), message, key=True, warning=True)


def _together(merged: Merged, probe: MergedProbe, own: Validated, options: Validated) -> Iterator[Finding]:
    problems: Iterable[tuple[Path, str]]
    if probe.kind is Kind.EVALUATE:
        from exporter.config import evaluation  # it is loaded: its settings are there

        assert isinstance(own.settings, evaluation.Evaluate)  # noqa: S101 - of this kind they are
        # Its examples have the rest of each question.
        problems = evaluation.problems(own.settings)
        for local, message in evaluation.warnings(own.settings):
            yield Finding(local, message, warning=True)
    else:
        problems = _instance(merged, own, options, alone=True).problems(probe.kind or Kind.HEALTH)
    for local, message in problems:
        yield Finding(local, message)


def _instance(merged: Merged, own: Validated, options: Validated, *, alone: bool = False) -> ModelProtocol:
    """The protocol, built of settings that are good; `alone`: without what differs from one target to the next."""
    assert own.settings is not None  # noqa: S101 - the caller looked
    assert options.settings is not None  # noqa: S101
    model, path, query = merged.model, merged.address.path, merged.address.query
    if alone:
        model, path, query = "model" if model else "", "", ""
    return load(merged.protocol)(
        model=model, path=path, query=query, settings=own.settings, options=options.settings,
        scheme=merged.address.scheme,
    )  # fmt: skip


def _reach(value: Any, path: Path) -> int:
    """How many steps of a path exist in a value."""
    for steps, part in enumerate(path):
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return steps
    return len(path)


def _backoff(layers: _Layers) -> Iterator[Finding]:
    for path, layer in ((layers.above, layers.upper), (layers.below, layers.lower)):
        retry = layer.retry if isinstance(layer, Probe) else None
        if retry is None or path is None or retry.backoff is None or retry.max_backoff is None:
            continue
        if retry.backoff > retry.max_backoff:
            found = f"found {format_duration(retry.max_backoff)}, which is less than backoff"
            yield Finding((*path, "retry", "max_backoff"), f"{found}; allowed: at least backoff")


def _second(layers: _Layers, probe: MergedProbe) -> Iterator[Finding]:
    """Of the second of two probes: what is wrong with it is wrong with the first, but its name may be taken."""
    if layers.upper is not None or layers.lower is not None:
        text = f"found beside cache: pair of {probe.pair_of}, which makes a probe of this name"
        yield Finding(layers.place, text)


def _varying(layers: _Layers, probe: MergedProbe, own: Validated) -> Iterator[Finding]:
    if probe.drift and isinstance(own.settings, Canary) and own.settings.varies:
        text = "found bypass beside drift: true, which needs the same prompt each time; allowed: warm, pair"
        yield layers.attribute(Finding((*layers.above, "cache"), text))


def _strange(layers: _Layers, kind: Kind) -> Iterator[Finding]:
    """Keys that only a probe that makes the model work has."""
    for path, layer in ((layers.above, layers.upper), (layers.below, layers.lower)):
        if path is None or not isinstance(layer, Probe) or kind.canary:
            continue
        for key in ("drift", "capability"):
            if getattr(layer, key) is not None:
                yield Finding((*path, key), f"a key of infer and stream; this probe is {kind.value}", key=True)


#: Servers that people name where the API they speak belongs.
_SERVERS = {
    "kserve": "kserve_v1 or open_inference", "llama.cpp": "openai", "llamacpp": "openai", "mlserver": "open_inference",
    "nim": "openai", "ovms": "open_inference", "pytriton": "triton", "ray": "ray_serve", "sglang": "openai",
    "tensorflow": "tf_serving", "transformers": "openai", "vllm": "openai",
}  # fmt: skip


def _unknown_protocol(name: str) -> str:
    allowed = f"allowed: {', '.join(protocols.NAMES)}"
    if name.lower() in _SERVERS:
        return f"{name} is a server; its protocol is {_SERVERS[name.lower()]}; {allowed}"
    hint = did_you_mean(name, protocols.NAMES)
    return f"found {name[:60]!r}; {hint}{f' {allowed}' if hint.startswith('did you mean') else ''}"


def _not_offered(protocol: str, kind: Kind) -> str:
    if protocol == AUTO:
        return f"{kind.value} needs a named protocol: set protocol in place of auto"
    listed = ", ".join(sorted(each.value for each in kinds(protocol) if not each.internal))
    return f"the protocol {protocol} offers no {kind.value}; allowed: {listed}"


_OF_PROBES = ("at_least", "interval", "timeout", "recheck", "retry", "thresholds")


@lru_cache(MOST)
def _foreign(key: str, protocol: str, known: frozenset[str]) -> str:
    """What to say of a key of a target that its protocol does not know: maybe another protocol or a probe does."""
    if owners := protocols.OWN_KEYS.get(key):
        return f"a key of {' and '.join(owners)}; the protocol here is {protocol}"
    if key in _OF_PROBES:
        return f"unknown field; it is a key of probes: probes: {{NAME: {{{key}: ...}}}}"
    message = unknown_key(key, known)
    if "did you mean" not in message and (near := get_close_matches(key, _OF_PROBES, n=1)):
        return f"unknown field; did you mean {near[0]}? it is a key of probes: probes: {{NAME: {{{near[0]}: ...}}}}"
    return message


def _known_to_some(key: str, kind: Kind) -> bool:
    offered = [load(name).kinds for name in protocols.NAMES if name != AUTO]
    return any(key in each[kind].model_fields for each in offered if kind in each)
