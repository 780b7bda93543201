"""What a run is charged to a budget, by the server's own account or as much as it may have been. Pure."""

from collections.abc import Iterator

from exporter.model.cost import NOTHING, Cost
from exporter.model.failure import Reason
from exporter.model.result import Result
from exporter.model.stream import Outcome, Tokens

#: No request was sent, so no model saw one.
_UNSENT = frozenset(
    {
        Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT, Reason.TLS, Reason.TLS_EXPIRED,
        Reason.TLS_UNTRUSTED, Reason.TLS_HOSTNAME,
    }
)  # fmt: skip
#: The server refused to begin.
_REFUSED = frozenset(
    {Reason.REDIRECT, Reason.AUTH, Reason.MODEL_NOT_FOUND, Reason.RATE_LIMITED, Reason.OVERLOADED, Reason.NOT_READY}
)
#: Ends of streams that we cut: the server may go on writing for a while.
_CUT = frozenset({Outcome.STOPPED, Outcome.STALLED, Outcome.TIMEOUT})


def used(result: Result) -> Cost:
    """What a finished run used."""
    total = NOTHING
    for each in _attempts(result):
        total += each
    return total


def _attempts(result: Result) -> Iterator[Cost]:
    if result.skipped:
        return
    cost = result.job.cost
    last = result.reason
    for reason in result.failures[: len(result.failures) - (last is not None)]:
        yield _failed(reason, None, cost)
    stream, tokens = result.observation.stream, result.observation.tokens
    if stream is None and tokens is None and last is not None:
        yield _failed(last, result.measurement.http_status, cost)
    else:
        told = None if tokens is None else Cost(_sum(tokens), cost.requests)
        cut = stream is not None and stream.outcome in _CUT
        yield cost if told is None else told.most(cost) if cut else told


def _failed(reason: Reason, http_status: int | None, cost: Cost) -> Cost:
    """Of an attempt that failed and told no usage."""
    if reason in _UNSENT:
        return NOTHING
    client_error = reason is Reason.HTTP_STATUS and http_status is not None and 400 <= http_status < 500
    if reason in _REFUSED or (client_error and http_status != 408):
        return Cost(0, cost.requests)
    return cost


def _sum(tokens: Tokens) -> int:
    return tokens.input + tokens.output + tokens.reasoning + tokens.cached
