"""Files: several at once, odd ones, large ones."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from exporter import protocols
from exporter.config import check, loader
from exporter.config.loader import ConfigError, load
from tests.config.make import loaded, problems

GOOD = "targets:\n  - url: http://127.0.0.1:8000\n"


def told(*paths: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(paths)
    return [str(problem).replace(f"{paths[0].parent}/", "") for problem in caught.value.problems]


def test_every_problem_of_two_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("limits: {concurrency: 0}\ntargets:\n  - {name: a, url: 'ftp://h'}\n  - {name: b}\n")
    two.write_text("targets:\n  - {name: a, url: 'http://h', module: chta}\nmodules:\n  chat: {protocol: htp}\n")
    assert told(one, two) == [
        "one.yaml:1:23: limits.concurrency: found 0; allowed: an integer >= 1",
        "one.yaml:3:20: targets[0].url: the scheme ftp is unknown; allowed: http, https, grpc, grpcs, tcp, unix",
        "one.yaml:4:5: targets[1].url: required field is missing (target 'b')",
        "two.yaml:2:12: targets[0].name: duplicate target name 'a', first at line 3 of one.yaml; "
        "give each a name of its own",
        "two.yaml:2:40: targets[0].module: unknown module 'chta'; did you mean chat? known: chat",
        f"two.yaml:4:20: modules.chat.protocol: found 'htp'; did you mean http? allowed: {', '.join(protocols.NAMES)}",
    ]


def test_files_are_one_config(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("defaults: {timeout: 3s}\nmodules: {m: {protocol: http}}\ntargets: [{url: 'http://a'}]\n")
    two.write_text("targets: [{url: 'http://b', module: m}]\n")
    file = load([one, two]).file
    assert [target.url.host for target in file.targets or []] == ["a", "b"]
    assert file.defaults.timeout == 3
    assert list(file.modules) == ["m"]


def test_a_block_stands_in_one_file_only(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("limits: {per_host: 1}\nmodules: {m: {protocol: http}}\ntargets: [{url: 'http://a', module: m}]\n")
    two.write_text("limits: {per_host: 2}\nmodules: {m: {protocol: http}}\n")
    assert told(one, two) == [
        f"two.yaml:1:1: limits: given in {one} too".replace(f"{tmp_path}/", ""),
        f"two.yaml:2:11: modules.m: duplicate module, given in {one} too".replace(f"{tmp_path}/", ""),
    ]


def test_an_unreadable_file_hides_nothing_of_the_others(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("targets: [")
    two.write_text("targets: [{url: 'http://b', module: may-be-in-one, labels: {le: x}}]\n")
    lines = told(one, two)
    assert [line.split(":")[0] for line in lines] == ["one.yaml", "two.yaml"]
    assert "labels.le" in lines[1]


def test_files_of_two_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    one, two = tmp_path / "one.yaml", tmp_path / "sub" / "two.yaml"
    one.write_text(GOOD)
    two.write_text("targets: []")
    assert "another folder" in told(one, two)[0]


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device", "nul"])
def test_what_is_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    expected = {"missing": "No such file", "directory": "is a directory", "fifo": "is a FIFO", "device": "is a device"}
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "nul":
        path = tmp_path / "con\0fig.yaml"
    started = time.monotonic()
    (line,) = told(path)
    assert time.monotonic() - started < 5
    assert expected.get(kind, "cannot be opened") in line


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: object, *arguments: object) -> int:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(os, "open", refuse)
    assert told(tmp_path / "config.yaml") == ["config.yaml:1:1: cannot be opened: Permission denied"]


def test_a_token_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t")
    real = os.open

    def refuse(name: object, *arguments: int) -> int:
        if str(name) == str(token):
            raise PermissionError(13, "Permission denied", name)
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    assert problems(tmp_path, "targets: [{url: 'http://h', auth: {bearer: {file: token}}}]") == [
        f"1:44: targets[0].auth.bearer: permission denied: {token}; allowed: a file that can be read"
    ]


def test_a_file_above_the_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    assert told(path) == ["large.yaml:1:1: is larger than the size limit of 32MB"]


def test_too_many_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "MAX_TARGETS", 2)
    assert problems(tmp_path, "targets:\n" + "  - url: http://h\n" * 3) == [
        "2:3: targets: found 3 targets, above the limit of 2"
    ]
    assert loaded(tmp_path, "targets: [{url: 'http://a'}, {url: 'http://b'}]").file.targets is not None


def test_an_empty_list_of_targets_is_fine(tmp_path: Path) -> None:
    assert loaded(tmp_path, "targets: []\n").file.targets == []


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load([path]).warnings == []


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("s3cr3t")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "prompt.txt").write_text("Say it.")
    text = (
        "targets:\n  - url: http://h\n    protocol: openai\n    model: m\n    auth: {bearer: {file: token}}\n"
        "    probes: {stream: {prompt: {file: prompt.txt}}}\n"
    )
    path = tmp_path / "config.yaml"
    path.write_text(text)
    monkeypatch.chdir("/")
    auth = (load([path]).file.targets or [])[0].auth
    assert auth is not None
    assert auth.bearer is not None
    assert auth.bearer.where == str(tmp_path / "token")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "targets:\n  - url: http://h\n    probes:\n      health: {timeout: 30s, interval: 10s}\n",
            "4:25: targets[0].probes.health.timeout: timeout 30s of health is longer than its interval 10s: "
            "slots will be skipped",
        ),
        (
            "defaults: {interval: 4s}\ntargets:\n  - url: http://h\n    protocol: http\n  - url: http://h2\n"
            "    protocol: http\n",
            "1:22: defaults.interval: timeout 5s of health is longer than its interval 4s: slots will be skipped",
        ),
        ("modules:\n  m: {protocol: http}\ntargets: []\n", "2:3: modules.m: no target uses this module"),
        (
            "targets:\n  - url: http://h\n    auth: {bearer: {file: open}}\n",
            "3:20: targets[0].auth.bearer: the file open can be read by everyone (mode 0644); 0600 or 0640 is safer",
        ),
        (
            "targets:\n  - url: http://h\n    probes: {}\n",
            "3:13: targets[0].probes: no probe is left: this target is not watched",
        ),
    ],
)
def test_warnings(text: str, warning: str, tmp_path: Path) -> None:
    (tmp_path / "open").write_text("x")
    (tmp_path / "open").chmod(0o644)
    found = [
        str(each).removeprefix(f"{tmp_path}/config.yaml:").replace(f"{tmp_path}/", "")
        for each in loaded(tmp_path, text).warnings
    ]
    assert found == [warning]


def test_a_module_for_probe_requests_needs_no_target(tmp_path: Path) -> None:
    text = "modules: {m: {protocol: http}}\ntargets: []\non_demand: {allow: ['10.0.0.0/8']}\n"
    assert loaded(tmp_path, text).warnings == []


def test_a_file_that_changes_while_it_is_read_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("targets: [{url: 5}]")
    seen = []
    real = os.open

    def counting(name: object, *arguments: int) -> int:
        seen.append(str(name))
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counting)
    with pytest.raises(ConfigError):
        load([path])
    assert seen.count(str(path)) == 1


def test_values_have_no_line() -> None:
    with pytest.raises(ConfigError) as caught:
        loader.load_values({"targets": [{"url": "ftp://x"}]}, name="--target")
    told = "--target: targets[0].url: the scheme ftp is unknown; allowed: http, https, grpc, grpcs, tcp, unix"
    assert str(caught.value) == told


def test_problems_can_be_pickled() -> None:
    import pickle

    with pytest.raises(ConfigError) as caught:
        loader.load_values([], name="x")
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_several_files_are_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is swapped after the first file was read, as Kubernetes does: never one file of each."""
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        for name in ("one", "two"):
            (tmp_path / version / f"{name}.yaml").write_text(f"targets: [{{url: 'http://{version}-{name}'}}]\n")
    mounted = tmp_path / "mounted"
    mounted.symlink_to(tmp_path / "old")
    real, swapped = os.open, False

    def swapping(name: object, *arguments: int) -> int:
        nonlocal swapped
        descriptor = real(name, *arguments)  # type: ignore[arg-type]
        if str(name).endswith("one.yaml") and not swapped:
            swapped = True
            mounted.unlink()
            mounted.symlink_to(tmp_path / "new")
        return descriptor

    monkeypatch.setattr(os, "open", swapping)
    file = load([mounted / "one.yaml", mounted / "two.yaml"]).file
    assert [target.url.host for target in file.targets or []] == ["new-one", "new-two"]
    assert swapped


def test_a_prompt_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prompt.txt").write_text("s3cr3t")
    real = Path.open

    def refuse(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == "prompt.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **more)

    text = (
        "targets:\n  - {name: a, url: 'http://h', protocol: openai, model: m, "
        "probes: {stream: {prompt: {file: prompt.txt}}}}\n"
    )
    monkeypatch.setattr(Path, "open", refuse)
    (line,) = problems(tmp_path, text)
    assert line == f"2:86: targets[0].probes.stream.prompt: cannot read {tmp_path}/prompt.txt: Permission denied"
