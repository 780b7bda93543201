"""Ollama's own API: pull a model from its library, or create it from one that is there.

Source: ollama/ollama, docs/api.md. A name and its tag are all the version there is. What a name stood for before is
kept under a second name, which shares its files: that is what a rollback copies back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.protocols.ollama_residency import canonical, listed, models
from exporter.rollout.caller import Caller
from exporter.rollout.ways import Cannot, Seen, Stays, Step, Wanted


class Ollama:
    """One name on one server. `asked` is the name its target asks for; `create` as in the config, None to pull."""

    tells_version = False

    def __init__(self, caller: Caller, wanted: Wanted, asked: str, create: Mapping[str, Any] | None) -> None:
        self.caller = caller
        self.model = f"{wanted.model}:{wanted.version}" if wanted.version else wanted.model
        self.asked = asked
        self.create = None if create is None else _filled(create, wanted)
        self.kept = f"{canonical(wanted.model).rpartition(':')[0]}:before-{wanted.identity}"

    async def look(self) -> Seen:
        """`digest` of what the name stands for, None when for nothing; `kept`, the same of what was kept."""
        entries = models((await self.caller.tell("GET", "/api/tags")).body)
        return {"digest": _digest(entries, self.model), "kept": _digest(entries, self.kept)}

    def plan(self, seen: Seen) -> Sequence[Step]:
        """Keep what is there, then pull or create."""
        if canonical(self.asked) != canonical(self.model):
            raise Cannot(
                f"the target at {self.caller.shown} asks for {self.asked}, not for {self.model}: its canary would "
                "prove nothing. A version is the tag of the model that the target names"
            )
        steps = [self._step("keep", "POST", "/api/copy", source=self.model, destination=self.kept)]
        bring = (
            self._step("pull", "POST", "/api/pull", model=self.model, stream=False)
            if self.create is None
            else self._step("create", "POST", "/api/create", **self.create, model=self.model, stream=False)
        )
        return (*(steps if seen["digest"] is not None else ()), bring)

    async def check(self) -> str:
        """The name stands for something."""
        seen = await self.look()
        return "" if seen["digest"] is not None else f"{self.model} is not there"

    def back(self, before: Seen, now: Seen, made: Sequence[str]) -> Sequence[Step]:
        """Copied back from where it was kept; deleted where there was nothing."""
        drop = [self._step("forget", "DELETE", "/api/delete", model=self.kept)] if now["kept"] is not None else []
        if not {"pull", "create"} & set(made) or now["digest"] == before["digest"]:
            return drop
        if before["digest"] is None:
            return [self._step("delete", "DELETE", "/api/delete", model=self.model)]
        if now["kept"] != before["digest"]:
            raise Stays(f"{self.kept}, under which {self.model} was kept, is gone: pull or create it again")
        return [self._step("restore", "POST", "/api/copy", source=self.kept, destination=self.model), *drop]

    def _step(self, name: str, method: str, route: str, **body: Any) -> Step:
        names = [str(body[key]) for key in ("source", "destination", "model") if key in body]
        return Step(name, self.caller, method, route, body, note=f"{name} {' as '.join(names)}")


def _digest(entries: list[dict[str, Any]], model: str) -> str | None:
    entry = listed(entries, model)
    if entry is None:
        return None
    if not isinstance(digest := entry.get("digest"), str):
        raise Failure(Reason.MALFORMED, "the listing has no digests")
    return digest


def _filled(value: Any, wanted: Wanted) -> Any:
    """A body with `{model}` and `{version}` filled in, where its texts hold them."""
    if isinstance(value, str):
        return value.replace("{model}", wanted.model).replace("{version}", wanted.version)
    if isinstance(value, Mapping):
        return {key: _filled(item, wanted) for key, item in value.items()}
    return [_filled(item, wanted) for item in value] if isinstance(value, list) else value
