"""Values that every run makes anew: frozen for whoever writes code, and cheap to make."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_Value]) -> type[_Value]:
    """A dataclass with slots whose fields nobody sets again. The type checker sees to that.

    The interpreter would too, with `dataclass(frozen=True)`, and then it sets each field of a new value by a call: a
    tenth of all that a run of a cheap probe costs. It is for what runs make; everything else is frozen by the
    interpreter.
    """
    return dataclass(slots=True)(cls)
