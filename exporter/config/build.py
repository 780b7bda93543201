"""Settings to targets and jobs: the only place where a job is made."""

import hashlib
import pickle
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from exporter import protocols
from exporter.config.dump import dump as config_dump
from exporter.config.merge import AUTO, Merged, MergedProbe, Merger, name_of
from exporter.config.models import File, Limits, OnDemand
from exporter.config.own_keys import OwnKeys, Validated, digest, load
from exporter.config.replicas import Place, Replicas, at
from exporter.contracts import ModelProtocol
from exporter.ledger import Bounds, Form
from exporter.model.cost import ONE_REQUEST
from exporter.model.endpoint import Endpoint
from exporter.model.job import Ask, Job, Kind, Scope
from exporter.model.observation import Detection, Observation
from exporter.model.target import Target
from exporter.sinks.spec import Spec
from exporter.slices import unhurried

#: Targets built at a time; ten take about a millisecond.
_BATCH = 10
#: Targets packed at a time.
_PACK = 100


@dataclass(frozen=True, slots=True)
class Built:
    """What a file stands for. `file` is the file without its targets: what `/probe` needs of it. `replicas` says of
    the targets that are several where these are. `packed` are the targets as `dump` needs them, 20 bytes each where
    they are much alike.
    """

    jobs: list[Job]
    limits: Limits
    bounds: Bounds
    on_demand: OnDemand
    file: File
    replicas: Mapping[str, Replicas]
    sinks: tuple[Spec, ...]
    packed: tuple[bytes, ...] = field(repr=False)


def build(file: File) -> Built:
    """Every job of a file that `loader.load` gave back."""
    batches = list(_batches(file))
    return _built(file, batches)


async def build_in_slices(file: File) -> Built:
    """As `build`, on a running loop that must not stall."""
    return _built(file, [batch async for batch in unhurried(_batches(file))])


def dump(built: Built) -> str:
    """The config in force as YAML, secrets hidden. Takes seconds for ten thousand targets: not for the loop."""
    # What is unpickled was pickled by _batches.
    targets = [target for pack in built.packed for target in pickle.loads(zlib.decompress(pack))]  # noqa: S301
    return config_dump(built.file.model_copy(update={"targets": targets}))


def jobs_for_detection(job: Job, found: Detection) -> list[Job]:
    """What replaces a job of kind DETECT once it has its answer: the same target under the protocol found, with the
    probes its config names as far as the protocol offers them, else those the detection names.
    """
    ask = job.ask
    if not isinstance(ask, Detecting):
        raise TypeError(f"{job.probe} of {job.target.name} asks for no protocol")
    target = job.target
    jobs = jobs_under(found, replace(ask.merged, name=target.title, labels=target.labels), ask.own_keys, ask.merger)
    return at(jobs, Place(target.endpoint.addresses[0], target.endpoint.connect_port)) if target.address else jobs


def jobs_under(found: Detection, merged: Merged, own_keys: OwnKeys, merger: Merger) -> list[Job]:
    """The jobs of a merged target whose protocol is `auto`, under the protocol found."""
    maker = _Maker(replace(merged, protocol=found.protocol), own_keys, merger)
    if merged.probes is not None:
        wanted = [probe for probe in merged.probes if probe.kind in load(found.protocol).kinds]
    else:
        offered = load(found.protocol).kinds
        names = [name for name in found.probes if name in offered] or list(
            load(found.protocol).kinds_at(merged.address.host)
        )
        wanted = [merger.probe(str(name)) for name in names]
    return maker.jobs(wanted)


class Detecting:
    """Asks a server what it is, and carries what its config says for when the answer is known."""

    __slots__ = ("merged", "merger", "own_keys", "question")

    def __init__(
        self, question: Callable[[Any], Awaitable[Observation]], merged: Merged, own_keys: OwnKeys, merger: Merger
    ) -> None:
        self.question = question
        self.merged = merged
        self.own_keys = own_keys
        self.merger = merger

    async def __call__(self, exchange: Any) -> Observation:
        return await self.question(exchange)


def jobs_of(merged: Merged, own_keys: OwnKeys, merger: Merger) -> list[Job]:
    """The jobs of one merged target."""
    return _Maker(merged, own_keys, merger).all()


def job_of(merged: Merged, probe: MergedProbe, own_keys: OwnKeys, merger: Merger) -> Job:
    """One job of a merged target, whose protocol is named and offers the probe's kind."""
    (job,) = _Maker(merged, own_keys, merger).jobs([probe])
    return job


