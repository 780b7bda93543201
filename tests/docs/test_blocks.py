"""Every block of every page: a config is checked, a command line parsed, Python compiled, PromQL read by promtool."""

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml

from exporter.cli import main
from exporter.config import build, loader
from exporter.config.models import File, Target
from exporter.config.problems import ConfigError
from exporter.config.web_file import WebConfig
from tests.support.programs import need

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
#: Languages that say nothing which could be wrong: what is printed, units of systemd.
_SHOWN = {"text", "ini", "http"}
#: Programs of other people whose command lines stand on pages.
_OTHERS = {
    "pip",
    "curl",
    "helm",
    "kubectl",
    "prometheus",
    "promtool",
    "echo",
    "buildah",
    "jq",
    "grep",
    "python",
    "python3",
    "apt-get",
    "cd",
    "git",
    "docker",
    "cosign",
}
#: First keys of what other programs read, and what they are checked with.
_PROMETHEUS = {"scrape_configs", "rule_files", "global", "alerting", "remote_write", "storage"}
#: Keys of a job that Prometheus 2 of Debian does not know.
_NEWER = ("scrape_native_histograms", "always_scrape_classic_histograms")
_ALERTMANAGER = {"route", "receivers", "inhibit_rules"}


#: What a reader has and the tests have not.
_ABSENT = ("file not found", " is not set", "no modules are configured")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> Iterator[Block]:
    for path in PAGES:
        text = path.read_text()
        for match in _BLOCK.finditer(text):
            code = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
            yield Block(str(path.relative_to(ROOT)), text.count("\n", 0, match.start()) + 1, match[2], code)


