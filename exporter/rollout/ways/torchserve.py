"""TorchServe's management API: register an archive, give it workers, make it the version that requests get by default.

Source: pytorch/serve, docs/management_api.md and docs/token_authorization_api.md. Versions stand side by side; which
one an archive holds is written in it, so a deployment has to say what it expects.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from exporter.model.deployment import Archives
from exporter.model.failure import Failure, Reason
from exporter.protocols import answer
from exporter.protocols.address import segment
from exporter.rollout.caller import Caller
from exporter.rollout.ways import Cannot, Seen, Step, Wanted


class TorchServe:
    """A model's versions on one server. `caller` is that of the management port."""

    tells_version = True

    def __init__(self, caller: Caller, wanted: Wanted, archives: Archives | None) -> None:
        self.caller = caller
        self.model = wanted.model
        self.version = wanted.version
        self.archives = archives
        self.workers = 1 if archives is None else archives.workers

    async def look(self) -> Seen:
        """`versions`, each with its `min` of workers and how many are `ready`; `default`, the one requests get."""
        versions = {
            str(entry.get("modelVersion")): {"min": entry.get("minWorkers"), "ready": _ready(entry)}
            for entry in await self._entries("/all")
        }
        default = [str(entry.get("modelVersion")) for entry in await self._entries("")] if versions else []
        return {"versions": versions, "default": default[0] if default else None}

    def plan(self, seen: Seen) -> Sequence[Step]:
        """Register where it is not, workers where they are too few, default where it is not."""
        if not self.version:
            raise Cannot(
                f"TorchServe at {self.caller.shown} keeps versions side by side: say --version, the one in the archive"
            )
        steps = []
        there = seen["versions"].get(self.version)
        if there is None:
            steps.append(self._register())
        if there is None or (there["min"] or 0) < self.workers or there["ready"] < self.workers:
            steps.append(self._scale(self.version, self.workers))
        if seen["default"] not in (None, self.version):
            steps.append(self._set_default(self.version))
        return steps

    async def check(self) -> str:
        """Its workers take requests, and unversioned requests get it."""
        seen = await self.look()
        there = seen["versions"].get(self.version)
        if there is None:
            has = ", ".join(seen["versions"]) or "none"
            return f"version {self.version} is not registered, of {self.model} {has}: is that the archive's version?"
        if there["ready"] < self.workers:
            return f"{there['ready']} of {self.workers} workers of version {self.version} are ready"
        return "" if seen["default"] == self.version else f"requests still get version {seen['default']}"

    def back(self, before: Seen, now: Seen, made: Sequence[str]) -> Sequence[Step]:
        """The default first: the version that is the default cannot be unregistered beside others."""
        steps = []
        old, new = before["versions"], now["versions"]
        if now["default"] != before["default"] and before["default"] in new:
            steps.append(self._set_default(before["default"]))
        if "register" in made:
            added = [version for version in new if version not in old]
            # An archive may have held another version than it was said to.
            gone = [self.version] if self.version in added else added if len(added) == 1 else []
            steps += [self._step("unregister", "DELETE", f"{self._route}/{segment(version)}") for version in gone]
        elif "scale" in made and self.version in new and self.version in old:
            was = old[self.version]["min"] or 0
            if new[self.version]["min"] != was:
                steps.append(self._scale(self.version, was))
        return steps

    @property
    def _route(self) -> str:
        return f"/models/{segment(self.model)}"

    def _register(self) -> Step:
        if self.archives is None:
            raise Cannot(
                f"TorchServe at {self.caller.shown} has no version {self.version} of {self.model}, and nothing says "
                "where its archive is: set deploy.torchserve.url"
            )
        if "{version}" not in self.archives.url:
            raise Cannot(
                f"deploy.torchserve.url has no {{version}}: nothing says which archive has version {self.version} of "
                f"{self.model}"
            )
        url = self.archives.url.replace("{model}", self.model).replace("{version}", self.version)
        asked = {"url": url, "model_name": self.model, "initial_workers": 0, "synchronous": "true"}
        archive = url.partition("?")[0].rpartition("@")[2]  # what else is in it may be a credential
        return self._step("register", "POST", f"/models?{urlencode(asked)}", f"register {archive}")

    def _scale(self, version: str, workers: int) -> Step:
        asked = urlencode({"min_worker": workers, "synchronous": "true"})
        many = "1 worker" if workers == 1 else f"{workers} workers"
        return self._step("scale", "PUT", f"{self._route}/{segment(version)}?{asked}", many)

    def _set_default(self, version: str) -> Step:
        return self._step("set_default", "PUT", f"{self._route}/{segment(version)}/set-default")

    def _step(self, name: str, method: str, route: str, note: str = "") -> Step:
        return Step(name, self.caller, method, route, note=note)

    async def _entries(self, tail: str) -> list[Mapping[str, Any]]:
        """The descriptions of a model, none where it is not registered. Raises `Failure`."""
        route = f"{self._route}{tail}"
        called = await self.caller.ask("GET", route)
        if called.status == 404 and "NotFoundException" in called.body[: answer.LOOK].decode("utf-8", "replace"):
            return []
        if (failure := self.caller.refusal(called, "GET", route)) is not None:
            raise failure
        value = await self.caller.value(called)
        if not isinstance(value, list):
            raise Failure(Reason.MALFORMED, f"{self.caller.named('GET', route)}: the answer is not a list of versions")
        return [entry for entry in value if isinstance(entry, dict)]


def _ready(entry: Mapping[str, Any]) -> int:
    workers = entry.get("workers")
    known = workers if isinstance(workers, list) else []
    return sum(isinstance(worker, dict) and worker.get("status") == "READY" for worker in known)
