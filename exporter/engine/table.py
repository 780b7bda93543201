"""The table from evidence to a state: first row that matches wins, exactly one answer for every combination. Pure."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from exporter.model.failure import Evidence
from exporter.model.state import State

SILENT = frozenset({Evidence.NONE, Evidence.ABSENT})
_SLOW_OR_DEAD = frozenset({Evidence.SLOW, Evidence.DEAD})
_OURS = frozenset({Evidence.REFUSED, Evidence.WRONG})
_DISMAL = frozenset({Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN})


class Standing(StrEnum):
    """What the canaries' evidence is worth just now. Only `current` evidence speaks."""

    CURRENT = "current"
    PENDING = "pending"  #: not asked since the cheap evidence changed, and it may run
    SKIPPED = "skipped"
    EXPIRED = "expired"
    ABSENT = "absent"


class By(Enum):
    """Whose evidence decided."""

    NOBODY = auto()
    CHEAP = auto()
    LOADING = auto()  #: the cheap probe that says loading
    CANARY = auto()
    LOAD = auto()  #: what was read of the load beside a canary that passed


@dataclass(frozen=True, slots=True)
class Ruling:
    """A row of the table. `state` None: the state stays."""

    row: int
    state: State | None
    by: By = By.NOBODY


@dataclass(frozen=True, slots=True)
class Signs:
    """What was read of a server's load beside its canary. The default is an unknown load."""

    queue: bool = False  #: requests wait, or as many run as can
    progress: bool = False  #: it worked on something meanwhile
    over: bool = False  #: more wait than the operator takes for healthy

    @property
    def working(self) -> bool:
        """Whether a slow canary means a busy server."""
        return self.queue or self.progress


UNKNOWN_LOAD = Signs()


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of evidence.

    `cheap` is the worst of health and ready, NONE when they say nothing. `canary` counts only under a CURRENT
    `standing`. `confirmed`: a cheap run that started after the canary's ended was ok. `says_loading`: health or ready
    does; `model_loading`: ready does, and speaks of the model.
    """

    cheap: Evidence = Evidence.NONE
    canary: Evidence = Evidence.NONE
    standing: Standing = Standing.ABSENT
    confirmed: bool = False
    says_loading: bool = False
    model_loading: bool = False
    load: Signs = UNKNOWN_LOAD
    maintenance: bool = False


_STAYS_IN_MAINTENANCE = Ruling(1, None)
_UNKNOWN = Ruling(2, State.UNKNOWN)
_MODEL_LOADING = Ruling(3, State.LOADING, By.LOADING)
_HEALTHY = Ruling(4, State.HEALTHY)
_OVERLOADED = Ruling(4, State.SATURATED, By.LOAD)
_DEAD_BUSY = Ruling(5, State.ERROR, By.CHEAP)
_BUSY = Ruling(6, State.SATURATED, By.CANARY)
_DEAD = Ruling(7, State.ERROR, By.CHEAP)
_BOTH_SLOW = Ruling(8, State.ERROR, By.CHEAP)
_CANARY_LOADING = Ruling(9, State.LOADING, By.CANARY)
_SAYS_LOADING = Ruling(9, State.LOADING, By.LOADING)
_OUR_FAULT = Ruling(10, State.UNHEALTHY, By.CANARY)
_WORKING = Ruling(11, State.SATURATED, By.CANARY)
_ZOMBIE = Ruling(12, State.ZOMBIE, By.CANARY)
_STAYS_UNCONFIRMED = Ruling(13, None)
_BUSY_SLOW = Ruling(14, State.SATURATED, By.CHEAP)
_ALONE_BROKEN = Ruling(15, State.UNHEALTHY, By.CANARY)
_ALONE_GONE = Ruling(15, State.ERROR, By.CANARY)
_BAD_CHEAP = Ruling(16, State.UNHEALTHY, By.CHEAP)
_BAD_CANARY = Ruling(16, State.UNHEALTHY, By.CANARY)
_CHEAP_GONE = Ruling(17, State.ERROR, By.CHEAP)
_CHEAP_LOADING = Ruling(18, State.LOADING, By.CHEAP)
_CHEAP_BUSY = Ruling(18, State.SATURATED, By.CHEAP)
_CHEAP_BAD = Ruling(18, State.UNHEALTHY, By.CHEAP)
_STAYS_PENDING = Ruling(19, None)
_UNVERIFIED = Ruling(20, State.HEALTHY)


def decide(case: Case) -> Ruling:
    """The first row that matches."""
    if case.maintenance:
        return _STAYS_IN_MAINTENANCE
    if case.standing is Standing.CURRENT:
        return _with_canary(case)
    cheap = case.cheap
    if cheap in SILENT:
        return _UNKNOWN
    if cheap in _SLOW_OR_DEAD:
        return _CHEAP_GONE
    if cheap is Evidence.LOADING:
        return _CHEAP_LOADING
    if cheap is Evidence.BUSY:
        return _CHEAP_BUSY
    if cheap in _DISMAL:
        return _CHEAP_BAD
    return _STAYS_PENDING if case.standing is Standing.PENDING else _UNVERIFIED


def _with_canary(case: Case) -> Ruling:
    cheap, canary = case.cheap, case.canary
    if canary is Evidence.OK:
        if case.model_loading:
            return _MODEL_LOADING
        return _OVERLOADED if case.load.over else _HEALTHY
    if cheap is Evidence.DEAD:
        return _DEAD_BUSY if canary is Evidence.BUSY else _DEAD
    if canary is Evidence.BUSY:
        return _BUSY
    if cheap is Evidence.SLOW and canary in _SLOW_OR_DEAD:
        return _BOTH_SLOW
    if canary is Evidence.LOADING:
        return _CANARY_LOADING
    if case.says_loading:
        return _SAYS_LOADING
    if canary in _OURS:
        return _OUR_FAULT
    return _failing_canary(case)


def _failing_canary(case: Case) -> Ruling:
    """Rows 11 to 16: the canary is broken, slow or dead."""
    cheap, canary = case.cheap, case.canary
    if cheap is Evidence.OK:
        if canary is Evidence.SLOW and case.load.working:
            return _WORKING
        return _ZOMBIE if case.confirmed else _STAYS_UNCONFIRMED
    if cheap is Evidence.BUSY and canary is Evidence.SLOW:
        return _BUSY_SLOW
    if cheap in SILENT:
        return _ALONE_BROKEN if canary is Evidence.BROKEN else _ALONE_GONE
    return _BAD_CHEAP if cheap in _DISMAL else _BAD_CANARY
