"""Reading from a Kubernetes API server: lists in pages, and watches.

Source: kubernetes.io, "Kubernetes API Concepts" (chunked lists, watches, bookmarks, `410 Gone`). Nothing is written.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.protocols.text import quote
from exporter.transport import auth
from exporter.transport.kubernetes import Cluster, find

if TYPE_CHECKING:
    from exporter.transport.calls import Calls, Flow

#: Seconds for an answer; bytes one page or event may have; objects of one page.
PATIENCE = 30.0
MAX_BYTES = 32_000_000
PAGE = 100
#: Bytes that are parsed on the loop: more would stall it.
_SMALL = 65_536


class Gone(Exception):
    """What a watch should go on from is too long ago: all has to be listed anew."""


class Api:
    """One cluster, as the account of a kubeconfig or of the own pod sees it. Everything raises `Failure`."""

    def __init__(self, calls: "Calls", kubeconfig: str | None = None, context: str | None = None) -> None:
        self._calls = calls
        self._access = kubeconfig, context
        self._cluster: Cluster | None = None

    async def namespace(self) -> str:
        """The one that is meant where none is named."""
        return (await self._found()).namespace

    async def list(self, path: str, query: Mapping[str, str]) -> tuple[list[dict[str, Any]], str]:
        """All objects of a collection, and the version of it that a watch goes on from. Raises `Gone` when the list
        became too old between two of its pages.
        """
        objects: list[dict[str, Any]] = []
        go_on = ""
        while True:
            asked = {**query, "limit": str(PAGE), **({"continue": go_on} if go_on else {})}
            answer = await self._ask(f"{path}?{urlencode(asked)}")
            items, metadata = answer.get("items"), answer.get("metadata")
            if not isinstance(items, list | None) or not isinstance(metadata, dict):
                raise Failure(Reason.MALFORMED, "the answer is no list of Kubernetes'")
            objects += (each for each in items or () if isinstance(each, dict))
            go_on = metadata.get("continue") or ""
            if not go_on:
                return objects, str(metadata.get("resourceVersion") or "")

    async def watch(
        self, path: str, query: Mapping[str, str], version: str, seconds: int
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """What happens to the objects of a collection after `version`: type and object of each event, at first
        ("OPEN", {}) once the server has agreed. The server ends it after `seconds`. Raises `Gone`.
        """
        asked = {
            **query, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }  # fmt: skip
        service = await self._service()
        headers = await asyncio.to_thread(auth.headers_of, service)
        url = f"{service.url}{path}?{urlencode(asked)}"
        opened = self._calls.stream(
            url, headers=headers, timeout=PATIENCE, patience=PATIENCE, tls=service.tls, proxy=service.proxy
        )
        async with opened as flow:
            if flow.status == 410:
                raise Gone
            if flow.status != 200:
                raise self._refused(service, flow.status, await _beginning(flow))
            yield "OPEN", {}
            async for line in _lines(flow):
                yield _event(await _parsed(line))

    async def _ask(self, path: str) -> dict[str, Any]:
        service = await self._service()
        headers = {"Accept": "application/json", **await asyncio.to_thread(auth.headers_of, service)}
        called = await self._calls.call(
            "GET", f"{service.url}{path}", headers=headers, timeout=PATIENCE, max_body=MAX_BYTES, tls=service.tls,
            proxy=service.proxy,
        )  # fmt: skip
        if called.status == 410:
            raise Gone
        if called.status != 200:
            raise self._refused(service, called.status, called.body)
        return await _parsed(called.body)

    async def _found(self) -> Cluster:
        if self._cluster is None:
            self._cluster = await find(*self._access)
        return self._cluster

    async def _service(self) -> Service:
        return (await self._found()).service

    def _refused(self, service: Service, status: int, body: bytes) -> Failure:
        """Why, in the words of the server's `Status` object, without what it was sent."""
        if status == 401:
            self._cluster = None  # its token may be a new one
        try:
            said = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError, RecursionError):
            said = ""
        text = auth.redact(quote(str(said)), auth.values_of(service.auth) if service.auth is not None else ())
        return Failure(
            Reason.HTTP_STATUS, f"the server answers {status}{f': {text}' if text else ''}", http_status=status
        )


async def _beginning(flow: "Flow") -> bytes:
    data = b""
    async for piece in flow.pieces():
        data += piece
        if len(data) > _SMALL:
            break
    return data


async def _lines(flow: "Flow") -> AsyncGenerator[bytes, None]:
    parts: list[bytes] = []
    size = 0
    async for piece in flow.pieces():
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join((*parts, line))
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > MAX_BYTES:
            raise Failure(Reason.TOO_LARGE, f"an event is longer than {MAX_BYTES} bytes")


async def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data) if len(data) <= _SMALL else await asyncio.to_thread(json.loads, data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Failure(Reason.MALFORMED, "the answer is no JSON object")
    return found


def _event(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kind, changed = event.get("type"), event.get("object")
    if not isinstance(kind, str) or not isinstance(changed, dict):
        raise Failure(Reason.MALFORMED, "the answer is no watch of Kubernetes'")
    if kind == "ERROR":
        # Nearly always 410; whatever else it is, this watch cannot go on.
        raise Gone
    return kind, changed
