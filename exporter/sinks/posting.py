"""A batch posted to a receiver, and what its answer means."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from exporter.contracts import Refused
from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.protocols.answer import retry_after

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

#: Statuses of 4xx that may be another one later: credentials are mended, services come, load goes.
_PASSING = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})
#: Bytes of an answer that are read.
_ANSWER = 100_000


async def post(
    calls: "Callable[[], Calls]", to: Service, url: str, headers: dict[str, str], body: bytes, timeout: float
) -> bytes:
    """Send a batch; returns the body of a 2xx. Raises `Failure` for what may pass, and `Refused`."""
    answer = await calls().call(
        "POST", url, headers=headers, body=body, timeout=timeout, max_body=_ANSWER, tls=to.tls, proxy=to.proxy
    )
    status = answer.status
    if 200 <= status < 300:
        return answer.body
    if 400 <= status < 500 and status not in _PASSING:
        raise Refused(f"HTTP {status}")
    reason = Reason.AUTH if status in (401, 403) else Reason.REDIRECT if 300 <= status < 400 else Reason.HTTP_STATUS
    raise Failure(reason, f"HTTP {status}", http_status=status, retry_after=retry_after(answer.headers))
