"""Where values of a document stand: the few of which something is told.

To find one, what holds it is read again, this time with marks: of a list the one entry, else all there is at the key at
the top. The whole document is read again only where that does not do.
"""

from typing import Any

from exporter.config.document import Document, Mark, Place, place_at, read
from exporter.config.problems import Path

#: What may be read again in parts, of the whole: where there is something to tell of many, all of it is read at once.
_SHARE = 0.5

#: A place, and the scalar there as it was written.
Found = tuple[Place, str | None]


class Places:
    """The places of a document that was read from `data`."""

    def __init__(self, data: bytes, document: Document) -> None:
        self._data = data
        self._value = document.value
        self._outline = document.outline
        self._whole = document.mark
        self._text: str | None = None
        self._parts: dict[Path, tuple[Mark | None, bool]] = {}
        self._again = 0

    def find(self, path: Path, *, key: bool) -> Found:
        """Where the value at a path begins, or its key. What is not there stands where that begins which should hold
        it.
        """
        found = self._near(path, key) if self._whole is None else None
        return found or self._far(path, key)

    def _near(self, path: Path, key: bool) -> Found | None:
        """None where all has to be read."""
        if not path:
            return None if self._outline.at is None else (place_at(self._outline.at), None)
        section = self._outline.sections.get(str(path[0]))
        if section is None:
            return None
        if len(path) == 1:
            return place_at(section.key if key else section.at), None
        if not isinstance(path[1], int):
            return self._within(path[:1], section.at, section.end, path[1:], key)
        if path[1] >= len(section.entries) or len(section.entries) != len(self._value[path[0]]):
            return None
        return self._within(path[:2], *section.entries[path[1]], path[2:], key)

    def _within(self, part: Path, at: Any, end: int, path: Path, key: bool) -> Found | None:
        """A path below a part of the document, which begins at a place and ends before a character."""
        if not path:
            return place_at(at), None
        if part not in self._parts:
            if self._text is None:
                self._text = self._data.decode()
            self._again += end - at.index
            if self._again > len(self._text) * _SHARE:
                return None
            # Columns stay, and with them what is indented by how much.
            text = " " * at.column + self._text[at.index : end]
            document = read(text.encode(), marks=True, anchors=self._outline.anchors)
            self._parts[part] = document.mark, document.aliased
        mark, aliased = self._parts[part]
        found = None if mark is None else _walk(mark, path, key, strict=aliased)
        return None if found is None else (found[0]._replace(line=found[0].line + at.line), found[1])

    def _far(self, path: Path, key: bool) -> Found:
        if self._whole is None:
            self._whole = read(self._data, marks=True).mark
        found = None if self._whole is None else _walk(self._whole, path, key, strict=False)
        return found or (Place(1, 1), None)


def _walk(mark: Mark, path: Path, key: bool, *, strict: bool) -> Found | None:
    """`strict`: None for what is not there."""
    for step, part in enumerate(path):
        following = _step(mark, part)
        if following is None:
            return None if strict else (mark.place, None)
        if key and step == len(path) - 1:
            return mark.key(str(part)), None
        mark = following
    return mark.place, mark.written


def _step(mark: Mark, part: str | int) -> Mark | None:
    children = mark.children
    if isinstance(children, dict):
        return children.get(str(part)) if isinstance(part, str) else None
    if isinstance(children, list) and isinstance(part, int) and part < len(children):
        return children[part]
    return None
