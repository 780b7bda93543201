"""The application: routes, what holds for every answer, and the small handlers."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter import log
from exporter.ledger import Replicas, TargetRecord
from exporter.model.state import State
from exporter.transport.thread import imported
from exporter.web import replicas, words
from exporter.web.answers import JSON, OTHER_ORIGIN, problem
from exporter.web.api import Api
from exporter.web.doors import Doors
from exporter.web.events import Events
from exporter.web.gate import GateDoor
from exporter.web.headers import METHODS, harden, same_origin
from exporter.web.maintenance import Announcements
from exporter.web.on_demand import OnDemandProbe
from exporter.web.page import Pages
from exporter.web.probe_now import ProbeNow
from exporter.web.scrape import Scrapes

logger = logging.getLogger(__name__)

#: Bytes of a request body that are read at most, be it to be ignored; no route wants more.
MAX_BODY = 64 * 1024
#: What is served under /static, with its type. Nothing else is read from disk for a request.
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


def make_app(
    doors: Doors,
    *,
    route_prefix: str = "",
    external_url: str = "",
    headers: Callable[[], Mapping[str, str]] = dict,
) -> web.Application:
    """The whole HTTP side as an application; run it on `connection.Runner`.

    `route_prefix` goes before every path (`/exporter`); `external_url` is where browsers see the exporter when a
    proxy stands before it. All links are relative, so either works with a proxy that strips the prefix or keeps it.
    `headers`, asked for each answer, replace those that every answer carries.
    """
    prefix = "/" + route_prefix.strip("/") if route_prefix.strip("/") else ""
    probe, pages, api = OnDemandProbe(doors), Pages(doors), Api(doors)
    small, announcements, gate = _Handlers(doors, external_url), Announcements(doors, external_url), GateDoor(doors)
    now = ProbeNow(doors, external_url)
    app = web.Application(middlewares=[_guard(doors)], handler_args={"access_log": None})
    app.on_response_prepare.append(_hardening(headers))
    app.router.add_get(f"{prefix}/", pages.status)
    app.router.add_get(f"{prefix}/target", pages.target)
    app.router.add_post(f"{prefix}/target", now.form)
    app.router.add_get(f"{prefix}/training", pages.training)
    app.router.add_get(f"{prefix}/evaluations", pages.evaluations)
    app.router.add_get(f"{prefix}/openapi.json", small.described)
    app.router.add_get(f"{prefix}/metrics", Scrapes(doors.exposition).get)
    app.router.add_get(f"{prefix}/probe", probe.get)
    app.router.add_get(f"{prefix}/config", small.config)
    app.router.add_get(f"{prefix}/-/healthy", small.healthy)
    app.router.add_get(f"{prefix}/-/ready", small.ready)
    app.router.add_post(f"{prefix}/-/reload", small.reload)
    app.router.add_get(f"{prefix}/ready/{{target:.+}}", small.target_ready)
    app.router.add_get(f"{prefix}/api/v1/targets", api.targets)
    app.router.add_get(f"{prefix}/api/v1/targets/{{target:.+}}", api.target)
    app.router.add_post(f"{prefix}/api/v1/targets/{{target:.+}}/probe", now.post)
    app.router.add_get(f"{prefix}/api/v1/events", doors.events.get)
    app.router.add_get(f"{prefix}/api/v1/gate", gate.get)
    app.router.add_post(f"{prefix}/api/v1/gate", gate.get)
    app.router.add_get(f"{prefix}/api/v1/maintenance", announcements.get)
    app.router.add_post(f"{prefix}/api/v1/maintenance", announcements.announce)
    app.router.add_delete(f"{prefix}/api/v1/maintenance/{{id}}", announcements.withdraw)
    for name, content_type in STATIC.items():
        app.router.add_get(f"{prefix}/static/{name}", _static(name, content_type))
    app.on_shutdown.append(_ending(doors.events))
    if prefix:
        app.router.add_get(prefix, _into(prefix.rpartition("/")[2] + "/"))
    return app


class _Handlers:
    """The answers that are a line or two."""

    def __init__(self, doors: Doors, external_url: str) -> None:
        self._doors = doors
        self._external_url = external_url
        self._dumping: asyncio.Future[str] | None = None

    async def described(self, request: web.Request) -> web.Response:
        """The description of all of this for programs, which is loaded when one asks."""
        openapi = await imported("exporter.web.openapi")
        return web.Response(text=await asyncio.to_thread(openapi.written), headers=JSON)

    async def healthy(self, request: web.Request) -> web.Response:
        """Liveness of the exporter itself, whatever its targets do."""
        told = self._doors.ailments()
        if not told:
            return web.Response(text="healthy\n")
        return web.Response(status=503, text=f"not healthy: {'; '.join(told)}\n")

    async def ready(self, request: web.Request) -> web.Response:
        """Readiness of the exporter itself."""
        if self._doors.ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: the config is not loaded or probes are not scheduled\n")

    async def reload(self, request: web.Request) -> web.Response:
        """Read the config again, now."""
        if not same_origin(request, self._external_url):
            return web.Response(status=403, text=f"{OTHER_ORIGIN}\n")
        problems = await self._doors.reload()
        if problems:
            listed = "".join(f"{problem}\n" for problem in problems)
            return web.Response(status=500, text=f"not reloaded, the config in force stays:\n{listed}")
        return web.Response(text="reloaded\n")

    async def config(self, request: web.Request) -> web.Response:
        """The config in force, secrets hidden."""
        if self._dumping is None:
            # A big config takes a while to write down: beside the loop, and once for all who ask meanwhile.
            self._dumping = asyncio.ensure_future(asyncio.to_thread(self._doors.config))
            self._dumping.add_done_callback(self._dumped)
        return web.Response(text=await asyncio.shield(self._dumping))

    def _dumped(self, task: "asyncio.Future[str]") -> None:
        self._dumping = None
        if not task.cancelled():
            task.exception()  # raised to those who wait; nobody may be left to

    async def target_ready(self, request: web.Request) -> web.Response:
        """Readiness of one model, as a kubelet or a load balancer wants it."""
        ledger, name, strict = self._doors.ledger, request.match_info["target"], _flag(request, "strict")
        as_json = "application/json" in request.headers.get(hdrs.ACCEPT, "")
        record = ledger.targets.get(name)
        if record is None:
            group = ledger.groups.get(name)
            return (
                web.Response(status=404, text="no such target\n")
                if group is None
                else _any_ready(group, strict=strict, as_json=as_json)
            )
        status = 200 if takes_traffic(record.state, strict=strict) else 503
        if as_json:
            return web.Response(status=status, text=_readiness(record, status), content_type="application/json")
        verdict = record.verdict
        why = f": {words.REASONS[verdict.reason]}" if verdict.reason else ""
        return web.Response(status=status, text=f"{verdict.state}{why}\n")


def takes_traffic(state: State, *, strict: bool) -> bool:
    """Whether requests should be sent to a model in this state.

    A saturated replica keeps its place: without it the next one gets its load. An unhealthy one keeps it unless
    `strict`: a wrong answer or a refused key is likely the same on every replica.
    """
    return state in (State.HEALTHY, State.SATURATED) or (state is State.UNHEALTHY and not strict)


def _any_ready(group: Replicas, *, strict: bool, as_json: bool) -> web.Response:
    """Of a target that is several servers: ready while one of them is, for requests go to those that are."""
    states = group.states()
    ready = sum(number for state, number in states.items() if takes_traffic(state, strict=strict))
    status = 200 if ready else 503
    if as_json:
        shown = {"target": group.name, "ready": ready > 0, "replicas": states.total(), "replicas_ready": ready}
        text = json.dumps(shown | {"states": dict(states)})
        return web.Response(status=status, text=text, content_type="application/json")
    words = f"{ready} of {states.total()} replicas ready: {replicas.counted(states)}\n"
    return web.Response(status=status, text=words)


def _readiness(record: TargetRecord, status: int) -> str:
    verdict = record.verdict
    return json.dumps(
        {
            "target": record.target.name,
            "ready": status == 200,
            "state": verdict.state,
            "reason": verdict.reason,
            "detail": verdict.detail,
            "since": words.stamp(record.since),
        }
    )


def _flag(request: web.Request, name: str) -> bool:
    return name in request.query and request.query[name].lower() not in ("0", "false", "no", "off")


def _guard(doors: Doors) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.can_read_body:
            if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
                return _refuse(request, 415, "no encoded body is read here\n")
            length = request.content_length
            if length is None or length > MAX_BODY:
                return _refuse(
                    request, 413, f"no body over {MAX_BODY} bytes, and none of unknown length, is read here\n"
                )
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status == 404 and request.method not in METHODS:
                raise web.HTTPMethodNotAllowed(request.method, METHODS) from None
            if not _of_api(request) or error.status < 400:
                raise
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return problem(error.status, _NOT_SERVED.get(error.status, error.reason.lower()), allowed)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            doors.ledger.own.internal_errors["web"] += 1
            logger.exception("request failed", extra={"fields": {"path": request.path[:200]}})
            return _said(request, 500, "internal error; the exporter's log has the details\n")

    return guard


_NOT_SERVED = {404: "there is nothing at this path; /openapi.json lists what there is", 405: "method not allowed"}


def _ending(events: Events) -> Callable[[web.Application], Awaitable[None]]:
    async def end(_: web.Application) -> None:
        events.close()

    return end


def _refuse(request: web.Request, status: int, text: str) -> web.Response:
    response = _said(request, status, text)
    response.force_close()
    return response


def _said(request: web.Request, status: int, text: str) -> web.Response:
    return problem(status, text.rstrip()) if _of_api(request) else web.Response(status=status, text=text)


def _of_api(request: web.Request) -> bool:
    return "/api/" in request.path


def _hardening(headers: Callable[[], Mapping[str, str]]) -> Callable[..., Awaitable[None]]:
    async def hardened(request: web.Request, response: web.StreamResponse) -> None:
        harden(response, headers())
        log.event(logger, logging.DEBUG, "request", method=request.method, path=request.path, status=response.status)

    return hardened


def _static(name: str, content_type: str) -> Handler:
    body = (resources.files("exporter.web.page") / "static" / name).read_bytes()

    async def get(request: web.Request) -> web.Response:
        headers = {"Cache-Control": "public, max-age=3600"}
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

    return get


def _into(relative: str) -> Handler:
    async def get(request: web.Request) -> web.StreamResponse:
        raise web.HTTPPermanentRedirect(relative)

    return get
