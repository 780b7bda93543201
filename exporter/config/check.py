"""What takes more than one place of a file to judge: names, modules, credentials, files, and the merged settings.

Paths of findings are those of the file; the loader knows their lines.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from exporter.config import check_access, check_replicas, files
from exporter.config.budget import allowance_of
from exporter.config.catalogue import asked_of, watched
from exporter.config.check_probes import ProbeCheck
from exporter.config.merge import Merged, Merger, default_name
from exporter.config.models import File, Target
from exporter.config.names import MAX_LABELS, check_label_name
from exporter.config.own_keys import secrets_in
from exporter.config.problems import FEW, MOST, Finding, Path, did_you_mean, listed
from exporter.config.reach import Connection, Reach
from exporter.model.endpoint import Tls
from exporter.model.secret import Secret
from exporter.model.target import MAX_LABEL_BYTES
from exporter.url import parse

if TYPE_CHECKING:
    from exporter.config.discovery import Catalogue, Discovery

MAX_TARGETS = 100_000

#: Blocks a target is merged from, the one that wins first, each with its path.
_Blocks = list[tuple[Path, Connection]]


def check(file: File, modules: frozenset[str] | None = None) -> list[Finding]:
    """Everything that is wrong with a valid tree, warnings included; no more of it than is told.

    `modules` are the names the file gives modules, those that could not be read included.
    """
    checker = _Checker(file, frozenset(file.modules) if modules is None else modules)
    findings: dict[Finding, None] = {}
    errors = 0
    for finding in checker.run():
        findings[finding] = None
        errors += not finding.warning
        if errors > MOST:
            break
    return list(findings)


class _Checker:
    def __init__(self, file: File, modules: frozenset[str]) -> None:
        self.file = file
        self.modules = modules
        self.merger = Merger(file)
        self.probes = ProbeCheck(file, self.merger, self._secrets)
        self.tls: dict[Tls, list[tuple[str, str]]] = {}
        self.secrets: dict[Secret, tuple[str, str]] = {}
        self._listed = ""

    def run(self) -> Iterator[Finding]:
        yield from self._block(("defaults",), self.file.defaults)
        for name, module in self.file.modules.items():
            yield from self._block(("modules", name), module)
            yield from self.probes.module(("modules", name), module)
        for key, none in (("targets", "no targets"), ("discovery", "none"), ("training", "none")):
            if key in self.file.model_fields_set and getattr(self.file, key) is None:
                yield Finding((key,), f"found null; list expected, [] for {none}")
                return
        if self.file.targets is None and self.file.discovery is None and self.file.training is None:
            missing = "the keys targets, discovery and training are missing"
            yield Finding((), f"{missing}; allowed: one of them, a list, maybe empty")
            return
        targets = self.file.targets or []
        if len(targets) > MAX_TARGETS:
            yield Finding(("targets",), f"found {len(targets)} targets, above the limit of {MAX_TARGETS}")
            return
        yield from _names(targets)
        yield from check_replicas.names(targets)
        for index, target in enumerate(targets):
            yield from self._target(("targets", index), target)
        yield from self._rare()
        entries = self.file.discovery or ()
        used = {target.module for target in targets}.union(
            {entry.module for entry in entries}, *(entry.modules for entry in entries)
        )
        for name in self.file.modules:
            # With on_demand.allow a module may be there for /probe alone.
            if name not in used and not self.file.on_demand.allow:
                yield Finding(("modules", name), "no target uses this module", key=True, warning=True)

    def _rare(self) -> Iterator[Finding]:
        """Blocks that most configs do without; what judges one is loaded where there is one."""
        if self.file.discovery:
            from exporter.config import check_discovery

            yield from check_discovery.names(self.file.discovery)
            for index, entry in enumerate(self.file.discovery):
                yield from self._entry(("discovery", index), entry)
        if self.file.environments or "deploy" in self.file.model_fields_set:
            from exporter.config import check_deploy

            yield from check_deploy.blocks(self.file, self.merger)
        if self.file.sinks:
            from exporter.config import check_sinks

            yield from check_sinks.sinks(self.file.sinks)
            yield from self._secrets(("sinks",), secrets_in(self.file.sinks))
        if self.file.training:
            from exporter.config import check_training

            yield from check_training.training(self.file.training)
            yield from self._secrets(("training",), secrets_in(self.file.training))

    def _block(self, path: Path, block: Connection) -> Iterator[Finding]:
        yield from _labels((*path, "labels"), block.labels)
        yield from self._reach(path, block)

    def _reach(self, path: Path, block: Reach) -> Iterator[Finding]:
        yield from check_access.block(path, block)
        for key in ("auth", "headers", "proxy"):
            if (given := getattr(block, key)) is not None:
                yield from self._secrets((*path, key), secrets_in(given))

    def _target(self, path: Path, target: Target) -> Iterator[Finding]:
        yield from self._block(path, target)
        if target.name is None and len(default_name(target).encode()) > MAX_LABEL_BYTES:
            yield Finding((*path, "url"), f"the name made from it is longer than {MAX_LABEL_BYTES} bytes: set name")
        if target.module is not None and target.module not in self.modules:
            yield Finding((*path, "module"), self._unknown_module(target.module))
        yield from check_replicas.addresses(path, target)
        yield from self._whole(path, target, (*path, "labels") if target.labels else path)

    def _entry(self, path: Path, entry: "Discovery") -> Iterator[Finding]:
        from exporter.config import check_discovery

        yield from _labels((*path, "labels"), entry.labels)
        if entry.module is not None and entry.module not in self.modules:
            yield Finding((*path, "module"), self._unknown_module(entry.module))
        yield from check_discovery.source(path, entry)
        if entry.kubernetes is not None:
            for index, module in enumerate(entry.kubernetes.modules):
                if module not in self.modules:
                    yield Finding((*path, "kubernetes", "modules", index), self._unknown_module(module))
            yield from check_discovery.kubernetes((*path, "kubernetes"), entry, self.file)
        catalogue = entry.catalogue
        if catalogue is None:
            yield from self._secrets(path, secrets_in(entry))
            yield from self._stand_in(path, entry)
            return
        inner = (*path, "catalogue")
        yield from self._reach(inner, catalogue)
        yield from check_discovery.misplaced(inner, catalogue)
        yield from check_discovery.expected(inner, catalogue)
        yield from self.probes.catalogue(inner, catalogue, asked_of(entry, catalogue, self.merger))
        # One model stands for all: they differ in their names.
        model = (*catalogue.expected, "model")[0]
        target = watched(entry, catalogue, self.merger, model)
        yield from self._whole(inner, target, (*path, "labels") if entry.labels else path, type(catalogue))

    def _stand_in(self, path: Path, entry: "Discovery") -> Iterator[Finding]:
        """One target stands for all of a list: what is wrong with its module and labels is so for every one."""
        target = Target.model_construct(url=parse("http://stand-in.invalid"), module=entry.module, labels=entry.labels)
        yield from self._whole(path, target, (*path, "labels") if entry.labels else path)

    def _whole(
        self, path: Path, target: Target, labels: Path, block: "type[Target | Catalogue]" = Target
    ) -> Iterator[Finding]:
        """A target with everything that holds for it. `labels` is the place to mend where there are too many, `block`
        what the config has at the path.
        """
        blocks: _Blocks = [(path, target)]
        if target.module is not None:
            if target.module not in self.file.modules:
                return
            blocks.append((("modules", target.module), self.file.modules[target.module]))
        blocks.append((("defaults",), self.file.defaults))
        merged = self.merger.merge(target)
        if len(merged.labels) > MAX_LABELS:
            yield Finding(labels, f"found {len(merged.labels)} labels, above the limit of {MAX_LABELS}")
        yield from check_access.merged(merged, blocks)
        yield from self._tls(merged.tls, blocks)
        yield from self.probes.target(path, target, merged, block)
        yield from self._budgets(merged, blocks)

    def _budgets(self, merged: Merged, blocks: _Blocks) -> Iterator[Finding]:
        """A canary that will never run, because no window has room for it."""
        overall = allowance_of(self.file.limits.budget)
        if merged.budget is None and overall is None:
            return
        place = next(((*path, "budget") for path, block in blocks if "budget" in block.model_fields_set), ())
        for name, worst in self.probes.costs(merged):
            for where, allowance in ((place, merged.budget), (("limits", "budget"), overall)):
                if allowance is not None and not allowance.covers(worst):
                    requests = f"{worst.requests} request{'' if worst.requests == 1 else 's'}"
                    text = f"less than one run of {name} may use ({worst.tokens} tokens, {requests}): it never runs"
                    yield Finding(where, text, warning=True)

    def _unknown_module(self, name: str) -> str:
        if not self.modules:
            return f"unknown module {name[:100]!r}; no modules are configured"
        known = self._listed = self._listed or listed(self.modules)
        if len(self.modules) > FEW:  # too many to be compared with each wrong name there may be
            return f"unknown module {name[:100]!r}; allowed: {known}"
        hint = did_you_mean(name, self.modules)
        return f"unknown module {name[:100]!r}; {hint}{f' known: {known}' if hint.startswith('did you mean') else ''}"

    def _tls(self, tls: Tls, blocks: _Blocks) -> Iterator[Finding]:
        if tls not in self.tls:
            self.tls[tls] = files.tls_problems(tls)
        for key, message in self.tls[tls]:
            for path, block in blocks:
                if block.tls is not None and getattr(block.tls, key) is not None:
                    yield Finding((*path, "tls", key), message)
                    break

    def _secrets(self, path: Path, secrets: Iterable[tuple[Path, Secret]]) -> Iterator[Finding]:
        for local, secret in secrets:
            if secret.source == "inline":
                continue
            if secret not in self.secrets:
                self.secrets[secret] = (files.secret_problem(secret), files.secret_warning(secret))
            problem, warning = self.secrets[secret]
            if problem or warning:
                yield Finding((*path, *local), problem or warning, warning=not problem)


def _names(targets: list[Target]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, target in enumerate(targets):
        name = target.name if target.name is not None else default_name(target)
        other = first.setdefault(name, index)
        if other == index:
            continue
        path: Path = ("targets", index, "name") if target.name is not None else ("targets", index)
        shown = name if len(name) <= 100 else f"{name[:96]}..."
        message = f"duplicate target name {shown!r}, first at {{0}}; give each a name of its own"
        yield Finding(path, message, others=(("targets", other),))


def _labels(path: Path, labels: Mapping[str, str]) -> Iterator[Finding]:
    for name in labels:
        if wrong := check_label_name(name):
            yield Finding((*path, name), wrong, key=True)
