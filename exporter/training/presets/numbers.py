"""Numbers as trainers print them."""

from typing import Final

#: A number for `re`; float() reads what it matches. A loss may be nan, or inf.
NUMBER: Final = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?))(?!\w)"


def share(done: float, of: float) -> float | None:
    """The done share of a whole, 0 to 1; None where there is no whole."""
    return min(1.0, max(0.0, done / of)) if of > 0 else None


def share_of_epochs(epoch: float, epochs: float, within: float | None) -> float | None:
    """The done share of a job whose epochs are counted from 1; `within` is that of the epoch. A line that does not tell
    it tells of an epoch that is done.
    """
    return share(epoch if within is None else epoch - 1 + within, epochs)
