"""Files of target groups: what is read, what is refused and why."""

import json
from pathlib import Path

import pytest

from exporter.discovery import files, groups
from exporter.discovery.files import read

GROUP = [{"targets": ["a:1", "b:2"], "labels": {"team": "chat"}}]


async def test_yaml_and_json_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(GROUP))
    (tmp_path / "b.yml").write_text('- targets: ["a:1", "b:2"]\n  labels: {team: chat}\n')
    one, other = await read([str(tmp_path / "*")])
    assert one.entries == [
        {"team": "chat", "__meta_filepath": one.name, "__address__": address} for address in ("a:1", "b:2")
    ]
    assert other.entries == [{**entry, "__meta_filepath": other.name} for entry in one.entries]


async def test_files_are_read_once_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "deep/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[]")
    found = await read([str(tmp_path / "**/*.json"), str(tmp_path / "a.json")])
    assert [Path(part.name).name for part in found] == ["a.json", "b.json", "c.json"]


async def test_an_empty_file_has_no_targets(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("# none yet\n")
    assert [part.entries for part in await read([str(tmp_path / "a.yml")])] == [[]]


async def test_a_glob_may_find_nothing_and_a_plain_path_may_not(tmp_path: Path) -> None:
    assert await read([str(tmp_path / "*.yml")]) == []
    (part,) = await read([str(tmp_path / "a.yml")])
    assert part.entries is None
    assert part.problem == f"{tmp_path}/a.yml: No such file or directory"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.yml", "targets: [a]", "found a mapping; allowed: a list of {targets: [...], labels: {...}}"),
        ("a.yml", "- a:1", "[0]: found a text; allowed: targets and labels"),
        ("a.yml", "- {target: [a]}", "[0]: unknown key 'target'; allowed: targets, labels"),
        ("a.yml", "- {labels: {a: b}}", "[0].targets: found nothing; allowed: a list of texts"),
        ("a.yml", "- {targets: [8000]}", "[0].targets[0]: found the number 8000; text expected: write it in quotes"),
        ("a.yml", "- {targets: [a], labels: {b: true}}",
         "[0].labels.b: found a boolean; text expected: write it in quotes"),
        ("a.yml", "- {targets: [a], labels: [b]}", "[0].labels: found a list; allowed: texts by name"),
        ("a.yml", "- targets: [a\n", "line 2: "),
        ("a.yml", "- !!python/object:os.system {}", "line 1: could not determine a constructor for the tag"),
        ("a.json", "[{]", "not JSON: Expecting property name enclosed in double quotes: line 1 column 3 (char 2)"),
        ("a.json", "[" * 100_000, "not JSON: "),
    ],
)  # fmt: skip
async def test_what_is_no_list_of_groups(tmp_path: Path, name: str, text: str, problem: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    (part,) = await read([str(path)])
    assert part.entries is None
    assert part.problem.startswith(f"{path}: {problem}")


async def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE", 50)
    monkeypatch.setattr(groups, "MAX_ENTRIES", 2)
    (tmp_path / "a.json").write_text(json.dumps(GROUP) + " " * 50)
    (tmp_path / "b.json").write_text('[{"targets": ["a", "b", "c"]}]')
    (tmp_path / "c.json").write_text(json.dumps([{"targets": ["x" * 30]}]))
    monkeypatch.setattr(groups, "MAX_TEXT", 20)
    problems = [part.problem.partition(": ")[2] for part in await read([str(tmp_path / "*.json")])]
    assert problems == ["larger than 0 MB", "more than 2 targets", "[0].targets[0]: 30 characters; allowed: at most 20"]
    monkeypatch.setattr(files, "MAX_FILES", 2)
    assert [part.problem for part in await read([str(tmp_path / "*.json")])] == ["3 files; allowed: at most 2"]
