"""Where values stand: found by reading a part of the document again, as by reading all of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import places
from exporter.config.document import Mark, read
from exporter.config.places import Places
from exporter.config.problems import Path as Keys

BAD = Path(__file__).parent / "bad"
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["a: b", "- x", "é\n ß"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=4),
    max_leaves=30,
)
#: What an own text of each part has to stand for itself: indents, anchors, tags, what is folded, ends of lines.
WRITTEN = {
    "indented": "targets:\n    -   name: a\n        probes:\n          x: 1\n    -\n      name: b\n",
    "not indented": "targets:\n- name: a\n  probes:\n  - x\n  - y: 1\n- name: b\n# the end\nlimits: {a: 1}\n",
    "in braces": "targets: [{name: a,\n probes: {x:\n  1}}, {name: 'b', \"url\": c}]",
    "lists of lists": "targets:\n- - name: a\n  - - 1\n    - x: 2\n- [b, {c: d}]\n",
    "anchors": "base: &b {p: h, l: {x: 1}}\ntargets:\n  - &one {<<: *b, name: a}\n  - *one\n  - {<<: *b, l: *b}\n",
    "merged": "base: &b {labels: {x: 1}}\ntargets:\n  - {<<: *b, name: a}\n  - {<<: [*b, {y: {z: 1}}], name: b}\n",
    "an anchor for a list": "a: &a [1, {x: 2}]\ntargets: *a\nmodules: {m: *a}\n",
    "an alias as a key": "a: &a name\ntargets:\n  - {*a : x, b: 1}\n*a : {c: 1}\n",
    "folded": "targets:\n  - text: |\n      a\n\n      b\n    more: >-\n      c\n      d\n  - {x: 'a\n\n    b'}\n",
    "tagged": "targets:\n  - !!map {name: !!str 5}\n  - !!seq [1]\n",
    "other ends of lines": "targets:\r\n  - name: a\r\n    url: b\r\n  - name: c\r\n\r\n    url: d\r\n",
    "wide letters": "targets:\n  - {name: 'é𝄞', url: b}\n  - name: '\u2028'\n    x: ü\n",
    "scalars beside": "targets: [a, {b: c}, 5]\nlimits: 7\nmodules:\n  x: {y: [1, {z: 2}]}\n",
    "begun and ended": "%YAML 1.1\n---\ntargets:\n  - {a: b}\n...\n",
    "no mapping": "- {a: 1}\n- b\n",
    "two alike": "targets: [{a: 1, a: 2}]\ntargets: [{b: {c: 1}}]\n",
}


def paths(mark: Mark, path: Keys = ()) -> Iterator[Keys]:
    """Of all there is, and of what is not there."""
    yield path
    yield (*path, "nowhere")
    yield (*path, 99)
    children = mark.children or {}
    for part, child in children.items() if isinstance(children, dict) else enumerate(children):
        yield (*path, part)
        if child is not None:
            yield from paths(child, (*path, part))


def assert_alike(text: str) -> int:
    """Both ways find the same; returns how many places there are."""
    data = text.encode()
    whole = read(data, marks=True)
    document, at_once = read(data), Places(data, whole)
    count = 0
    for path in paths(whole.mark) if whole.mark is not None else ((), ("a", 0)):
        for key in (False, True) if path and isinstance(path[-1], str) else (False,):
            # Anew for each: once all was read, nothing is read in parts.
            assert Places(data, document).find(path, key=key) == at_once.find(path, key=key), (path, key)
        count += 1
    return count


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never all at once because there is much."""
    monkeypatch.setattr(places, "_SHARE", 1e9)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("text", WRITTEN.values(), ids=list(WRITTEN))
def test_however_it_is_written(text: str) -> None:
    assert assert_alike(text) > 5
    assert assert_alike(text.replace("\n", "\r\n")) > 5


@pytest.mark.slow
@pytest.mark.usefixtures("always")
def test_in_the_wrong_configs() -> None:
    texts = [path.read_bytes() for path in BAD.glob("*.yaml")]
    found = [assert_alike(text.decode()) for text in texts if text.isascii()]
    assert sum(found) > 2000


@pytest.mark.usefixtures("always")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4), st.booleans() | st.none(), st.booleans())
def test_of_any_values(value: object, flow: bool | None, unicode: bool) -> None:
    assert_alike(yaml.safe_dump(value, default_flow_style=flow, allow_unicode=unicode))


class TestWhatIsReadAgain:
    LINE = "  - {name: 't', url: 'http://h', labels: {team: risk}}\n"
    TEXT = "defaults: {timeout: 3s}\ntargets:\n" + LINE * 100 + "limits:\n  per_host: 3\n"

    @pytest.fixture
    def lengths(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        lengths: list[int] = []

        def counting(data: bytes, **options: object) -> object:
            lengths.append(len(data))
            return read(data, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(places, "read", counting)
        return lengths

    def test_is_the_entry_and_once(self, lengths: list[int]) -> None:
        found = Places(self.TEXT.encode(), read(self.TEXT.encode()))
        assert found.find(("targets", 70, "labels", "team"), key=False) == ((73, 49), "risk")
        assert found.find(("targets", 70, "labels", "team"), key=True) == ((73, 43), None)
        assert found.find(("targets", 70, "nowhere"), key=False) == ((73, 5), None)
        assert found.find(("limits", "per_host"), key=False) == ((104, 13), "3")
        assert lengths == [len(self.LINE.rstrip()), len("  per_host: 3\n")]

    def test_is_nothing_for_what_stands_at_the_top(self, lengths: list[int]) -> None:
        found = Places(self.TEXT.encode(), read(self.TEXT.encode()))
        assert found.find(("targets", 70), key=False) == ((73, 5), None)
        assert found.find(("limits",), key=True) == ((103, 1), None)
        assert found.find(("defaults",), key=False) == ((1, 11), None)
        assert found.find((), key=False) == ((1, 1), None)
        assert lengths == []

    def test_is_all_where_much_is_told(self, lengths: list[int]) -> None:
        found = Places(self.TEXT.encode(), read(self.TEXT.encode()))
        for number in range(100):
            assert found.find(("targets", number, "name"), key=True)[0] == (3 + number, 6)
        assert sum(lengths) < 1.6 * len(self.TEXT)
        assert lengths[-1] == len(self.TEXT)
