"""The closed vocabulary of failure: every reason with its status, its evidence and whether it is retried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """Of a run: `healthy` (every check held), `unhealthy` (it answered and is not well), `error` (no valid answer)."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    ERROR = "error"


class Evidence(StrEnum):
    """What one run, or the runs of one probe, say about a target; the input of the verdict's table."""

    OK = "ok"
    BUSY = "busy"
    LOADING = "loading"
    REFUSED = "refused"
    WRONG = "wrong"
    BROKEN = "broken"
    SLOW = "slow"
    DEAD = "dead"
    NONE = "none"
    ABSENT = "absent"


class Reason(StrEnum):
    """Why a run was not healthy. docs/failures.md says of each what it means and where to look."""

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT = "connect"
    RESET = "reset"
    DISCONNECTED = "disconnected"
    TLS = "tls"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_HOSTNAME = "tls_hostname"
    TIMEOUT = "timeout"
    TIMEOUT_FIRST_TOKEN = "timeout_first_token"  # noqa: S105 - a reason, not a password
    STALLED = "stalled"
    PROTOCOL = "protocol"
    ENCODING = "encoding"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    HTTP_STATUS = "http_status"
    AUTH = "auth"
    MODEL_NOT_FOUND = "model_not_found"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    NOT_READY = "not_ready"
    MALFORMED = "malformed"
    EMPTY = "empty"
    INCOMPLETE = "incomplete"
    ERROR_EVENT = "error_event"
    EXPECTATION = "expectation"
    INCONCLUSIVE = "inconclusive"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Row:
    """What a reason means: the status of the run, its evidence, and whether a new attempt is worth it by default."""

    status: Status
    evidence: Evidence
    retried: bool = False


#: Characters of a detail that are kept.
MAX_DETAIL = 300

_error, _unhealthy = Status.ERROR, Status.UNHEALTHY

TABLE: Mapping[Reason, Row] = MappingProxyType(
    {
        Reason.DNS: Row(_error, Evidence.DEAD, retried=True),
        Reason.CONNECT_REFUSED: Row(_error, Evidence.DEAD, retried=True),
        Reason.CONNECT_TIMEOUT: Row(_error, Evidence.DEAD),
        Reason.CONNECT: Row(_error, Evidence.DEAD, retried=True),
        Reason.RESET: Row(_error, Evidence.DEAD, retried=True),
        Reason.DISCONNECTED: Row(_error, Evidence.DEAD, retried=True),
        Reason.TLS: Row(_error, Evidence.DEAD),
        Reason.TLS_EXPIRED: Row(_error, Evidence.DEAD),
        Reason.TLS_UNTRUSTED: Row(_error, Evidence.DEAD),
        Reason.TLS_HOSTNAME: Row(_error, Evidence.DEAD),
        Reason.TIMEOUT: Row(_error, Evidence.SLOW),
        Reason.TIMEOUT_FIRST_TOKEN: Row(_error, Evidence.SLOW),
        Reason.STALLED: Row(_error, Evidence.SLOW),
        Reason.PROTOCOL: Row(_error, Evidence.DEAD),
        Reason.ENCODING: Row(_error, Evidence.BROKEN),
        Reason.TRUNCATED: Row(_error, Evidence.BROKEN),
        Reason.TOO_LARGE: Row(_error, Evidence.BROKEN),
        Reason.REDIRECT: Row(_unhealthy, Evidence.REFUSED),
        Reason.HTTP_STATUS: Row(_unhealthy, Evidence.BROKEN),
        Reason.AUTH: Row(_unhealthy, Evidence.REFUSED),
        Reason.MODEL_NOT_FOUND: Row(_unhealthy, Evidence.REFUSED),
        Reason.RATE_LIMITED: Row(_unhealthy, Evidence.BUSY),
        Reason.OVERLOADED: Row(_unhealthy, Evidence.BUSY),
        Reason.NOT_READY: Row(_unhealthy, Evidence.LOADING),
        Reason.MALFORMED: Row(_error, Evidence.BROKEN),
        Reason.EMPTY: Row(_unhealthy, Evidence.BROKEN),
        Reason.INCOMPLETE: Row(_unhealthy, Evidence.BROKEN),
        Reason.ERROR_EVENT: Row(_unhealthy, Evidence.BROKEN),
        Reason.EXPECTATION: Row(_unhealthy, Evidence.WRONG),
        Reason.INCONCLUSIVE: Row(_error, Evidence.NONE),
        Reason.INTERNAL: Row(_error, Evidence.NONE),
    }
)


def row_of(reason: Reason, http_status: int | None = None, *, busy: bool = False) -> Row:
    """Judge a reason.

    `http_status` tells the codes behind the reason `http_status` apart. `busy` marks the two cases that are load and
    not failure: a timeout while tokens still flow, and an expectation where only a latency bound failed.
    """
    if busy:
        return Row(_unhealthy, Evidence.BUSY)
    if reason is Reason.HTTP_STATUS and http_status is not None:
        if http_status == 425:
            return Row(_unhealthy, Evidence.BUSY)
        if http_status in (408, 504):
            return Row(_unhealthy, Evidence.SLOW)
        if 400 <= http_status < 500:
            return Row(_unhealthy, Evidence.REFUSED)
        return Row(_unhealthy, Evidence.BROKEN, retried=http_status in (502, 503))
    return TABLE[reason]


class Asleep(Exception):
    """A canary was not run, because it would have woken a model that is asleep or unloaded. Not a failure, and no
    run: the slot is counted as skipped. `detail` is for people.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class Failure(Exception):
    """A run did not go well, for a reason of the closed set.

    Raised by the transport and by protocols, caught by the runner. `detail` is for people: it may quote at most 200
    characters of an answer and never a credential. `retry_after` is in seconds, as the server asked.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        busy: bool = False,
    ) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.http_status = http_status
        self.retry_after = retry_after
        self.busy = busy

    @property
    def row(self) -> Row:
        """Status, evidence and default retry of this failure."""
        return row_of(self.reason, self.http_status, busy=self.busy)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


def joined(complaints: Sequence[str]) -> str:
    """Everything that does not hold as one detail, the most telling first. What finds no room is counted."""
    whole = "; ".join(complaints)
    if len(whole) <= MAX_DETAIL:
        return whole
    text = complaints[0]
    for place, complaint in enumerate(complaints[1:], 1):
        longer, after = f"{text}; {complaint}", len(complaints) - place - 1
        if len(longer) + len(_more(after)) > MAX_DETAIL:
            return _cut(text, _more(after + 1))
        text = longer
    return _cut(text, "")


def _more(count: int) -> str:
    return f"; and {count} more" if count else ""


def _cut(text: str, more: str) -> str:
    room = MAX_DETAIL - len(more)
    return (text if len(text) <= room else f"{text[: room - 3]}...") + more
