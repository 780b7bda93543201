"""docs/cli.md shows the help as it is. After a change: python -m tests.cli.test_docs"""

import re
from pathlib import Path

import click

from exporter.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
_BLOCK = re.compile(r"(<!-- help: *([\w -]*?) *-->)\n(?:\n```text\n.*?\n```\n)?", re.DOTALL)


def commands() -> dict[str, click.Command]:
    """Every command by its words, those of groups included; the program itself has none."""
    found: dict[str, click.Command] = {"": main}
    for name, command in main.commands.items():
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
    return found


def help_of(name: str) -> str:
    """The help of a command, or of the program for an empty name, on 80 columns."""
    context = click.Context(main, info_name="model-exporter", terminal_width=80, **main.context_settings)
    words = name.split()
    for end, word in enumerate(words, 1):
        command = commands()[" ".join(words[:end])]
        context = click.Context(command, info_name=word, parent=context, terminal_width=80)
    return context.command.get_help(context)


def written(page: str) -> str:
    """The page with every help block as it should be."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n```text\n{help_of(match[2])}\n```\n"

    return _BLOCK.sub(block, page)


def test_the_page_shows_the_help_as_it_is() -> None:
    page = PAGE.read_text()
    assert page == written(page), f"{PAGE.name} is old: run `python -m tests.cli.test_docs`"


def test_the_page_shows_every_command() -> None:
    assert {match[2] for match in _BLOCK.finditer(PAGE.read_text())} == set(commands())


def test_every_option_is_told_with_its_variable() -> None:
    for name, command in commands().items():
        for option in command.params:
            if name and isinstance(option, click.Option) and option.name != "help":
                assert isinstance(option.envvar, str)
                assert option.envvar == "MODEL_EXPORTER_" + option.opts[0][2:].replace("-", "_").upper()
                assert option.envvar in "".join(help_of(name).split())


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
