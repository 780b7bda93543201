"""Ray Serve: applications behind its HTTP proxy.

Source: ray/serve/_private/proxy.py and http_util.py (2.x). Health and routes are the proxy's own, at the root of the
server whatever an application's prefix is; they say nothing of replicas. The url's path is the application's prefix.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from exporter.contracts import Exchange, Headers, Response
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import address, answer
from exporter.protocols.application import Application, Call, CallStream
from exporter.protocols.family import Plain
from exporter.protocols.reading import object_of
from exporter.protocols.text import quote
from exporter.settings import Settings

HEALTH, ROUTES = "/-/healthz", "/-/routes"

#: What a proxy says that takes no requests yet, or no more.
_WAITING = ("route table is not populated", "no replicas are available", "is being drained")


class RayServe(Application):
    """An application on Ray Serve."""

    name: ClassVar[str] = "ray_serve"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.INFER: Call,
        Kind.STREAM: CallStream,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY)

    def __init__(self, *, path: str, **given: Any) -> None:
        # An address of the proxy's own is no application's.
        super().__init__(path="" if path in (HEALTH, ROUTES) else path, **given)

    async def health(self, exchange: Exchange) -> Observation:
        """The proxy takes requests."""
        await self._ask_proxy(exchange, HEALTH)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The application's prefix has a route; without a path in the url, some application has one."""
        response = await self._ask_proxy(exchange, ROUTES)
        prefixes = list(await object_of(response.body))
        if not any(not self.base or _covers(prefix, self.base) for prefix in prefixes):
            listed = quote(", ".join(prefixes[:20]), 120) or "none"
            raise Failure(Reason.NOT_READY, f"no application at {self.base or '/'}; routes: {listed}", http_status=200)
        return Observation()

    def call_path(self) -> str:
        """Below the application's prefix."""
        if self.settings.path is None:
            return address.with_query(self.base or "/", self.query)
        return self.route(self.settings.path)

    def judge(self, status: int, headers: Headers, body: bytes, path: str) -> Failure | None:
        """The proxy's own words come first: what it says with 503, 429 and 404 is told apart."""
        failure = super().judge(status, headers, body, path)
        if failure is None:
            return None
        reason = _reason(status, body[: answer.LOOK].decode("utf-8", "replace").lower())
        if reason is None:
            return failure
        return Failure(reason, failure.detail, http_status=status, retry_after=failure.retry_after)

    async def _ask_proxy(self, exchange: Exchange, route: str) -> Response:
        path = address.with_query(route, self.query)
        response = await exchange.request("GET", path)
        failure = self.judge(response.status, response.headers, response.body, path)
        if failure is not None:
            raise failure
        return response


def _reason(status: int, said: str) -> Reason | None:
    match status:
        case 503 if "failed to deploy" in said:  # and names the deployment, which may be called anything
            return Reason.HTTP_STATUS
        case 503 if any(words in said for words in _WAITING):
            return Reason.NOT_READY
        case 429 | 503 if "backpressure" in said:
            return Reason.OVERLOADED
        case 404 if said.startswith("path '") and "/-/routes" in said:
            return Reason.MODEL_NOT_FOUND
    return None


def _covers(prefix: str, path: str) -> bool:
    """Whether requests to a path go to the application at a prefix."""
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")