def job_if_possible(merged: Merged, probe: MergedProbe, own_keys: OwnKeys, merger: Merger) -> Job | None:
    """As `job_of`; None where it cannot be asked with what is given."""
    maker = _Maker(merged, own_keys, merger)
    return None if maker.lacks(probe) else maker.jobs([probe])[0]


def _batches(file: File) -> Iterator[tuple[list[Job], bytes]]:
    """A few targets at a time: their jobs, and now and then some targets packed; either is a millisecond or two."""
    merger = Merger(file)
    own_keys = OwnKeys(file.folder)
    targets = file.targets or []
    for start in range(0, len(targets), _BATCH):
        batch = targets[start : start + _BATCH]
        yield [job for target in batch for job in _Maker(merger.merge(target), own_keys, merger).all()], b""
    for start in range(0, len(targets), _PACK):
        yield [], zlib.compress(pickle.dumps(targets[start : start + _PACK], protocol=5), 1)


def _built(file: File, batches: Sequence[tuple[list[Job], bytes]]) -> Built:
    given = {name: bounds for name, bounds in file.metrics.buckets if bounds is not None}
    return Built(
        jobs=[job for jobs, _ in batches for job in jobs],
        limits=file.limits,
        bounds=Bounds(**given, form=Form(file.metrics.histograms)),
        on_demand=file.on_demand,
        file=file.without_targets(),
        replicas={name_of(target): target.replicas for target in file.targets or () if target.replicas is not None},
        sinks=_sinks(file),
        packed=tuple(pack for _, pack in batches if pack),
    )


def _sinks(file: File) -> tuple[Spec, ...]:
    if not file.sinks:
        return ()
    from exporter.config.sinks import specs  # it is loaded: its models made the blocks

    return specs(file.sinks)


