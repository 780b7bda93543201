"""A Kubernetes API as far as lists and watches go, from "Kubernetes API Concepts": pages with `continue`, label
selectors, versions, bookmarks, `410 Gone` for what is too old, `Status` objects for errors, and rights by verb.
"""

import asyncio
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer

TOKEN = "cluster-token"
_KINDS = {
    "services": "/api/v1", "pods": "/api/v1", "endpointslices": "/apis/discovery.k8s.io/v1",
    "inferenceservices": "/apis/serving.kserve.io/v1beta1",
}  # fmt: skip


class Cluster(FakeServer):
    """`forbidden` holds (verb, plural) or (verb, "namespace/plural") that the account may not; `missing` are plurals
    that nobody installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = 100
        self.forbidden: set[tuple[str, str]] = set()
        self.missing: set[str] = set()
        #: Opening a watch from before it, or going on with a list, is 410.
        self.compacted = 0
        #: Whether that is said by the status of the answer, and not by an event.
        self.gone_at_once = False
        self.page = 2
        #: Called before each further page of a list.
        self.between: Callable[[], None] = lambda: None
        self.watching = 0
        self._objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._history: list[tuple[int, str, str, dict[str, Any]]] = []
        self._changed = asyncio.Event()
        self._cuts = 0
        self._ends = 0

    def put(self, plural: str, found: dict[str, Any]) -> None:
        """Make or change an object."""
        found = deepcopy(found)
        metadata = found["metadata"]
        key = (plural, metadata["namespace"], metadata["name"])
        self._event("MODIFIED" if key in self._objects else "ADDED", key, found)
        self._objects[key] = found

    def delete(self, plural: str, namespace: str, name: str) -> None:
        """Delete one."""
        key = (plural, namespace, name)
        self._event("DELETED", key, self._objects.pop(key))

    def forget(self, *plurals: str) -> None:
        """Delete all without an event, as what happens while nobody can see it; what was is too old then."""
        for key in [key for key in self._objects if key[0] in plurals]:
            del self._objects[key]
        self.version += 1
        self.compacted = self.version

    def bookmark(self, plural: str) -> None:
        """Tell the version to who watches."""
        self.version += 1
        self._history.append((self.version, plural, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}}))
        self._wake()

    def cut(self) -> None:
        """Break every watch in the middle, before what was not told yet."""
        self._cuts += 1
        self._wake()

    def end(self) -> None:
        """End every watch in order, as after its time."""
        self._ends += 1
        self._wake()

    def kubeconfig(self, folder: Path, token: str = TOKEN) -> str:
        """How to reach it."""
        path = folder / "kubeconfig"
        path.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
            "contexts: [{name: here, context: {cluster: c, user: u, namespace: models}}]\n"
            f"clusters: [{{name: c, cluster: {{server: '{self.url}'}}}}]\n"
            f"users: [{{name: u, user: {{token: {token}}}}}]\n"
        )
        return str(path)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"{group}{namespace}/{plural}", self._read)
            for plural, group in _KINDS.items() for namespace in ("", "/namespaces/{namespace}")
        ]  # fmt: skip

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        return await super().answer(request, handler)

    def _event(self, kind: str, key: tuple[str, str, str], found: dict[str, Any]) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        before = self._objects.get(key, found)
        self._history.append((self.version, key[0], kind, {"now": deepcopy(found), "before": before}))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _read(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rpartition("/")[2]
        verb = "watch" if request.query.get("watch") == "true" else "list"
        if plural in self.missing:
            return _status(404, "NotFound", "the server could not find the requested resource")
        place = f"{request.match_info.get('namespace', '')}/{plural}"
        if (verb, plural) in self.forbidden or (verb, place) in self.forbidden:
            who = "system:serviceaccount:models:exporter"
            message = f'{plural} is forbidden: User "{who}" cannot {verb} resource "{plural}" in API group ""'
            return _status(403, "Forbidden", message)
        return await (self._watch if verb == "watch" else self._list)(request, plural)

    def _fits(self, request: web.Request, found: dict[str, Any]) -> bool:
        metadata = found["metadata"]
        namespace = request.match_info.get("namespace")
        labels = metadata.get("labels") or {}
        for term in filter(None, request.query.get("labelSelector", "").split(",")):
            name, equals, value = term.partition("=")
            if name not in labels or (equals and labels[name] != value):
                return False
        for term in filter(None, request.query.get("fieldSelector", "").split(",")):
            if found.get("status", {}).get("phase") == term.removeprefix("status.phase!="):
                return False
        return namespace is None or metadata["namespace"] == namespace

    async def _list(self, request: web.Request, plural: str) -> web.StreamResponse:
        if "continue" in request.query:
            self.between()
        start, _, version = request.query.get("continue", f"0:{self.version}").partition(":")
        if int(version) < self.compacted:
            return _status(410, "Expired", "The provided continue parameter is too old")
        size = min(self.page, int(request.query.get("limit", "500")))
        items = [found for key, found in sorted(self._objects.items()) if key[0] == plural]
        items = [found for found in items if self._fits(request, found)]
        metadata = {"resourceVersion": version}
        if len(items) > int(start) + size:
            metadata["continue"] = f"{int(start) + size}:{version}"
        return web.json_response({"metadata": metadata, "items": items[int(start) : int(start) + size]})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        sent = int(request.query["resourceVersion"])
        if sent < self.compacted and self.gone_at_once:
            return _status(410, "Expired", "too old resource version")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if sent < self.compacted:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return response
        cuts, ends = self._cuts, self._ends
        self.watching += 1
        try:
            while True:
                changed = self._changed
                if self._cuts != cuts:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                for version, of, kind, found in self._history:
                    if version > sent and of == plural:
                        sent = version
                        if (event := self._seen(request, kind, found)) is not None:
                            await response.write(json.dumps(event).encode() + b"\n")
                if self._ends != ends or self._leaving.is_set():
                    return response
                await changed.wait()
        finally:
            self.watching -= 1

    def _seen(self, request: web.Request, kind: str, found: dict[str, Any]) -> dict[str, Any] | None:
        """An event as one watch sees it: what no longer fits is deleted to it."""
        if kind == "BOOKMARK":
            return {"type": kind, "object": found}
        before, now = self._fits(request, found["before"]), self._fits(request, found["now"])
        if kind == "DELETED" or not now:
            return {"type": "DELETED", "object": found["now"]} if before else None
        return {"type": kind if before else "ADDED", "object": found["now"]}

    async def __aexit__(self, *error: Any) -> None:
        self._leaving.set()
        self._wake()
        await super().__aexit__(*error)


def pod(name: str, namespace: str = "models", *, ip: str = "10.1.0.1", **more: Any) -> dict[str, Any]:
    """A Pod with one container and one port, annotated to be watched."""
    annotations = {"model-exporter/probe": "true", **more.pop("annotations", {})}
    container = {"name": "server", "image": "vllm:1", "ports": [{"name": "http", "containerPort": 8000}]}
    return {
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": more.pop("labels", {}), "annotations": annotations, **more.pop("metadata", {}),
        },
        "spec": {"nodeName": "n1", "containers": more.pop("containers", [container])},
        "status": {
            "phase": "Running", "podIP": ip, "hostIP": "192.168.0.1",
            "conditions": [{"type": "Ready", "status": "True"}], **more,
        },
    }  # fmt: skip


def service(name: str, namespace: str = "models", **more: Any) -> dict[str, Any]:
    """A Service with one port, annotated to be watched."""
    annotations = {"model-exporter/probe": "true", **more.pop("annotations", {})}
    spec = {"type": "ClusterIP", "clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}], **more}
    labels = spec.pop("labels", {})
    metadata = {
        "name": name, "namespace": namespace, "labels": labels, "annotations": annotations,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {"metadata": metadata, "spec": spec}


def endpoints(of: str, *addresses: str, namespace: str = "models", ready: bool = True, **more: Any) -> dict[str, Any]:
    """A slice of a Service with these addresses."""
    listed = [
        {
            "addresses": [address], "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "targetRef": {"kind": "Pod", "name": f"{of}-{index}"}, "nodeName": "n1",
        }
        for index, address in enumerate(addresses)
    ]  # fmt: skip
    return {
        "metadata": {
            "name": f"{of}-abc", "namespace": namespace, "labels": {"kubernetes.io/service-name": of},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "addressType": "IPv4", "endpoints": listed or None, "ports": [{"name": "http", "port": 8000}], **more,
    }  # fmt: skip


def inference(name: str, namespace: str = "models", **predictor: Any) -> dict[str, Any]:
    """An InferenceService that is ready."""
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"predictor": {"model": {"protocolVersion": "v2"}, **predictor}},
        "status": {
            "address": {"url": f"http://{name}-predictor.{namespace}.svc.cluster.local/v1/models/{name}:predict"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def predictor(of: str, name: str, *, ip: str = "10.1.0.1", **more: Any) -> dict[str, Any]:
    """A Pod that serves an InferenceService, behind Knative's proxy."""
    labels = {"serving.kserve.io/inferenceservice": of, "component": "predictor", **more.pop("labels", {})}
    containers = [
        {"name": "kserve-container", "ports": [{"name": "user-port", "containerPort": 8080}]},
        {"name": "queue-proxy", "ports": [{"name": "queue-port", "containerPort": 8012}]},
    ]
    return pod(name, ip=ip, labels=labels, containers=containers, **more)


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return web.json_response({**body, "code": code}, status=code)
