"""Entries of `discovery` whose targets stand on lists that others keep: what asks, and the jobs of what was found.

The labels of an entry decide: `__scheme__`, `__address__` and `__path__` make its url, unless `__address__` is one;
`__target__` is its name, `__protocol__`, `__model__`, `__module__` and `__startup__` are its keys of those names;
labels that do not begin with `__` are its own. `job` and `instance` are left out: Prometheus sets them.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from exporter.config import loader
from exporter.config.build import jobs_of
from exporter.config.discovery import Discovery
from exporter.config.lists import DnsRecords, Files, KubernetesObjects, Source, default_name, question_of, rule_of
from exporter.config.merge import Merger, name_of
from exporter.config.models import File
from exporter.config.models import Target as Settings
from exporter.config.own_keys import OwnKeys, digest
from exporter.config.problems import ConfigError
from exporter.config.service import service_of
from exporter.contracts import Discoverer, Found
from exporter.discovery import files, http, records
from exporter.discovery.groups import ADDRESS
from exporter.discovery.kubernetes import Kubernetes, Selection, Wanted
from exporter.discovery.listing import Choice, Labels, Listing
from exporter.model.endpoint import Endpoint
from exporter.model.job import Job
from exporter.model.result import Result
from exporter.model.target import Target
from exporter.slices import unhurried

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

#: Labels that become keys of a target.
_KEYS = {
    "__target__": "name", "__protocol__": "protocol", "__model__": "model", "__module__": "module",
    "__startup__": "startup",
}  # fmt: skip
#: Seconds a workload of a cluster may take to start where nothing is said: what Kubernetes gives a rollout.
_STARTUP = 600.0
#: Labels that lists for Prometheus often hold and no series of ours may.
_PROMETHEUS = frozenset({"job", "instance"})


def values_of(labels: Labels, entry: Discovery) -> dict[str, Any]:
    """A target as a config would have it. Raises ValueError where the labels name no address."""
    address = labels.get(ADDRESS, "")
    if not address:
        raise ValueError(f"a target without {ADDRESS}")
    if "://" not in address:
        path = labels.get("__path__", "")
        address = f"{labels.get('__scheme__', 'http')}://{address}{path if path[:1] in ('', '/') else f'/{path}'}"
    own = {name: value for name, value in labels.items() if not name.startswith("__") and name not in _PROMETHEUS}
    values: dict[str, Any] = {"url": address, "module": entry.module, "labels": {**entry.labels, **own}}
    values |= {key: labels[label] for label, key in _KEYS.items() if label in labels}
    if entry.kubernetes is not None and values["module"] is not None and values["module"] not in entry.modules:
        # Whoever makes objects must not choose whose credentials are sent to them.
        raise ValueError(f"{address[:100]!r}: {values['module'][:100]!r} is not one of the modules of the entry")
    return {key: value for key, value in values.items() if value is not None}


class Listed:
    """One entry. Targets are checked as those of the config are, before they count as found."""

    def __init__(self, entry: Discovery, source: Source, file: File, merger: Merger, own_keys: OwnKeys) -> None:
        self.name = entry.name or default_name(source)
        #: What stands for the targets before they are known.
        self.placeholder = Target(self.name, Endpoint("unix", self.name, 0), labels=entry.labels)
        self._entry = entry
        self._source = source
        self._file = file.without_targets()
        self._merger = merger
        self._own_keys = own_keys
        #: What was checked: the name, or why it can be no target.
        self._checked: dict[str, str | ValueError] = {}
        self._made: dict[str, tuple[Labels, list[Job]]] = {}

    def discoverer(self, run: Callable[[Job], Awaitable[Result]], calls: "Calls") -> Discoverer:
        """What reads the list; nothing is run for it."""
        entry, source = self._entry, self._source
        choice = Choice(
            tuple(map(rule_of, entry.relabel_configs)), self._name_of, source.limit,
            fingerprint=digest((entry.module, entry.labels, self._file.modules, self._file.defaults)),
        )  # fmt: skip
        if isinstance(source, Files):
            paths = tuple(source.paths)
            return Listing(self.name, paths, source.interval, lambda: files.read(paths), choice)
        if isinstance(source, KubernetesObjects):
            return Kubernetes(self.name, self._selection(source), calls, choice)
        if isinstance(source, DnsRecords):
            question = question_of(source)
            return Listing(self.name, question, source.interval, lambda: records.read(question), choice)
        service, interval, timeout = service_of(source), source.interval, source.timeout
        return Listing(
            self.name, service.url, interval, lambda: http.read(calls, service, interval=interval, timeout=timeout),
            choice,
        )  # fmt: skip

    def _selection(self, source: KubernetesObjects) -> Selection:
        entry, file = self._entry, self._file
        module = file.modules.get(entry.module or "")
        startups = (source.startup, module.startup if module is not None else None, file.defaults.startup)
        wake = file.defaults.wake if module is None or module.wake is None else module.wake
        annotated = source.annotated if source.annotated is not None else source.role != "inferenceservice"
        return Selection(
            source.role, tuple(source.namespaces), source.selector or "", source.kubeconfig, source.context,
            # What a module says of its protocol is meant.
            Wanted(annotated, entry.modules, guess=module is None or module.protocol is None, wake=bool(wake)),
            next((each for each in startups if each is not None), _STARTUP),
        )  # fmt: skip

    async def prepare(self, found: Found | None) -> None:
        """Make the jobs that `jobs` will give beforehand: the loop must not stall."""
        async for name, labels in unhurried(_named(found)):
            self._made[name] = self._of(name, labels)

    def jobs(self, found: Found | None) -> list[Job]:
        """The jobs of everything that was found last."""
        self._made = {name: self._of(name, labels) for name, labels in _named(found)}
        return [job for _, jobs in self._made.values() for job in jobs]

    def _of(self, name: str, labels: Labels) -> tuple[Labels, list[Job]]:
        """What was made before is kept: of a list of thousands, few targets are new."""
        known = self._made.get(name)
        if known is not None and known[0] == labels:
            return known
        target = Settings.model_validate(values_of(labels, self._entry))
        return labels, jobs_of(self._merger.merge(target), self._own_keys, self._merger)

    def _name_of(self, labels: Labels) -> str:
        """Its name, when it can be a target. Called in a thread. Raises ValueError."""
        key = digest(labels)
        if key not in self._checked:
            if len(self._checked) > 2 * self._source.limit:
                self._checked.clear()
            self._checked[key] = self._check(labels)
        found = self._checked[key]
        if isinstance(found, ValueError):
            raise found
        return found

    def _check(self, labels: Labels) -> str | ValueError:
        try:
            checked = loader.with_target(self._file, values_of(labels, self._entry))
        except ValueError as error:
            return error
        except ConfigError as error:
            shown = labels.get("__target__") or labels[ADDRESS]
            problems = [
                ": ".join(filter(None, (each.path.removeprefix("targets[0]").lstrip("."), each.message)))
                for each in error.problems
            ]
            return ValueError(f"{shown[:100]!r} can be no target: {', '.join(problems)}")
        return next(name_of(target) for target in checked.targets or ())


def _named(found: Found | None) -> Iterator[tuple[str, Labels]]:
    return zip(found.names, found.entries, strict=True) if found is not None else iter(())
