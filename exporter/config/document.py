"""One YAML document to plain values in a single pass over libyaml's events, with limits.

Nodes are never built: that is what makes ten thousand targets cheap. Positions are collected only when asked for, by
reading a second time; `places` does that where there is something to report.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from exporter.config.problems import MOST, Path
from exporter.config.scalars import Trap, plain
from exporter.config.syntax import explain

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 100
#: Values that aliases may stand for, all together; ten levels of ten would be ten thousand million.
MAX_ALIASED = 1_000_000
#: Text counts as a value for each 2^5 characters: aliases stand for no more of it than a file may hold.
_LONG = 5
_TOO_MANY = (
    f"aliases stand for more than the limit of {MAX_ALIASED} values, or {(MAX_ALIASED << _LONG) // 10**6} MB of text"
)
_TEXT = "tag:yaml.org,2002:str"
#: YAML's own; only these are named in a message.
_TAGS = {"binary", "bool", "float", "int", "map", "merge", "null", "omap", "pairs", "seq", "set", "str", "timestamp"}


class Place(NamedTuple):
    """Line and column, from 1."""

    line: int
    column: int


class Issue(NamedTuple):
    """A problem found while reading, with its place. `whole`: nothing more can be said of the value at its path."""

    place: Place
    path: Path
    message: str
    whole: bool = False


class Mark:
    """Where a value stands, how it was written (plain scalars only), and the same of what it holds.

    `at` and the values of `keys` are libyaml's: places are made of the few that are asked for.
    """

    __slots__ = ("at", "children", "keys", "written")

    def __init__(self, at: Any, written: str | None, children: "dict[str, Mark] | list[Mark] | None" = None) -> None:
        self.at = at
        self.written = written
        self.children = children
        self.keys: dict[str, Any] = _NO_KEYS if children is None else {}

    @property
    def place(self) -> Place:
        return place_at(self.at)

    def key(self, name: str) -> Place:
        """Where a key of it stands."""
        return place_at(self.keys[name])


_NO_KEYS: dict[str, Any] = {}


class Section:
    """The list or mapping at a key at the top: where the key and the value stand, and the number of the character that
    follows it; of the lists and mappings in a list, where each stands and what follows it. Places are libyaml's.
    """

    __slots__ = ("at", "end", "entries", "key")

    def __init__(self, key: Any, at: Any) -> None:
        self.key = key
        self.at = at
        self.end = 0
        self.entries: list[tuple[Any, int]] = []


class Outline(NamedTuple):
    """Where the parts of a document stand, so that one of them can be read again by itself. `at` is None where the
    document is no mapping or list.
    """

    at: Any
    sections: dict[str, Section]
    anchors: Collection[str]


class Document(NamedTuple):
    """A document's value, the problems met on the way, and marks where they were asked for. `vague`: with marks, a
    problem would name the line of something else too. `aliased`: an alias stands for a part of it.
    """

    value: Any
    issues: list[Issue]
    mark: Mark | None
    outline: Outline
    vague: bool
    aliased: bool


def read(data: bytes, *, marks: bool = False, anchors: Collection[str] = ()) -> Document:
    """Read the only document of a stream. Never raises for what the text holds: a fatal problem is the last issue.

    Of a part of a document, `anchors` are those of the whole; what they stand for is not known.
    """
    reader = _Reader(data, marks, anchors)
    try:
        reader.run()
    except yaml.YAMLError as error:
        line, column, message = explain(error, data, None if reader.innermost is None else place_at(reader.innermost))
        reader.issues.append(Issue(Place(line, column), (), message))
        reader.value = None
    except _StopReading:
        reader.value = None
    outline = Outline(reader.root, reader.sections, reader.anchors.keys())
    return Document(reader.value, reader.issues, reader.mark, outline, reader.vague, reader.aliased)


class _StopReading(Exception):
    pass


class _Merge(str):
    """The key `<<`, unquoted."""

    __slots__ = ()


_MERGE = _Merge("<<")
_NO_KEY: Any = object()
_UNSEEN: Any = object()


class _Reader:
    """State of one pass.

    A frame on the stack is (container, key waiting for its value, anchor, total at start, mark, merges, place).
    """

    def __init__(self, data: bytes, marks: bool, anchors: Collection[str]) -> None:
        self.parser = _Loader(data)
        self.marks = marks
        self.issues: list[Issue] = []
        self.value: Any = None
        self.mark: Mark | None = None
        #: Where the outermost and the innermost container stand that were read.
        self.root: Any = None
        self.innermost: Any = None
        self.sections: dict[str, Section] = {}
        self.vague = self.aliased = False
        self.stack: list[tuple[Any, Any, str | None, int, Mark | None, list[Any], Any]] = []
        self.anchors: dict[str, tuple[Any, int, Mark | None]] = dict.fromkeys(anchors, ("", 0, None))
        self.plain: dict[str, Any] = {}
        self.words: dict[str, str] = {}

    def run(self) -> None:
        next_event = self.parser.get_event
        documents = 0
        while True:
            event = next_event()
            kind = type(event)
            if kind is StreamEndEvent:
                return
            if kind is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.stop(event, "a second document starts here; allowed: one document")
                self.document(next_event)

    def document(self, next_event: Any) -> None:  # noqa: C901 - one loop, kept flat because it is the hot path
        marks = self.marks
        container: Any = None
        key: Any = _NO_KEY
        anchor: str | None = None
        merges: list[Any] = []
        mark: Mark | None = None
        section: Section | None = None
        place: Any = None
        key_event: Any = None
        stack, depth = self.stack, 0
        start = total = aliased = 0
        in_map = False
        while True:
            event = next_event()
            kind = type(event)
            child: Mark | None = None
            if kind is ScalarEvent:
                if in_map and key is _NO_KEY:
                    key_event = event
                    key = self.key(event, container, mark)
                    total += len(key) >> _LONG
                    if marks and mark is not None:
                        mark.keys[key] = event.start_mark
                    continue
                value = self.scalar(event, container, key)
                total += 1 + (len(event.value) >> _LONG)
                if marks:
                    child = Mark(event.start_mark, event.value if event.implicit[0] else None)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (value, 1 + (len(event.value) >> _LONG), child)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                if in_map and key is _NO_KEY:
                    self.stop(event, "a mapping or list stands as a key; allowed: text", container)
                if event.tag is not None and event.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!"):
                    self.tag(event, container, key)
                if depth >= MAX_DEPTH:
                    self.stop(event, f"nested deeper than the limit of {MAX_DEPTH} levels")
                stack.append((container, key, anchor, start, mark, merges, place))
                place = self.innermost = event.start_mark
                if depth < 2:
                    if depth == 0:
                        self.root = place
                    elif in_map and key is not _MERGE:
                        section = self.sections[key] = Section(key_event.start_mark, place)
                depth += 1
                if event.anchor is not None:
                    # An alias inside its own anchor would be an endless value: until the end it is unknown.
                    self.anchors.pop(event.anchor, None)
                anchor, start, key, merges = event.anchor, total, _NO_KEY, []
                in_map = kind is MappingStartEvent
                container = {} if in_map else []
                if marks:
                    mark = Mark(place, None, {} if in_map else [])
                total += 1
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                value, child = container, mark
                if merges:
                    self.merge(value, child, merges)
                if anchor is not None:
                    self.anchors[anchor] = (value, total - start, child)
                depth -= 1
                if depth < 3 and section is not None:
                    if depth == 1:
                        section.end, section = event.end_mark.index, None
                    elif depth == 2 and type(stack[2][0]) is list:
                        section.entries.append((place, event.end_mark.index))
                container, key, anchor, start, mark, merges, place = stack.pop()
                in_map = type(container) is dict
                self.innermost = place
            elif kind is AliasEvent:
                if event.anchor not in self.anchors:
                    # Its name may be a password that begins with a star.
                    self.stop(
                        event, "this alias has no anchor before it; quote text that begins with *", container, key
                    )
                value, weight, child = self.anchors[event.anchor]
                self.aliased = True
                total += weight
                aliased += weight
                if aliased > MAX_ALIASED:
                    self.stop(event, _TOO_MANY, container, key)
                if in_map and key is _NO_KEY:
                    if not isinstance(value, str):
                        self.stop(event, "an alias stands as a key; allowed: text", container)
                    key, key_event = value, event
                    self.named(event, value, container, mark)
                    if marks and mark is not None:
                        mark.keys[key] = event.start_mark
                    continue
            else:  # the document's end
                return
            if in_map:
                if key is _MERGE:
                    merges.append((value, child, place_at(event.start_mark)))
                else:
                    container[key] = value
                    if marks and mark is not None:
                        mark.children[key] = child  # type: ignore[index, assignment]
                key = _NO_KEY
            elif container is None:
                self.value, self.mark = value, child
            else:
                container.append(value)
                if marks and mark is not None:
                    mark.children.append(child)  # type: ignore[union-attr, arg-type]

    def key(self, event: Any, container: dict[str, Any], mark: Mark | None) -> str:
        """A key is always text: `on` and `1` too."""
        text: str = event.value
        if text == "<<" and event.implicit[0]:
            return _MERGE
        text = self.words.setdefault(text, text)
        if event.tag is not None and event.tag not in (_TEXT, "!"):
            self.tag(event, container, text)
        if event.anchor is not None:
            self.anchors[event.anchor] = (text, 1, None)
        self.named(event, text, container, mark)
        return text

    def named(self, event: Any, text: str, container: dict[str, Any], mark: Mark | None) -> None:
        """A key is in a mapping once."""
        if text in container:
            first = f" (first at line {mark.key(text).line})" if mark is not None and text in mark.keys else ""
            self.vague |= not self.marks
            self.report(event, self.path(container, text), f"duplicate key {text!r}{first}; allowed: each key once")

    def scalar(self, event: Any, container: Any, key: Any) -> Any:
        text: str = event.value
        if event.tag is not None:
            if event.tag not in (_TEXT, "!"):
                self.tag(event, container, key)
            return text
        if not event.implicit[0]:
            return text
        value = self.plain.get(text, _UNSEEN)
        if value is _UNSEEN:
            try:
                value = plain(text)
            except Trap as trap:
                self.note(Issue(place_at(event.start_mark), self.path(container, key), str(trap), whole=True))
                return text
            if len(self.plain) < 10_000:
                self.plain[text] = value
        return value

    def merge(self, value: dict[str, Any], mark: Mark | None, merges: list[Any]) -> None:
        """Fill a mapping from what `<<` names; its own keys and earlier sources win."""
        for source, child, place in merges:
            sources = source if isinstance(source, list) else [source]
            marks = child.children if child is not None and isinstance(source, list) else [child] * len(sources)
            for each, each_mark in zip(sources, marks or [None] * len(sources), strict=True):
                if not isinstance(each, dict):
                    self.note(Issue(place, (), "<< merges something that is no mapping; allowed: a mapping"))
                    continue
                for name, item in each.items():
                    if name in value:
                        continue
                    value[name] = item
                    if mark is not None and each_mark is not None:
                        mark.keys[name] = each_mark.keys[name]
                        mark.children[name] = each_mark.children[name]  # type: ignore[index]

    def tag(self, event: Any, container: Any, key: Any) -> None:
        name = event.tag.removeprefix("tag:yaml.org,2002:")
        # Any other may be a password that begins with an exclamation mark.
        known = name != event.tag and (name.startswith("python/") or name in _TAGS)
        which = f"the tag !!{name[:60]}" if known else "a tag"
        self.stop(
            event, f"{which} is not allowed; allowed: plain values; quote text that begins with !", container, key
        )

    def path(self, container: Any, key: Any) -> Path:
        frames = [*self.stack[1:], (container, key)]
        parts = [len(frame[0]) if isinstance(frame[0], list) else frame[1] for frame in frames]
        return tuple(part for part in parts if part is not _NO_KEY and part is not None)

    def note(self, issue: Issue) -> None:
        """Told, unless there are more than are told: then nothing else will be."""
        self.issues.append(issue)
        if len(self.issues) > MOST:
            raise _StopReading

    def report(self, event: Any, path: Path, message: str) -> None:
        self.note(Issue(place_at(event.start_mark), path, message))

    def stop(self, event: Any, message: str, container: Any = None, key: Any = _NO_KEY) -> None:
        self.report(event, self.path(container, key) if container is not None else (), message)
        raise _StopReading


def place_at(mark: Any) -> Place:
    """Of a mark of libyaml's."""
    return Place(mark.line + 1, mark.column + 1)
