"""What every command makes of wrong usage, and what the program loads before it knows what to do."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import trustme
from click.testing import Result

from exporter import __version__, log
from exporter.cli import main
from tests.cli.test_docs import commands

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


#: Starts the exporter, asks it nothing, and prints what it loaded for that.
START = """
import asyncio, pathlib, sys
from exporter.app import Daemon, Options

async def main(path):
    daemon = Daemon(Options(config=(pathlib.Path(path),), listen=(("127.0.0.1", 0),)))
    await daemon.start()
    await daemon.stop()

asyncio.run(main(sys.argv[1]))
print(*sys.modules)
"""
#: Rooms, blocks of the config and libraries that a single target has no use for, with all that is below them.
UNUSED = (
    "exporter.config.check_deploy", "exporter.config.check_discovery", "exporter.config.check_sinks",
    "exporter.config.check_training", "exporter.config.deploy", "exporter.config.discovery",
    "exporter.config.environments", "exporter.config.evaluation", "exporter.config.listed", "exporter.config.lists",
    "exporter.config.service", "exporter.config.sinks", "exporter.config.sources", "exporter.config.training",
    "exporter.config.web_file", "exporter.discovery.http", "exporter.discovery.kubernetes",
    "exporter.discovery.listing", "exporter.evaluation", "exporter.model.deployment", "exporter.protocols.detect",
    "exporter.protocols.openai", "exporter.rollout", "exporter.sinks.jsonl", "exporter.sinks.webhook",
    "exporter.training", "exporter.transport.grpc", "exporter.transport.kubernetes", "exporter.web.openapi",
    "exporter.web.page.rows", "concurrent.futures.process", "grpc", "jinja2", "jmespath", "multiprocessing", "regex",
    "rich", "sqlite3", "unittest",
)  # fmt: skip


def test_a_target_alone_loads_nothing_that_it_has_no_use_for(tmp_path: Path) -> None:
    config = tmp_path / "one.yml"
    config.write_text("targets: [{name: one, url: 'http://127.0.0.1:9', protocol: http}]")
    ended = subprocess.run([sys.executable, "-c", START, str(config)], capture_output=True, text=True, check=True)
    loaded = ended.stdout.split()
    assert "exporter.protocols.http" in loaded
    assert [name for name in loaded if any(f"{name}.".startswith(f"{unused}.") for unused in UNUSED)] == []


#: Loads what `run` loads first, and prints which authorities are to be read from then on, and how many were.
AUTHORITIES = """
import os
from exporter.cli.run import _load_aiohttp
_load_aiohttp()
from aiohttp import connector
print(os.environ["SSL_CERT_FILE"], connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509_ca"])
"""


def test_no_authorities_are_read_for_calls_that_bring_their_own(tmp_path: Path) -> None:
    authorities = str(tmp_path / "authorities.pem")
    trustme.CA().cert_pem.write_to_path(authorities)
    ended = subprocess.run(
        [sys.executable, "-c", AUTHORITIES],
        capture_output=True, text=True, check=True, env={**os.environ, "SSL_CERT_FILE": authorities},
    )  # fmt: skip
    assert ended.stdout == f"{authorities} 0\n"


#: What ~/.bashrc has, then what bash does when TAB is pressed after these words.
COMPLETE = """
compopt() { printf '(%s) ' "$2"; }
eval "$(_MODEL_EXPORTER_COMPLETE=bash_source model-exporter)"
while read -ra COMP_WORDS; do
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _model_exporter_completion model-exporter
    echo "${COMPREPLY[@]}"
done
"""


@pytest.mark.slow
def test_bash_completes(tmp_path: Path) -> None:
    program = tmp_path / "model-exporter"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m exporter "$@"\n')
    program.chmod(0o755)
    expected = {
        "model-exporter pr": "probe",
        "model-exporter wait --max": "--max-duration --max-ttft",
        "model-exporter probe --protocol open": "open_inference openai",
        "model-exporter run --log-format j": "json",
        "model-exporter follow --preset l": "lightgbm lightning",
        "model-exporter generate dashboard f": "fleet",
        "model-exporter run --config mod": "(default) ",  # bash's own: files
        "model-exporter follow tra": "(default) ",
    }
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = "\n".join(expected) + "\n"
    done = subprocess.run(["bash", "--norc", "-c", COMPLETE], input=words, capture_output=True, text=True, env=env)
    assert done.stderr == ""
    assert dict(zip(expected, done.stdout.splitlines(), strict=True)) == expected


@pytest.mark.parametrize("name", commands())
def test_examples_are_commands_as_they_are_to_be_written(name: str) -> None:
    command = commands()[name]
    examples = getattr(command, "examples", ())
    assert examples, f"the help of {name or 'the program'} has no example"
    for line in examples:
        parts = re.split(r" (?:>|&&|\|) ", line)
        words = next(shlex.split(part)[1:] for part in parts if part.startswith("model-exporter "))
        context = main.make_context("model-exporter", words)
        while isinstance(group := context.command, click.Group):
            _, inner, words = group.resolve_command(context, [*context._protected_args, *context.args])
            assert inner is not None
            context = inner.make_context(inner.name, words, parent=context)
        if not isinstance(command, click.Group):
            assert context.command is command
