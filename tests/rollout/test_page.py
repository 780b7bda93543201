"""docs/rollouts.md: what can be copied from it works."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import click
import yaml

from exporter.cli import main
from exporter.model.job import Kind
from exporter.rollout.query import read
from exporter.rollout.standing import Obstacle
from tests.rollout.remembered import Remembered, job

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rollouts.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_yaml_block_is_yaml() -> None:
    assert len(blocks("yaml")) >= 4
    for block in blocks("yaml"):
        assert list(yaml.safe_load_all(block)), block


def test_every_question_can_be_asked() -> None:
    asked = re.findall(r"/api/v1/gate\?[^\s\"']+", PAGE)
    assert len(asked) >= 4
    for url in asked:
        query = parse_qsl(re.sub(r"\{\{[\w.]+\}\}", "3", urlsplit(url).query), keep_blank_values=True)
        terms, _, problems = read(query)
        assert not problems, url
        assert terms.select, url


def test_the_commands_take_these_options() -> None:
    steps = yaml.safe_load(next(block for block in blocks("yaml") if block.startswith("steps:")))["steps"]
    program, name, *arguments = shlex.split(steps[0]["run"])
    assert program == "model-exporter"
    command = main.commands[name]
    context = command.make_context(name, arguments, parent=click.Context(main))
    assert context.params["consecutive"] == 5


def test_the_answer_has_the_form_that_is_shown() -> None:
    (shown,) = (json.loads(block) for block in blocks("json"))
    health = job(Kind.HEALTH)
    made = Remembered(health).verdict().as_json()
    assert shown.keys() == made.keys()
    assert shown["blocking"][0].keys() == made["blocking"][0].keys()


def test_every_obstacle_has_its_line() -> None:
    section = PAGE[PAGE.index("## The gate") :]
    for obstacle in Obstacle:
        assert re.search(rf"^\|[^|]*`{obstacle}`[^|]*\|", section, re.MULTILINE), obstacle
