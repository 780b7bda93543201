"""Whether a failed attempt is worth another one within its run, and after how long. Pure."""

from collections.abc import Callable

from exporter.model.failure import Evidence, Failure
from exporter.model.job import Retry

#: Asking again cannot help these, or would add to the load they complain of.
_FINAL = frozenset({Evidence.REFUSED, Evidence.WRONG, Evidence.BUSY})


def wait_before_next(
    failure: Failure, retry: Retry, made: int, left: float, timeout: float, random: Callable[[], float]
) -> float | None:
    """Seconds to wait before attempt `made + 1`, or None when there is none.

    `left` is what remains of the run, in seconds: a new attempt starts only if a whole `timeout` fits after the wait.
    The wait is exponential with full jitter. A Retry-After is waited for where the failure is retried anyway, and,
    where it is final, earns the one further attempt of its run.
    """
    if made >= retry.attempts:
        return None
    asked = failure.retry_after
    if failure.row.evidence in _FINAL:
        if asked is None or made > 1:
            return None
        wait = asked
    elif _retried(failure, retry):
        wait = max(random() * min(retry.max_backoff, retry.backoff * 2.0 ** (made - 1)), asked or 0.0)
    else:
        return None
    return wait if wait + timeout <= left else None


def _retried(failure: Failure, retry: Retry) -> bool:
    if retry.on is None:
        return failure.row.retried
    return failure.reason in retry.on or failure.http_status in retry.on
