"""Target groups that a server gives, as Prometheus's `http_sd_configs`: JSON, asked for again and again.

Source: prometheus.io/docs, "Writing HTTP service discovery".
"""

import asyncio
import json
from typing import TYPE_CHECKING

from exporter.discovery.groups import Malformed, entries
from exporter.discovery.listing import Part
from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.transport import auth

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

#: Bytes of one answer.
MAX_BODY = 32_000_000


async def read(calls: "Calls", service: Service, *, interval: float, timeout: float) -> list[Part]:
    """The one list a server gives. Raises `Failure`."""
    own = await asyncio.to_thread(auth.headers_of, service)
    answer = await calls.call(
        "GET",
        service.url,
        headers={"Accept": "application/json", "X-Prometheus-Refresh-Interval-Seconds": f"{interval:g}", **own},
        timeout=timeout,
        max_body=MAX_BODY,
        tls=service.tls,
        proxy=service.proxy,
    )
    if answer.status != 200:
        raise Failure(Reason.HTTP_STATUS, f"HTTP {answer.status}", http_status=answer.status)
    kind = answer.headers.get("content-type").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Failure(Reason.MALFORMED, f"the answer is {kind[:60] or 'of no type'}; allowed: application/json")
    return [await asyncio.to_thread(_part, service.shown, answer.body)]


def _part(name: str, body: bytes) -> Part:
    """Raises `Failure`."""
    try:
        return Part(name, entries(json.loads(body), {"__meta_url": name}))
    except Malformed as error:
        raise Failure(Reason.MALFORMED, str(error)) from None
    except (ValueError, RecursionError) as error:
        raise Failure(Reason.MALFORMED, f"not JSON: {str(error)[:200]}") from None