class _Maker:
    """Makes the jobs of one target."""

    def __init__(self, merged: Merged, own_keys: OwnKeys, merger: Merger) -> None:
        self.merged = merged
        self.own_keys = own_keys
        self.merger = merger
        address = merged.address
        endpoint = Endpoint(
            *address,
            auth=merged.auth,
            headers=merged.headers,
            tls=merged.tls,
            proxy=merged.proxy,
            keep_alive=merged.keep_alive,
            kernel_stamps=merged.kernel_stamps,
            follow_redirects=merged.follow_redirects,
            max_body=merged.max_body,
        )
        self.target = Target(
            merged.name, endpoint, merged.protocol, merged.model, labels=merged.labels, startup=merged.startup,
            saturated_at=merged.saturated_at, budget=merged.budget, maintenance=merged.maintenance,
        )  # fmt: skip
        reached = own_keys.once((merged.auth, merged.headers, merged.tls, merged.proxy))
        same = (
            *address,
            reached,
            merged.keep_alive,
            merged.kernel_stamps,
            merged.follow_redirects,
            merged.max_body,
            merged.startup,
            merged.saturated_at,
            merged.wake,
        )
        self.common = hashlib.blake2b(repr((*same, merged.protocol, merged.model)).encode(), digest_size=12)

    def all(self) -> list[Job]:
        """The jobs the config asks for; with `auto` the one that has to come first."""
        merged = self.merged
        if merged.protocol == AUTO:
            return [self._detect()]
        if merged.probes is not None:
            return self.jobs(merged.probes)
        default = load(merged.protocol).kinds_at(merged.address.host)
        return self.jobs([self.merger.probe(kind.value) for kind in default])

    def jobs(self, probes: Sequence[MergedProbe]) -> list[Job]:
        protocol = load(self.merged.protocol)
        options = self.own_keys.options(self.merged.protocol, self.merged.own)
        return [self._job(protocol, probe, options) for probe in probes if probe.kind is not None]

    def lacks(self, probe: MergedProbe) -> bool:
        """Whether a probe cannot be asked with what is given."""
        name = self.merged.protocol
        options = self.own_keys.options(name, self.merged.own)
        instance = self._instance(load(name), self.own_keys.of(name, probe), options)
        return bool(instance.problems(probe.kind or Kind.HEALTH))

    def _job(self, protocol: type[ModelProtocol], probe: MergedProbe, options: Validated) -> Job:
        kind = probe.kind or Kind.HEALTH
        own = self.own_keys.of(self.merged.protocol, probe)
        if kind is Kind.EVALUATE:
            return self._evaluation(protocol, probe, own, options)
        instance, ask = self._asked(protocol, kind, own, options)
        canary = kind.canary and not probe.capability
        return Job(
            target=self.target,
            probe=probe.name,
            kind=kind,
            schedule=probe.schedule,
            retry=probe.retry,
            thresholds=probe.thresholds,
            ask=ask,
            fingerprint=self._fingerprint(probe, kind, own, options),
            scope=instance.scope() if kind is Kind.READY else Scope.SERVER,
            load=instance.load if canary and protocol.tells_load else None,
            accounts=canary and protocol.accounts,
            cost=own.cost(instance) if kind.canary else ONE_REQUEST,
            within=instance.within(),
            capability=probe.capability,
            drift=canary and (instance.steady() if probe.drift is None else probe.drift),
            needs=instance.imports(),
        )

    def _evaluation(self, protocol: type[ModelProtocol], probe: MergedProbe, own: Validated, options: Validated) -> Job:
        from exporter.config import evaluation  # it is loaded: its settings are there

        if not isinstance(own.settings, evaluation.Evaluate) or options.settings is None:
            raise ValueError(f"the settings of {self.merged.name} are wrong; load them first")
        build = evaluation.Build(protocol, options=options.settings, **self._given())
        question = evaluation.Asking(build, protocol.kinds[Kind.INFER], own.settings)
        return Job(
            target=self.target,
            probe=probe.name,
            kind=Kind.EVALUATE,
            schedule=probe.schedule,
            retry=probe.retry,
            thresholds=probe.thresholds,
            ask=_asked_one_by_one,
            fingerprint=self._fingerprint(probe, Kind.EVALUATE, own, options),
            evaluation=evaluation.value_of(own.settings, question),
        )

    def _detect(self) -> Job:
        named = {probe.name: probe for probe in self.merged.probes or ()}
        probe = named.get("health") or self.merger.probe("health")
        protocol = protocols.load(AUTO)
        options = self.own_keys.options(AUTO, self.merged.own)
        own = Validated(protocol.kinds[Kind.DETECT]())
        instance = self._instance(protocol, own, options)
        question: Callable[[Any], Awaitable[Observation]] = getattr(instance, Kind.DETECT.value)
        return Job(
            target=self.target,
            probe="health",
            kind=Kind.DETECT,
            schedule=probe.schedule,
            retry=probe.retry,
            thresholds=probe.thresholds,
            ask=Detecting(question, self.merged, self.own_keys, self.merger),
            fingerprint=self._fingerprint(probe, Kind.DETECT, own, options, self._asked_for()),
            needs=instance.imports(),
        )

    def _asked_for(self) -> str:
        """What a config with `auto` says of the probes to come."""
        if self.merged.probes is None:
            return ""
        return "\n".join(f"{probe.numbers} {probe.kind} {digest(probe.own)}" for probe in self.merged.probes)

    def _asked(
        self, protocol: type[ModelProtocol], kind: Kind, own: Validated, options: Validated
    ) -> tuple[ModelProtocol, Ask]:
        """What asks, and its question. Targets share them that differ in their hosts alone."""
        return _question(protocol, kind, own, options, **self._given())

    def _instance(self, protocol: type[ModelProtocol], own: Validated, options: Validated) -> ModelProtocol:
        return _made(protocol, own, options, **self._given())

    def _given(self) -> dict[str, Any]:
        """What a protocol is built of beside the settings of a probe and its own options."""
        address = self.merged.address
        return {
            "model": self.merged.model, "path": address.path, "query": address.query, "scheme": address.scheme,
            "port": address.port, "wake": self.merged.wake,
        }  # fmt: skip

    def _fingerprint(self, probe: MergedProbe, kind: Kind, own: Validated, options: Validated, more: str = "") -> str:
        """Of everything that decides what a run does; labels and inline secrets are not in it."""
        total = self.common.copy()
        total.update(f"{kind.value}\n{options.digest}\n{own.digest}\n{probe.numbers}\n{more}".encode())
        return total.hexdigest()


@lru_cache(maxsize=1024)
def _question(
    protocol: type[ModelProtocol], kind: Kind, own: Validated, options: Validated, **given: Any
) -> tuple[ModelProtocol, Ask]:
    instance = _made(protocol, own, options, **given)
    return instance, getattr(instance, kind.value)


def _made(protocol: type[ModelProtocol], own: Validated, options: Validated, **given: Any) -> ModelProtocol:
    if own.settings is None or options.settings is None:
        raise ValueError(f"settings of {protocol.name} are wrong; load them first")
    return protocol(settings=own.settings, options=options.settings, **given)


async def _asked_one_by_one(exchange: Any) -> Observation:
    raise TypeError("an evaluation is no single question")
