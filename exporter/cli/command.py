"""Commands whose help ends with examples, printed as they are written."""

from typing import Any

import click


class _Examples(click.Command):
    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Said to each: click keeps the option of the first call, and that may come without the program around it.
        self.context_settings = {"help_option_names": ["-h", "--help"], **self.context_settings}
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(_Examples):
    """`click.Command` with `examples`: lines of shell."""


class Group(_Examples, click.Group):
    """`click.Group` with `examples`: lines of shell."""
