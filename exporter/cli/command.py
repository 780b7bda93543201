"""Commands whose help ends with examples, printed as they are written."""

from collections.abc import Mapping
from typing import Any

import click


class _Examples(click.Command):
    def __init__(
        self,
        *args: Any,
        examples: tuple[str, ...] = (),
        context_settings: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Said to each: click keeps the option of the first call, and that may come without the program around it.
        settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], **(context_settings or {})}
        super().__init__(*args, context_settings=settings, **kwargs)
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
