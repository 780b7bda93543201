"""`model-exporter check`: what is said of good files, of wrong ones, and of those that want mending."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Invoke = Callable[..., Result]

GOOD = "targets:\n  - {url: 'http://127.0.0.1:8000', protocol: openai, probes: {health: {}, ready: {}}}\n"


def test_a_good_file_is_told_in_one_line(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "good.yml"
    path.write_text(GOOD)
    result = invoke(["check", path])
    assert (result.exit_code, result.output) == (0, "good: 1 target, 2 probes\n")


def test_what_is_still_to_be_found_is_counted_apart(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "good.yml"
    path.write_text(f"{GOOD}discovery: [{{catalogue: {{url: 'http://127.0.0.1:4000', protocol: openai}}}}]\n")
    result = invoke(["check", path])
    assert (result.exit_code, result.output) == (0, "good: 1 target, 2 probes, 1 source of further targets\n")
    path.write_text(f"{GOOD}training: [{{job: a, file: {{path: a.log}}}}]\n")
    assert invoke(["check", path]).output == "good: 1 target, 2 probes, 1 training job\n"


def test_every_problem_of_every_file_is_told_on_a_line(invoke: Invoke, tmp_path: Path) -> None:
    first, second, third = tmp_path / "first.yml", tmp_path / "second.yml", tmp_path / "third.yml"
    first.write_text("targets:\n  - {url: 'http://127.0.0.1:8000', intervall: 3s}\n  - {url: 3}\n")
    second.write_text("limits: {concurrency: many}\n")
    result = invoke(["check", first, second, third])
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    places = [tuple(line.split(":")[:2]) for line in lines]
    assert places == [(str(first), "2"), (str(first), "3"), (str(second), "1"), (str(third), "1")]
    assert "targets[0].intervall" in lines[0]
    assert result.stderr == "not good: 4 problems\n"


def test_warnings_do_not_make_it_wrong(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "warn.yml"
    path.write_text(f"modules: {{spare: {{protocol: http}}}}\n{GOOD}")
    result = invoke(["check", path])
    assert result.exit_code == 0
    first, last = result.output.splitlines()
    assert first.startswith(f"{path}:1:")
    assert "warning" in first
    assert last == "good: 1 target, 2 probes, 1 warning"


def test_a_folder_is_not_a_file(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(["check", tmp_path])
    assert result.exit_code == 2
    assert str(tmp_path) in result.output


def test_no_file_is_wrong_usage(invoke: Invoke) -> None:
    result = invoke(["check"])
    assert result.exit_code == 2
    assert "FILE" in result.stderr
