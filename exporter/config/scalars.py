"""Plain YAML scalars to values, without the surprises of YAML 1.1.

PyYAML's rules read `1:30` as 90 and `0200` as 128. Here both are problems, dates stay text, and `1e3` is a number.
`yes`, `no`, `on` and `off` are booleans, as every YAML 1.1 reader has them; where text is expected a message asks for
quotes.
"""

import re

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_NUMERIC = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")


class Trap(ValueError):
    """A plain scalar that YAML 1.1 reads as something nobody means. The message says what to write."""


def plain(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar. Raises `Trap`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _OCTAL.fullmatch(text):
        raise Trap(f"found {_cut(text)}, which YAML 1.1 reads as an octal number: quote it, or write it without the 0")
    if _SEXAGESIMAL.fullmatch(text):
        raise Trap(
            f"found {_cut(text)}, which YAML 1.1 reads as a number to the base of 60: quote it, or write a duration "
            "such as 1m30s"
        )
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _HEXADECIMAL.fullmatch(text):
            return int(text, 16)
    except ValueError:
        raise Trap("found a number of more than 4300 digits") from None
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:36]}..."
