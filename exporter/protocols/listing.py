"""Names of models as servers list them, made safe to become targets."""

from collections.abc import Iterable
from typing import Any

#: Models taken from one listing.
MOST = 10_000


def names(listed: Iterable[Any]) -> tuple[str, ...]:
    """Names once each, in their order. What is no text, or cannot be shown, is left out."""
    named = (name for name in listed if isinstance(name, str) and name and name.isprintable())
    return tuple(dict.fromkeys(named))[:MOST]
