"""Several files as one config, and the way back from a path in it to the file it came from."""

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.config.check import check
from exporter.config.models import File
from exporter.config.part import Part
from exporter.config.problems import Finding, Path, Problem


class Joined:
    """The readable parts of a config as one file. `complete`: nothing of it was unreadable."""

    def __init__(self, parts: list[Part], *, complete: bool) -> None:
        self.parts = parts
        self.complete = complete
        self.conflicts: list[tuple[Part, Finding]] = []
        self.sections: dict[str, Part] = {}
        self.modules: dict[str, Part] = {}
        #: Of each target of the joined file.
        self.origin: list[tuple[Part, int]] = []
        self.file = self._join()

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the whole, warnings included, each at its place in its own file."""
        for part, finding in self.conflicts:
            yield from part.problems([finding])
        known = {name for part in self.parts for name in part.modules}
        if not self.complete:
            # What cannot be read may hold the modules that seem to be missing.
            known |= {target.module for target in self.file.targets or () if target.module is not None}
        for finding in check(self.file, frozenset(known)):
            part, path = self._origin(finding.path)
            if path in part.broken:
                continue  # a consequence of what is wrong within
            message = finding.message
            for number, other in enumerate(finding.others):
                other_part, other_path = self._origin(other)
                where = f"line {other_part.line(other_path)}"
                if other_part is not part:
                    where = f"{where} of {other_part.name}"
                message = message.replace(f"{{{number}}}", where)
            yield from part.problems([finding._replace(path=path, message=message)])

    def _origin(self, path: Path) -> tuple[Part, Path]:
        match path:
            case ("targets", int(index), *rest):
                part, local = self.origin[index]
                return part, ("targets", local, *rest)
            case ("modules", str(name), *_):
                return self.modules.get(name, self.parts[0]), path
            case (str(section), *_):
                return self.sections.get(section, self.parts[0]), path
        return self.parts[0], path

    def _join(self) -> File:
        values: dict[str, Any] = {}
        for part in self.parts:
            assert part.file is not None  # noqa: S101 - only readable parts are joined
            if part.folder != self.parts[0].folder:
                message = f"lies in another folder than {self.parts[0].name}; relative paths would be ambiguous"
                self.conflicts.append((part, Finding((), message)))
            for key in part.file.model_fields_set:
                value = getattr(part.file, key)
                if key == "targets":
                    if value is not None:
                        values["targets"] = [*values.get("targets", ()), *value]
                        self.origin += [(part, index) for index in part.indexes]
                        self.sections.setdefault(key, part)
                elif key == "modules":
                    self._add_modules(part, value)
                    values["modules"] = {**value, **values.get("modules", {})}
                    self.sections.setdefault(key, part)
                elif self.sections.setdefault(key, part) is part:
                    values[key] = value
                else:
                    self.conflicts.append((part, Finding((key,), f"given in {self.sections[key].name} too", key=True)))
        first = self.parts[0].file
        assert first is not None  # noqa: S101 - as above
        if len(self.parts) == 1:
            return first
        return File.model_construct(**values).placed(self.parts[0].folder)

    def _add_modules(self, part: Part, modules: Mapping[str, Any]) -> None:
        for name in modules:
            other = self.modules.setdefault(name, part)
            if other is not part:
                finding = Finding(("modules", name), f"duplicate module, given in {other.name} too", key=True)
                self.conflicts.append((part, finding))
