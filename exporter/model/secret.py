"""A reference to a secret: where it is, never what it is."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Where a secret comes from.

    `where` is the name of an environment variable, the path of a file, or, for `inline`, the secret itself; the
    representation never shows the last. `transport.secrets` reads it at the moment of use, so a rotated file is
    picked up without a reload.
    """

    source: Literal["inline", "env", "file"]
    where: str

    def __repr__(self) -> str:
        return "Secret(inline)" if self.source == "inline" else f"Secret({self.source}={self.where!r})"

    __str__ = __repr__
