"""The `maintenance` list: when a target is left alone."""

import re
from datetime import UTC, datetime, time, tzinfo
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from exporter.model.maintenance import Span, Weekly
from exporter.model.maintenance import Window as Planned
from exporter.settings import PositiveDuration, Settings, problem

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Seconds that a window of every week may last.
LONGEST = 7 * 86400.0

#: Of this century: what lies further away is a slip of the pen.
_INSTANT = re.compile(r"20\d\d-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_ONCE, _WEEKLY = ("from_", "until"), ("days", "at", "for_", "timezone")


def _instant(value: Any) -> float:
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).timestamp()
        except ValueError:
            pass
    raise problem(
        "instant", "found {found}; allowed: a date and time with its offset, such as 2026-12-01T02:00:00Z", found=value
    )


def _time(value: Any) -> str:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return value
    raise problem("time", 'found {found}; allowed: a time of day in quotes, such as "02:00"', found=value)


def _zone(value: Any) -> str:
    if isinstance(value, str):
        try:
            _zone_of(value)
            return value
        except (KeyError, ValueError, OSError):
            pass
    raise problem("timezone", "found {found}; allowed: UTC, or a name such as Europe/Berlin", found=value)


def _zone_of(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _shorter_than_a_week(value: float) -> float:
    if value > LONGEST:
        raise problem("for", "found a duration above the maximum of 7d")
    return value


#: Unix time, from a date and time with its offset.
Instant = Annotated[
    float,
    BeforeValidator(_instant),
    PlainSerializer(lambda at: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
TimeOfDay = Annotated[str, BeforeValidator(_time), WithJsonSchema({"type": "string", "pattern": f"^{_TIME.pattern}$"})]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["UTC", "Europe/Berlin"]})]


class Window(Settings):
    """A time during which nothing is asked and the state stays: once (from, until), or every week (days, at, for)."""

    from_: Instant | None = Field(
        None, alias="from", description="Begin of one that happens once, such as 2026-12-01T02:00:00Z."
    )
    until: Instant | None = Field(None, description="Its end.")
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] | None = Field(
        None, min_length=1, description="Days of the week on which it begins. Default: every day."
    )
    at: TimeOfDay | None = Field(None, description='Time of day at which it begins, such as "02:00".')
    for_: Annotated[PositiveDuration, AfterValidator(_shorter_than_a_week)] | None = Field(
        None, alias="for", description="How long it lasts; at most 7d."
    )
    timezone: Zone | None = Field(None, description="The zone of days and at. Default: UTC.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        once = [key for key in _ONCE if getattr(self, key) is not None]
        weekly = [key for key in _WEEKLY if getattr(self, key) is not None]
        if bool(once) == bool(weekly):
            raise problem("window", "needs from and until, or at and for, with days and timezone if you like")
        missing = [key.strip("_") for key in (_ONCE if once else ("at", "for_")) if getattr(self, key) is None]
        if missing:
            raise problem("window", f"needs {' and '.join(missing)} too")
        if self.from_ is not None and self.until is not None and self.until <= self.from_:
            raise problem("window", "ends before it begins")
        return self


def windows_of(given: list[Window] | None) -> tuple[Planned, ...]:
    """The list as values."""
    return tuple(map(_window, given or ()))


def _window(given: Window) -> Planned:
    if given.from_ is not None and given.until is not None:
        return Span(given.from_, given.until)
    days = DAYS if given.days is None else given.days
    return Weekly(
        frozenset(map(DAYS.index, days)),
        time.fromisoformat(given.at or "00:00"),
        given.for_ or 0.0,
        _zone_of(given.timezone or "UTC"),
    )
