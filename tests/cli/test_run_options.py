"""What `run` makes of its options; the daemon itself is not started here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from exporter import app, log, process
from exporter.config import loader
from exporter.config.problems import ConfigError, Problem
from exporter.contracts import CannotListen

Invoke = Callable[..., Result]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options the daemon would have been started with, and the log settings."""
    seen: list[Any] = []

    def run_blocking(options: app.Options, loaded: object) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(loader, "beforehand", lambda paths: [])
    monkeypatch.setattr(process, "run_blocking", run_blocking)
    monkeypatch.setattr(log, "configure", lambda *args: seen.append(args))
    return seen


def test_defaults(invoke: Invoke, started: list[Any]) -> None:
    assert invoke(["run", "--target", "http://127.0.0.1:8000"]).exit_code == 0
    assert started == [("info", "logfmt"), app.Options(targets=("http://127.0.0.1:8000",))]


def test_everything_is_handed_over(invoke: Invoke, started: list[Any]) -> None:
    result = invoke([
        "run", "--config", "a.yml", "--config", "b.yml", "--target", "http://x:1", "--target", "http://y:2",
        "--listen", ":9000", "--listen", "[::1]:9001", "--listen", "10.0.0.1:0", "--shard", "2/3",
        "--web-config", "w.yml",
        "--reload-interval", "0", "--shutdown-grace", "1m30s", "--external-url", "https://w.example.org/m/",
        "--route-prefix", "models/", "--log-level", "debug", "--log-format", "json",
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert started == [
        ("debug", "json"),
        app.Options(
            config=(Path("a.yml"), Path("b.yml")),
            targets=("http://x:1", "http://y:2"),
            listen=(("", 9000), ("::1", 9001), ("10.0.0.1", 0)),
            web_config=Path("w.yml"),
            reload_interval=0.0,
            shutdown_grace=90.0,
            external_url="https://w.example.org/m",
            route_prefix="/models",
            shard=(2, 3),
        ),
    ]


def test_every_option_has_its_variable(invoke: Invoke, started: list[Any]) -> None:
    env = {
        "CONFIG": "a.yml:b.yml",
        "TARGET": "http://x:1 http://y:2",
        "LISTEN": "127.0.0.1:1 [::1]:2",
        "WEB_CONFIG": "w.yml",
        "SHARD": "0/2",
        "RELOAD_INTERVAL": "1m",
        "SHUTDOWN_GRACE": "0s",
        "EXTERNAL_URL": "http://w",
        "ROUTE_PREFIX": "/",
        "LOG_LEVEL": "error",
        "LOG_FORMAT": "json",
    }
    result = invoke(["run"], env={f"MODEL_EXPORTER_{name}": value for name, value in env.items()})
    assert result.exit_code == 0, result.output
    assert started == [
        ("error", "json"),
        app.Options(
            config=(Path("a.yml"), Path("b.yml")),
            targets=("http://x:1", "http://y:2"),
            listen=(("127.0.0.1", 1), ("::1", 2)),
            web_config=Path("w.yml"),
            reload_interval=60.0,
            shutdown_grace=0.0,
            external_url="http://w",
            route_prefix="",
            shard=(0, 2),
        ),
    ]


def test_the_command_line_is_above_the_variable(invoke: Invoke, started: list[Any]) -> None:
    invoke(["run", "--target", "http://x:1", "--log-level", "info"], env={"MODEL_EXPORTER_LOG_LEVEL": "debug"})
    assert started[0] == ("info", "logfmt")


def test_blackbox_exporters_hands_are_understood(invoke: Invoke, started: list[Any]) -> None:
    result = invoke(
        [
            "run",
            "--config.file=a.yml",
            "--web.listen-address=:9115",
            "--log.level=warn",
            "--log.format",
            "json",
            "--web.config.file=w.yml",
        ]
    )
    assert result.exit_code == 0, result.output
    assert started == [
        ("warning", "json"),
        app.Options(config=(Path("a.yml"),), listen=(("", 9115),), web_config=Path("w.yml")),
    ]
    assert "config.file" not in invoke(["run", "--help"]).output


def test_nothing_to_watch_is_wrong_usage(invoke: Invoke, started: list[Any]) -> None:
    result = invoke(["run"])
    assert result.exit_code == 2
    for word in ("--config FILE", "--target URL", "init", "demo"):
        assert word in result.stderr
    assert not started


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--listen", "10838", "127.0.0.1:10838"),
        ("--listen", ":99999", ":10838"),
        ("--listen", "0.0.0.0:99999", "127.0.0.1:10838"),
        ("--listen", "nope", "127.0.0.1:10838"),
        ("--listen", "::1:80", "[::1]:10838"),
        ("--listen", "http://x:1", ":10838"),
        ("--listen", "", ":10838"),
        ("--shard", "3/3", "from 0 to N-1"),
        ("--shard", "0/0", "from 0 to N-1"),
        ("--shard", "1", "0/3"),
        ("--reload-interval", "10", "15s"),
        ("--reload-interval", "-1s", "15s"),
        ("--shutdown-grace", "soon", "15s"),
        ("--shutdown-grace", "367d", "366d"),
        ("--external-url", "example.org", "https://"),
        ("--external-url", "https://user:secret@example.org", "https://"),
        ("--route-prefix", "/a b", "/models"),
        ("--route-prefix", "/../a", "/models"),
        ("--log-level", "loud", "'debug', 'info', 'warning', 'error'"),
        ("--log-format", "xml", "'logfmt', 'json'"),
    ],
)
def test_bad_values_name_the_option_and_what_is_allowed(
    invoke: Invoke, started: list[Any], option: str, value: str, allowed: str
) -> None:
    result = invoke(["run", "--target", "http://x:1", option, value])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr
    assert allowed in result.stderr
    assert not started


def test_an_unknown_option_is_wrong_usage(invoke: Invoke, started: list[Any]) -> None:
    result = invoke(["run", "--targets", "http://x:1"])
    assert result.exit_code == 2
    assert "--target" in result.stderr


def test_problems_of_the_config_are_told_one_a_line(
    invoke: Invoke, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [Problem("a.yml", 3, 5, "targets[0].url", "is missing"), Problem("a.yml", 9, 1, "", "is not YAML")]

    def refuse(*_: object) -> int:
        raise ConfigError(problems)

    monkeypatch.setattr(process, "run_blocking", refuse)
    result = invoke(["run", "--config", "a.yml"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == ["a.yml:3:5: targets[0].url: is missing", "a.yml:9:1: is not YAML"]


def test_problems_of_a_url_have_no_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "configure", lambda *_: None)
    result = invoke(["run", "--target", "127.0.0.1:8000"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: 127.0.0.1:8000: the url has no scheme; allowed: http")


def test_an_address_that_is_taken_is_exit_code_1(
    invoke: Invoke, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise CannotListen("cannot listen on *:10838: address already in use")

    monkeypatch.setattr(process, "run_blocking", refuse)
    result = invoke(["run", "--target", "http://x:1"])
    assert result.exit_code == 1
    assert "cannot listen on *:10838" in result.stderr