BLOCKS = list(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    found = [each for each in BLOCKS if each.language in languages]
    return pytest.mark.parametrize("block", found, ids=[f"{each.page}:{each.line}" for each in found])


def test_every_language_is_looked_at() -> None:
    assert {each.language for each in BLOCKS} <= {"console", "yaml", "python", "promql", "json", *_SHOWN}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_is_closed(path: Path) -> None:
    """One fence too many, and the rest of the page is shown as its opposite: text as code, code as text."""
    fences = re.findall(r"^ *```(\S*)", path.read_text(), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert not any(fences[1::2]), "a block begins within a block"


@of("yaml")
def test_yaml(block: Block, tmp_path: Path) -> None:
    if "{{" in block.text and "include" in block.text:
        return  # of a Helm chart: rendered by the tests of the chart
    for document in yaml.safe_load_all(block.text):
        reading(document, tmp_path)


def reading(document: Any, folder: Path) -> None:
    """Find out what a document is of, and check it as that."""
    if not isinstance(document, dict):
        assert isinstance(document, list)  # target groups, steps of a pipeline
        return
    keys = set(document)
    if "apiVersion" in keys or keys & {
        "image",
        "jobs",
        "on",
        "services",
        "dependencies",
        "steps",
        "containers",
        "rules",
        "model-exporter-sidecar",
        "extraVolumes",
        "kind",
    }:
        return  # Kubernetes, Helm values, pipelines of others
    if keys & _PROMETHEUS:
        for job in document.get("scrape_configs", ()):
            for key in _NEWER:
                job.pop(key, None)
        checked([need("promtool", "apt-get install prometheus"), "check", "config", "--syntax-only"], document, folder)
    elif keys & _ALERTMANAGER:
        checked([need("amtool", "apt-get install prometheus-alertmanager"), "check-config"], document, folder)
    elif keys <= set(WebConfig.model_fields):
        WebConfig.model_validate(document)
    elif keys <= set(File.model_fields):
        good(document, folder)
    else:
        complaints = [fragment(each, folder) for each in fragments(document)]
        assert not all(complaints), min(complaints, key=len)


def fragments(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The configs a part of one may stand in."""
    target = {"name": "t", "url": "http://127.0.0.1:8000", "model": "m"}
    found = []
    for protocol, kind, needed in (
        ("openai", "stream", {"prompt": "hello"}),
        ("openai", "metadata", {}),
        ("openai", "evaluate", {}),
        ("open_inference", "infer", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}),
        ("http", "health", {}),
        ("http", "infer", {"body": {"a": 1}}),
        ("ollama", "stream", {"prompt": "hello"}),
    ):
        found += [
            {"targets": [{**target, "protocol": protocol, "probes": {kind: {**needed, **document}}}]},
            {"targets": [{**target, "protocol": protocol, "probes": document}]},
        ]
    if set(document) & set(Target.model_fields):
        found += [{"targets": [{**target, "protocol": protocol, **document}]} for protocol in
                  ("openai", "open_inference", "torchserve", "http", "mlflow")]  # fmt: skip
    return found


def fragment(document: dict[str, Any], folder: Path) -> str:
    try:
        good(document, folder)
    except AssertionError as error:
        return str(error)
    return ""


def good(document: dict[str, Any], folder: Path) -> None:
    """A config that `check` finds nothing wrong with, but that files and variables of the reader's are not here."""
    if not set(document) & {"targets", "discovery", "training"}:
        document = {**document, "targets": []}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    try:
        build.build(loader.load((path,)).file)
    except ConfigError as error:
        told = [str(each) for each in error.problems if not any(one in str(each) for one in _ABSENT)]
        assert not told, "\n".join(told)


def checked(command: list[str], document: Any, folder: Path) -> None:
    path = folder / "checked.yml"
    path.write_text(yaml.safe_dump(document))
    made = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


@of("console")
def test_console(block: Block) -> None:
    lines = re.sub(r"\\\n", " ", block.text).splitlines()
    typed = [line[2:] for line in lines if line.startswith("$ ")]  # the others are what was answered
    for line in typed or lines:
        line = re.sub(r"\w+=\$\((.*)\)", r"\1", line)
        words = shlex.split(line, comments=True)
        for command in split(words):
            program = Path(command[0]).name
            if program == "model-exporter":
                parsed(command[1:])
            elif program == "make":
                wanted = {word for word in command[1:] if "=" not in word}
                assert wanted <= targets(), f"make has no {wanted - targets()}"
            else:
                assert program in _OTHERS or "/" in command[0], f"what is {program}?"


def split(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line, without variables before them and where their output goes."""
    command: list[str] = []
    for word in [*words, "|"]:
        if word in ("|", "&&", ";", "&", "||"):
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                command.pop(0)
            if command:
                yield command
            command = []
        elif word in (">", ">>", "<"):
            command.append(word)
        elif command and command[-1] in (">", ">>", "<"):
            command.pop()
        else:
            command.append(word)


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def parsed(words: list[str]) -> None:
    """A command line that click takes; paths need not be there."""
    group: click.Command = main
    while isinstance(group, click.Group) and words and words[0] in group.commands:
        group, words = group.commands[words[0]], words[1:]
    if words and words[0] in ("--version", "--help", "-h"):
        return
    assert not isinstance(group, click.Group), words
    for parameter in group.params:
        if isinstance(parameter.type, click.Path):
            parameter.type.exists = False
    with group.make_context("model-exporter", list(words)):
        pass


@of("python")
def test_python(block: Block) -> None:
    compile(block.text, f"{block.page}:{block.line}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@of("json")
def test_json(block: Block) -> None:
    for text in block.text.splitlines() if block.text.count("\n{") else [block.text]:
        json.loads(text)


@of("promql")
def test_promql(block: Block, tmp_path: Path) -> None:
    lines = re.sub(r" *#.*$", "", block.text, flags=re.MULTILINE)
    expressions = [each for each in re.split(r"\n(?=\S)(?![/*+-] *\n)", lines) if each.strip()]
    if any(each.strip() in "/*+-" for each in lines.splitlines() if each.strip()):
        expressions = [lines]
    rules = [{"record": f"r{number}", "expr": each} for number, each in enumerate(expressions)]
    command = [need("promtool", "apt-get install prometheus"), "check", "rules"]
    checked(command, {"groups": [{"name": "page", "rules": rules}]}, tmp_path)
