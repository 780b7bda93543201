"""What states, reasons and numbers are called on the page and in plain answers."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType

from exporter.model.failure import Reason
from exporter.model.state import State

#: In the order people want to see them: what needs a hand first.
STATES: Mapping[State, str] = MappingProxyType(
    {
        State.ERROR: "no valid answer comes back: down, unreachable or not speaking its protocol",
        State.ZOMBIE: "health checks say yes, a real request does not come back",
        State.UNHEALTHY: "it answers, and what it answers is not right",
        State.LOADING: "alive, the model is not ready yet",
        State.SATURATED: "well, but refusing or queueing for load",
        State.UNKNOWN: "no probe has finished yet",
        State.HEALTHY: "every question was answered right and in time",
    }
)

REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.DNS: "the name does not resolve",
        Reason.CONNECT_REFUSED: "connection refused",
        Reason.CONNECT_TIMEOUT: "connecting took too long",
        Reason.CONNECT: "cannot connect",
        Reason.RESET: "connection reset",
        Reason.DISCONNECTED: "connection closed before an answer",
        Reason.TLS: "TLS handshake failed",
        Reason.TLS_EXPIRED: "TLS certificate expired",
        Reason.TLS_UNTRUSTED: "TLS certificate not trusted",
        Reason.TLS_HOSTNAME: "TLS certificate is for another name",
        Reason.TIMEOUT: "no whole answer in time",
        Reason.TIMEOUT_FIRST_TOKEN: "no first token in time",
        Reason.STALLED: "the token stream stalled",
        Reason.PROTOCOL: "the answer is not valid HTTP",
        Reason.ENCODING: "the answer's encoding is broken",
        Reason.TRUNCATED: "the answer was cut off",
        Reason.TOO_LARGE: "the answer is too large",
        Reason.REDIRECT: "redirected elsewhere",
        Reason.HTTP_STATUS: "unexpected HTTP status",
        Reason.AUTH: "credentials refused",
        Reason.MODEL_NOT_FOUND: "the server does not have this model",
        Reason.RATE_LIMITED: "rate limited",
        Reason.OVERLOADED: "the server is overloaded",
        Reason.NOT_READY: "not ready yet",
        Reason.MALFORMED: "the answer has not the shape asked for",
        Reason.EMPTY: "the answer is empty",
        Reason.INCOMPLETE: "the stream ended without its promised end",
        Reason.ERROR_EVENT: "an error inside a good answer",
        Reason.EXPECTATION: "the answer is not what was expected",
        Reason.INCONCLUSIVE: "too few answers to say anything, or the exporter was not ready",
        Reason.INTERNAL: "a bug in the exporter, or an extra that is not installed",
    }
)


#: Why a run that was due was not done.
SKIPS: Mapping[str, str] = MappingProxyType(
    {
        "asleep": "the model is asleep and is not woken",
        "budget": "the budget is spent",
        "overlap": "the run before was still going",
        "missed": "the exporter was late",
        "maintenance": "in maintenance",
    }
)


def age(seconds: float) -> str:
    """A span as people say it, its two largest units: `4 s`, `12 min`, `3 h 20 min`, `2 d 5 h`."""
    rest = max(0, round(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (large, size), (small, part) in pairwise(units):
        if rest >= size:
            count, rest = divmod(rest, size)
            below = rest // part
            # Beside ten minutes, seconds are noise.
            return f"{count} {large} {below} {small}" if below and (part > 1 or count < 10) else f"{count} {large}"
    return f"{rest} s"


def latency(seconds: float | None) -> str:
    """A short time to three digits: `0.81 ms`, `12.3 ms`, `1.24 s`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        number, unit = seconds * 1000, "ms"
    else:
        number, unit = seconds, "s"
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:.{digits}f} {unit}"


def amount(count: float) -> str:
    """A count as people say it: `840`, `12.3 k`, `4.56 M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= size:
            number = count / (1e3 if unit == "k" else size)
            return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
    return f"{count:g}"


def number(value: float) -> str:
    """A number of any size: whole ones with their thousands apart, others to six digits."""
    if not math.isfinite(value) or value != int(value) or abs(value) >= 1e15:
        return f"{value:.6g}"
    return f"{value:,.0f}".replace(",", "\u202f")


def stamp(at: float | None) -> str | None:
    """Unix time as RFC 3339 in UTC with milliseconds; None for None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
