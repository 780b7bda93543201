"""One config file on its way to settings: its text, its part of the tree, and where things stand in it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.config.check import MAX_TARGETS
from exporter.config.document import Place, read
from exporter.config.messages import WRITTEN, real_path, translate
from exporter.config.models import File
from exporter.config.places import Found, Places
from exporter.config.problems import MOST, Finding, Problem, write_path
from exporter.config.problems import Path as Keys
from exporter.config.source import SourceError
from exporter.settings import shown

_ROUNDS = 10


class Part:
    """One file. `file` is its tree, without what is wrong in it; None when nothing could be read.

    `indexes` are the places in the file of the targets in `file`; `broken` the paths of what was left out, and of all
    that held it.
    """

    def __init__(self, name: str, folder: str | None, value: Any = None) -> None:
        self.name = name
        self.folder = folder
        self.value = value
        self.file: File | None = None
        self.modules: frozenset[str] = frozenset()
        self.indexes: list[int] = []
        self.broken: set[Keys] = set()
        #: Paths of values whose text could not be read as a value.
        self.spoiled: set[Keys] = set()
        self.findings: list[Finding] = []
        self.issues: list[Problem] = []
        self._places: Places | None = None

    @classmethod
    def read(cls, path: Path, data: bytes | SourceError) -> "Part":
        """A file's content, or why there is none: understood and validated as far as that goes."""
        part = cls(str(path), str(path.absolute().parent))
        if isinstance(data, SourceError):
            part.issues.append(Problem(part.name, data.line, data.column, "", data.message))
            return part
        part.understand(data)
        if part.value is not None or not part.issues:
            part.validate()
        return part

    def understand(self, data: bytes) -> None:
        """Fill `value` and `issues` from text."""
        document = read(data)
        if document.vague:
            document = read(data, marks=True)
        for issue in document.issues:
            self.issues.append(Problem(self.name, *issue.place, write_path(issue.path), issue.message))
            if issue.whole:
                self.spoiled.add(issue.path)
        self.value = document.value
        self._places = Places(data, document)

    def validate(self) -> None:
        """Fill `file` and `findings`."""
        value = self.value
        if value is None:
            self.findings.append(Finding((), "the file is empty; allowed: a mapping with the key targets"))
            return
        if not isinstance(value, dict):
            self.findings.append(Finding((), f"found {shown(value)}; mapping expected, with the key targets"))
            return
        if isinstance(modules := value.get("modules"), dict):
            self.modules = frozenset(str(name) for name in modules)
        targets = value.get("targets")
        self.indexes = list(range(len(targets))) if isinstance(targets, list) else []
        context: dict[str, Any] = {"base": self.folder, "shared": {}}
        known = {key: value[key] for key in value if key in File.model_fields}
        self._without_endless(known)
        errors: list[Any] = [{"type": "extra_forbidden", "loc": (key,)} for key in value if key not in known]
        for attempt in range(_ROUNDS):
            try:
                self.file = File.model_validate(known, context=context).placed(self.folder)
            except ValidationError as error:
                errors += error.errors(include_url=False)
            if attempt == 0 and errors:
                self.findings += _with_names(translate(errors, value, File), value)
                for path in (*self.spoiled, *(finding.path for finding in self.findings)):
                    self.broken.update(path[:length] for length in range(len(path) + 1))
            if self.file is not None or len(self.findings) > MOST:
                return
            # What is wrong is left out, so that the rest can be judged too.
            for path in [real_path(each["loc"], known) for each in errors]:
                self._leave_out(known, path)
            errors = []

    def _without_endless(self, known: dict[str, Any]) -> None:
        """Leave out lists of more entries than there may be: nobody waits until each of them was looked at."""
        for key, value in known.items():
            if isinstance(value, list) and len(value) > MAX_TARGETS:
                what = "targets" if key == "targets" else "entries"
                self.findings.append(Finding((key,), f"found {len(value)} {what}, above the limit of {MAX_TARGETS}"))
                known[key] = []
        self.indexes = self.indexes if known.get("targets") else []

    def problems(self, findings: Iterable[Finding]) -> list[Problem]:
        """Findings whose paths are those of this file, with their places in it."""
        return [self._placed(finding) for finding in findings if finding.path not in self.spoiled]

    def line(self, path: Keys) -> int:
        """The line a value stands on."""
        return self._find(path, key=False)[0].line

    def _find(self, path: Keys, *, key: bool) -> Found:
        return (Place(0, 0), None) if self._places is None else self._places.find(path, key=key)

    def _placed(self, finding: Finding) -> Problem:
        place, written = self._find(finding.path, key=finding.key)
        message = finding.message
        if WRITTEN in message:
            message = message.replace(WRITTEN, shown(self._value(finding.path)) if written is None else written[:60])
        return Problem(self.name, *place, write_path(finding.path), message, finding.warning)

    def _value(self, path: Keys) -> Any:
        value = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _leave_out(self, value: dict[str, Any], path: Keys) -> None:
        """Take the smallest piece that holds an error out of the value."""
        targets = value.get("targets")
        if path[:1] == ("targets",) and isinstance(targets, list) and len(path) >= 2 and isinstance(path[1], int):
            stand_in = f"http://stand-in-{path[1]}.invalid"
            target = targets[path[1]]
            if not isinstance(target, dict):
                targets[path[1]] = {"url": stand_in, "probes": {}}
                return
            if len(path) == 2 or path[2] == "url":
                # Without a url there is no target; with a stand-in the rest of it can be judged.
                target["url"] = stand_in
                return
        if path[:1] == ("discovery",) and path[2:] == ("catalogue", "url"):
            value["discovery"][path[1]]["catalogue"]["url"] = "http://stand-in.invalid"
            return
        holders: list[tuple[Any, Any]] = []
        here: Any = value
        for part in path:
            if not (part in here if isinstance(here, dict) else isinstance(here, list) and part < len(here)):  # type: ignore[operator]
                return  # an earlier error took it along
            holders.append((here, part))
            here = here[part]
        while holders:
            holder, part = holders.pop()
            if isinstance(holder, dict):
                del holder[part]
                return


def _with_names(findings: list[Finding], value: dict[str, Any]) -> list[Finding]:
    """Findings about a missing url name the target: its line alone may be one of thousands alike."""
    named = []
    for finding in findings:
        path = finding.path
        if len(path) == 3 and path[0] == "targets" and path[2] == "url" and finding.message.startswith("required"):
            name = value["targets"][path[1]].get("name")
            if isinstance(name, str):
                finding = finding._replace(message=f"{finding.message} (target {shown(name)})")
        named.append(finding)
    return named
