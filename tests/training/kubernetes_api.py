"""The part of a Kubernetes API server that tells of pods and their logs, from the API's specification.

Pods as `GET /api/v1/namespaces/{namespace}/pods[/{name}]`, with `labelSelector` (equality alone); the log of a
container as `GET .../{name}/log` with `container`, `follow`, `timestamps`, `sinceTime` (to the second, that second
included), errors as `Status` objects. A log request for a container that waits is refused (400 BadRequest), as the
kubelet does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

TOKEN = "t0ken"


@dataclass
class Pod:
    """A pod with one container that matters. `lines` are (time, text); `state` as in containerStatuses."""

    name: str
    made: str = "2026-01-02T03:04:05Z"
    labels: dict[str, str] = field(default_factory=dict)
    containers: tuple[str, ...] = ("main",)
    default: str = ""
    uid: str = "u-1"
    restarts: int = 0
    state: dict[str, Any] = field(default_factory=lambda: {"running": {"startedAt": "2026-01-02T03:04:06Z"}})
    last_state: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    scheduled: bool = True

    def object(self) -> dict[str, Any]:
        """As JSON."""
        notes = {"kubectl.kubernetes.io/default-container": self.default} if self.default else None
        status: dict[str, Any] = {"phase": "Pending"}
        if self.scheduled:
            status["containerStatuses"] = [
                {"name": name, "restartCount": self.restarts, "state": self.state, "lastState": self.last_state}
                for name in self.containers
            ]
        metadata: dict[str, Any] = {
            "name": self.name, "uid": self.uid, "creationTimestamp": self.made, "labels": self.labels,
        }  # fmt: skip
        if notes:
            metadata["annotations"] = notes
        spec = {"containers": [{"name": name} for name in self.containers]}
        return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status}


class Api:
    """The server. `cut` ends every log that is being followed, as a rotation or a restart of the kubelet does."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.asked: list[dict[str, str]] = []
        self.url = ""
        self.refusing = 0
        self._changed = asyncio.Event()
        self._cuts = 0

    def add(self, pod: Pod) -> Pod:
        """A pod more."""
        self.pods[pod.name] = pod
        return pod

    def say(self, pod: Pod, *lines: tuple[str, str]) -> None:
        """Print lines, each with the part of its time behind the minute."""
        pod.lines += [(f"2026-01-02T03:04:{at}", text) for at, text in lines]
        self._wake()

    def cut(self) -> None:
        """End the logs under way."""
        self._cuts += 1
        self._wake()

    def terminate(self, pod: Pod, status: int) -> None:
        """End the container for good."""
        pod.state = {"terminated": {"exitCode": status, "reason": "Completed" if status == 0 else "Error"}}
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def list(self, request: web.Request) -> web.Response:
        key, _, value = request.query.get("labelSelector", "").partition("=")
        found = [pod.object() for pod in self.pods.values() if pod.labels.get(key) == value]
        if request.headers.get("Accept", "").startswith("application/json;as=PartialObjectMetadataList;g=meta.k8s.io"):
            items = [{"metadata": pod["metadata"]} for pod in found]
            return web.json_response(
                {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": items}
            )
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "items": found})

    async def get(self, request: web.Request) -> web.Response:
        pod = self.pods.get(request.match_info["pod"])
        if pod is None:
            return _status(404, "NotFound", f'pods "{request.match_info["pod"]}" not found')
        return web.json_response(pod.object())

    async def log(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        pod = self.pods[request.match_info["pod"]]
        if request.query.get("container") not in pod.containers:
            return _status(400, "BadRequest", "container is not valid for pod")
        if "waiting" in pod.state and not pod.restarts:
            return _status(400, "BadRequest", "container is waiting to start: ContainerCreating")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        since = request.query.get("sinceTime")
        moment = datetime.fromisoformat(since).timestamp() if since else 0.0
        cuts, sent, uid, restarts = self._cuts, 0, pod.uid, pod.restarts
        while True:
            changed = self._changed
            for at, text in pod.lines[sent:]:
                if datetime.fromisoformat(_micro(at)).timestamp() >= moment:
                    await response.write(f"{at} {text}\n".encode())
            sent = len(pod.lines)
            over = "terminated" in pod.state or (pod.uid, pod.restarts) != (uid, restarts)
            if request.query.get("follow") != "true" or over or self._cuts != cuts:
                return response
            await changed.wait()

    @web.middleware
    async def admit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.refusing or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refusing = max(0, self.refusing - 1)
            return _status(401, "Unauthorized", "Unauthorized")
        found: web.StreamResponse = await handler(request)
        return found


def _micro(at: str) -> str:
    """datetime knows no nanoseconds."""
    whole, _, fraction = at.removesuffix("Z").partition(".")
    return f"{whole}.{fraction[:6].ljust(6, '0')}+00:00"


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return web.json_response({**body, "code": code}, status=code)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[tuple[Api, str]]:
    """A running API server, and a kubeconfig with its address and a token."""
    api = Api()
    app = web.Application(middlewares=[api.admit])
    base = "/api/v1/namespaces/jobs/pods"
    app.add_routes([web.get(base, api.list), web.get(base + "/{pod}", api.get), web.get(base + "/{pod}/log", api.log)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    path = folder / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
        "contexts: [{name: here, context: {cluster: c, user: u, namespace: jobs}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}]\n"
        f"users: [{{name: u, user: {{token: {TOKEN}}}}}]\n"
    )
    try:
        yield api, str(path)
    finally:
        api.cut()
        await runner.cleanup()
