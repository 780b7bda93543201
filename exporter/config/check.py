"""What takes more than one place of a file to judge: names, modules, credentials, files, and the merged settings.

Paths of findings are those of the file; the loader knows their lines.
"""

from collections.abc import Iterable, Iterator, Mapping

from exporter.config import files
from exporter.config.check_probes import ProbeCheck
from exporter.config.merge import Merged, Merger, default_name
from exporter.config.models import Connection, File, Target
from exporter.config.names import MAX_BYTES, MAX_LABELS, check_label_name
from exporter.config.own_keys import secrets_in
from exporter.config.problems import Finding, Path, did_you_mean
from exporter.model.endpoint import HeaderAuth, Tls
from exporter.model.secret import Secret

MAX_TARGETS = 100_000

#: Blocks a target is merged from, the one that wins first, each with its path.
_Blocks = list[tuple[Path, Connection]]


def check(file: File, modules: frozenset[str] | None = None) -> list[Finding]:
    """Everything that is wrong with a valid tree, warnings included.

    `modules` are the names the file gives modules, those that could not be read included.
    """
    checker = _Checker(file, frozenset(file.modules) if modules is None else modules)
    return list(dict.fromkeys(checker.run()))


class _Checker:
    def __init__(self, file: File, modules: frozenset[str]) -> None:
        self.file = file
        self.modules = modules
        self.merger = Merger(file)
        self.probes = ProbeCheck(file, self.merger, self._secrets)
        self.tls: dict[Tls, list[tuple[str, str]]] = {}
        self.secrets: dict[Secret, tuple[str, str]] = {}

    def run(self) -> Iterator[Finding]:
        yield from self._block(("defaults",), self.file.defaults)
        for name, module in self.file.modules.items():
            yield from self._block(("modules", name), module)
            yield from self.probes.module(("modules", name), module)
        targets = self.file.targets
        if targets is None:
            if "targets" in self.file.model_fields_set:
                yield Finding(("targets",), "found null; list expected, [] for no targets")
            else:
                yield Finding((), "the key targets is missing; allowed: a list, which may be empty")
            return
        if len(targets) > MAX_TARGETS:
            yield Finding(("targets",), f"found {len(targets)} targets, above the limit of {MAX_TARGETS}")
            return
        yield from _names(targets)
        for index, target in enumerate(targets):
            yield from self._target(("targets", index), target)
        used = {target.module for target in targets}
        for name in self.file.modules:
            # With on_demand.allow a module may be there for /probe alone.
            if name not in used and not self.file.on_demand.allow:
                yield Finding(("modules", name), "no target uses this module", key=True, warning=True)

    def _block(self, path: Path, block: Connection) -> Iterator[Finding]:
        yield from _labels((*path, "labels"), block.labels)
        if block.auth is not None:
            given = [name for name in ("bearer", "basic", "header") if getattr(block.auth, name) is not None]
            # A module that has headers only still has to say where they may go.
            hosts_alone = not given and bool(block.headers) and bool(getattr(block.auth, "hosts", None))
            if len(given) != 1 and not hosts_alone:
                found = " and ".join(given) or "none"
                yield Finding((*path, "auth"), f"found {found}; needs exactly one of bearer, basic, header")
            yield from self._secrets((*path, "auth"), secrets_in(block.auth))
        if block.headers:
            yield from self._secrets((*path, "headers"), secrets_in(block.headers))

    def _target(self, path: Path, target: Target) -> Iterator[Finding]:
        yield from self._block(path, target)
        if target.name is None and len(default_name(target).encode()) > MAX_BYTES:
            yield Finding((*path, "url"), f"the name made from it is longer than {MAX_BYTES} bytes: set name")
        if target.module is not None and target.module not in self.modules:
            yield Finding((*path, "module"), self._unknown_module(target.module))
        blocks: _Blocks = [(path, target)]
        if target.module is not None:
            if target.module not in self.file.modules:
                return
            blocks.append((("modules", target.module), self.file.modules[target.module]))
        blocks.append((("defaults",), self.file.defaults))
        merged = self.merger.merge(target)
        if len(merged.labels) > MAX_LABELS:
            place = (*path, "labels") if target.labels else path
            yield Finding(place, f"found {len(merged.labels)} labels, above the limit of {MAX_LABELS}")
        yield from _header_conflicts(merged, blocks)
        yield from self._tls(merged.tls, blocks)
        yield from self.probes.target(path, target, merged)

    def _unknown_module(self, name: str) -> str:
        if not self.modules:
            return f"unknown module {name[:100]!r}; no modules are configured"
        hint = did_you_mean(name, self.modules)
        listed = f" known: {', '.join(sorted(self.modules))}" if hint.startswith("did you mean") else ""
        return f"unknown module {name[:100]!r}; {hint}{listed}"

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
        hint = "" if target.name is not None else "; give each a name of its own"
        shown = name if len(name) <= 100 else f"{name[:96]}..."
        message = f"duplicate target name {shown!r}, first at {{0}}{hint}"
        yield Finding(path, message, others=(("targets", other),))


def _labels(path: Path, labels: Mapping[str, str]) -> Iterator[Finding]:
    for name in labels:
        if wrong := check_label_name(name):
            yield Finding((*path, name), wrong, key=True)


def _header_conflicts(merged: Merged, blocks: _Blocks) -> Iterator[Finding]:
    if merged.auth is None or not merged.headers:
        return
    sent = merged.auth.name.lower() if isinstance(merged.auth, HeaderAuth) else "authorization"
    for path, block in blocks:
        for name in block.headers or {}:
            if name.lower() == sent:
                yield Finding((*path, "headers", name), "in conflict with auth, which sets this header", key=True)
