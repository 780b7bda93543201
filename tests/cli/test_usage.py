"""What every command makes of wrong usage, and what the program loads before it knows what to do."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

from exporter import __version__, log

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "configure", lambda *_: None)


def test_version(invoke: Invoke) -> None:
    assert invoke(["--version"]).output == f"model-exporter, version {__version__}\n"


def test_a_command_that_does_not_exist(invoke: Invoke) -> None:
    assert invoke(["prob"]).exit_code == 2
    assert invoke([]).exit_code == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "'URL'"),
        (["127.0.0.1:8000"], "Error: 127.0.0.1:8000: the url has no scheme; allowed: http"),
        (
            ["http://127.0.0.1:1", "--protocol", "opnai"],
            "'opnai' is not a protocol; did you mean openai?",
        ),
        (["http://127.0.0.1:1", "--probe", "helth"], "'health', 'ready', 'metadata', 'infer', 'stream'"),
        (["http://127.0.0.1:1", "--count", "0"], "Invalid value for '--count'"),
        (
            ["http://127.0.0.1:1", "--protocol", "mlflow", "--probe", "ready"],
            "probes.ready: the protocol mlflow offers",
        ),
    ],
)
def test_probe(invoke: Invoke, args: list[str], said: str) -> None:
    result = invoke(["probe", *args])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not result.stdout


@pytest.mark.parametrize(("args", "said"), [([], "'URL...'"), (["http:/x"], "Error: http:/x: ")])
def test_init(invoke: Invoke, args: list[str], said: str) -> None:
    result = invoke(["init", *args])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "'--config'"),
        (["--config", "a.yml", "--select", "team"], "'team' is not KEY=VALUE; allowed: such as team=chat"),
        (["--config", "a.yml", "--select", "=x"], "Invalid value for '--select'"),
        (["--config", "a.yml", "--timeout", "0"], "'0' is no time at all; allowed: a duration above 0"),
        (["--config", "a.yml", "--consecutive", "0"], "Invalid value for '--consecutive'"),
        (["--config", "a.yml", "--min-addresses", "0"], "Invalid value for '--min-addresses'"),
        (["--config", "a.yml", "--max-duration", "2"], "'2' is not a duration; allowed: such as 500ms, 15s or 1m30s"),
        (["--config", "a.yml", "--max-ttft", "0"], "'0' is no time at all; allowed: a duration above 0"),
    ],
)
def test_wait(invoke: Invoke, args: list[str], said: str) -> None:
    result = invoke(["wait", *args])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_demo(invoke: Invoke) -> None:
    result = invoke(["demo", "--duration", "5"])
    assert result.exit_code == 2
    assert "'--duration'" in result.stderr
    assert "'5' is not a duration; allowed: such as 500ms, 15s or 1m30s." in result.stderr


def test_credentials_in_a_url_are_not_shown(invoke: Invoke) -> None:
    for command in ("probe", "init"):
        result = invoke([command, "http://user:pl4nted@127.0.0.1:1/"])
        assert result.exit_code == 2
        assert "pl4nted" not in result.output


def test_help_and_completion_load_nothing_heavy() -> None:
    heavy = ("aiohttp", "pydantic", "rich", "yaml", "jinja2", "exporter.app", "exporter.once", "exporter.demo")
    source = f"import sys, exporter.cli; print(sorted(set({heavy}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
def test_completion_offers_commands_and_protocols() -> None:
    def offered(words: str, number: int) -> str:
        source = "from exporter.cli import main; main(prog_name='model-exporter')"
        env = {"_MODEL_EXPORTER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=env).stdout

    assert "plain,probe" in offered("model-exporter pr", 1)
    assert "plain,open_inference" in offered("model-exporter probe --protocol open", 3)
