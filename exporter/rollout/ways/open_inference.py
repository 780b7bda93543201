"""The model repository extension of the Open Inference Protocol: load and unload, by name.

Source: triton-inference-server/server, docs/protocol/extension_model_repository.md; MLServer and KServe's Python server
have it too. A load takes what the server's repository has. MLServer loads every version there is. Triton, which must
run with `--model-control-mode=explicit`, goes by its version policy, and takes a config in place of the repository's:
that is how one version is asked for, and how the versions that were there before come back.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.protocols.address import segment
from exporter.protocols.text import quote
from exporter.rollout.caller import Caller
from exporter.rollout.ways import Cannot, Moving, Seen, Stays, Step, Wanted

#: Versions of a model that are asked about one by one.
_MOST = 50
#: Statuses of servers that have no index: KServe's has a list of its own.
_NO_INDEX = (404, 405, 501)
#: States in which a load is under way: Triton's, and MLServer's, which knows the model and is not ready.
_LOADING = ("LOADING", "UNKNOWN")


class OpenInference:
    """A model in the repository of one server."""

    tells_version = True

    def __init__(self, caller: Caller, wanted: Wanted) -> None:
        self.caller = caller
        self.model = wanted.model
        self.version = wanted.version
        self._route = f"/v2/models/{segment(self.model)}"

    async def look(self) -> Seen:
        """`server`; `others`, the models it has; `listed` and `versions`, those in the repository and those that are
        ready; `loaded`; `loading`; Triton's `config` of the model while it is loaded; `why` it is not.
        """
        about = await self.caller.ask("GET", "/v2")
        server = await self._object(about.body) if about.status == 200 else {}
        entries = await self._index()
        mine = [entry for entry in entries or () if entry.get("name") == self.model]
        listed = [version for entry in mine if isinstance(version := entry.get("version"), str) and version]
        ready = [version for version in listed[:_MOST] if await self._ready(f"/versions/{segment(version)}")]
        loaded = await self._ready()
        config = await self._config() if loaded and server.get("name") == "triton" else None
        return {
            "server": quote(str(server.get("name") or ""), 60),
            "others": None if entries is None else sorted({str(entry.get("name")) for entry in entries})[:_MOST],
            "there": entries is None or bool(mine),
            "listed": listed,
            "versions": ready,
            "loaded": loaded,
            "loading": any(entry.get("state") in _LOADING for entry in mine),
            "config": config,
            "why": quote("; ".join(str(entry["reason"]) for entry in mine if entry.get("reason"))),
        }

    def plan(self, seen: Seen) -> Sequence[Step]:
        """One load. Without a version also of what is loaded: what lies in the repository may be newer."""
        at = self.caller.shown
        if not seen["there"]:
            others = ", ".join(seen["others"] or ()) or "nothing"
            raise Cannot(f"the repository of {at} has no {self.model}, only {others}: put it there first")
        if not self.version:
            return (self._step("load"),)
        if self.version in seen["versions"] and (seen["server"] != "triton" or seen["versions"] == [self.version]):
            return ()
        if seen["server"] == "triton":
            return (self._step("load", self._asking_for(seen), f"version {self.version}"),)
        if self.version not in seen["listed"]:
            has = ", ".join(seen["listed"]) or "none that it names"
            raise Cannot(
                f"{at} cannot load version {self.version} of {self.model}: a load takes no version but loads what the "
                f"server's repository has, and that is {has}. Put version {self.version} there first, or leave "
                "--version out"
            )
        return (self._step("load"),)

    async def check(self) -> str:
        """Ready, in the version that was asked for."""
        seen = await self.look()
        if self.version and self.version not in seen["versions"]:
            ready = ", ".join(seen["versions"]) or "none"
            return f"version {self.version} is not ready, of {self.model} {ready}" + _because(seen)
        return "" if seen["loaded"] else f"{self.model} is not ready" + _because(seen)

    def back(self, before: Seen, now: Seen, made: Sequence[str]) -> Sequence[Step]:
        """Unloaded again where it was not loaded; else the versions that were, where the server takes a config."""
        if not made:
            return ()
        if now["loading"]:
            raise Moving(f"{self.model} is still loading")
        if not before["loaded"]:
            return (self._step("unload"),) if now["loaded"] else ()
        if before["config"] is not None and before["versions"]:
            if now["versions"] == before["versions"]:
                return ()
            had = ", ".join(before["versions"])
            return (self._step("load", _policy(before["config"], before["versions"]), f"version {had}"),)
        had, has = (", ".join(seen["versions"]) or "no version that it names" for seen in (before, now))
        raise Stays(
            f"{self.model} was loaded before ({had}), and a load takes what the repository has (now {has}): put back "
            "what it had, and deploy again"
        )

    def _step(self, name: str, config: Mapping[str, Any] | None = None, note: str = "") -> Step:
        route = f"/v2/repository/models/{segment(self.model)}/{name}"
        parameters = {} if config is None else {"parameters": {"config": json.dumps(config)}}
        return Step(name, self.caller, "POST", route, parameters, note=note)

    def _asking_for(self, seen: Seen) -> Mapping[str, Any]:
        if seen["config"] is None:
            raise Cannot(
                f"Triton at {self.caller.shown} takes a version only with the model's config, and tells that of a "
                f"loaded model alone: set version_policy in the config.pbtxt of {self.model} and leave --version out, "
                "or load it once without --version"
            )
        if not self.version.isascii() or not self.version.isdigit():
            raise Cannot(f"Triton numbers its versions; found {self.version!r}")
        return _policy(seen["config"], [self.version])

    async def _index(self) -> list[Mapping[str, Any]] | None:
        called = await self.caller.ask("POST", "/v2/repository/index", {})
        if called.status in _NO_INDEX:
            return None
        if (failure := self.caller.refusal(called, "POST", "/v2/repository/index")) is not None:
            raise failure
        value = await self.caller.value(called)
        return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []

    async def _ready(self, tail: str = "") -> bool:
        called = await self.caller.ask("GET", f"{self._route}{tail}/ready")
        if called.status != 200:
            return False
        return (await self._object(called.body)).get("ready") is not False

    async def _config(self) -> Mapping[str, Any] | None:
        called = await self.caller.ask("GET", f"{self._route}/config")
        return await self._object(called.body) or None if called.status == 200 else None

    async def _object(self, body: bytes) -> Mapping[str, Any]:
        """The object of a body, an empty one where it is something else: Triton's ready has no body."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def _policy(config: Mapping[str, Any], versions: Sequence[str]) -> Mapping[str, Any]:
    """A config with exactly these versions; they are numbers there."""
    return {**config, "version_policy": {"specific": {"versions": [int(version) for version in versions]}}}


def _because(seen: Seen) -> str:
    return f": {seen['why']}" if seen["why"] else ""
