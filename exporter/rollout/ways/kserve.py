"""A KServe InferenceService, patched to another storage URI. Never one that Argo CD or Flux owns, unless forced.

Source: kserve/kserve, serving.kserve.io/v1beta1 (`spec.predictor.model.storageUri`, `status.modelStatus`), and RFC
6902: the patch holds only while the field is what it was when it was looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter.model.deployment import InferenceService
from exporter.protocols.address import segment
from exporter.protocols.text import quote
from exporter.rollout.caller import Caller
from exporter.rollout.ways import Cannot, Never, Seen, Stays, Step, Wanted

_FIELD = "/spec/predictor/model/storageUri"
#: Labels and annotations by which GitOps controllers mark what they own.
_OWNERS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_FAILED = ("InvalidSpec", "BlockedByFailedLoad")


class KServe:
    """One InferenceService. `caller` is that of the Kubernetes API."""

    #: What a runtime calls its version need not be what the storage URI has in it.
    tells_version = False

    def __init__(self, caller: Caller, wanted: Wanted, service: InferenceService, *, force: bool) -> None:
        self.caller = caller
        self.wanted = wanted
        self.service = service
        self.force = force
        self.name = service.name.replace("{model}", wanted.model)
        self.uri = service.storage_uri.replace("{model}", wanted.model).replace("{version}", wanted.version)
        namespace = segment(service.namespace)
        self._route = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{segment(self.name)}"

    async def look(self) -> Seen:
        """`uri`, None where the service has none in that place, and `owner`, who says what it should be."""
        found = await self._read()
        uri = _at(found, "spec", "predictor", "model").get("storageUri")
        marks = {**_at(found, "metadata", "labels"), **_at(found, "metadata", "annotations")}
        owner = next((f"{who} ({key}: {marks[key]})" for key, who in _OWNERS.items() if marks.get(key)), "")
        return {"uri": uri if isinstance(uri, str) else None, "owner": quote(owner)}

    def plan(self, seen: Seen) -> Sequence[Step]:
        """One patch; none where the URI is the wanted one."""
        shown = f"InferenceService {self.service.namespace}/{self.name}"
        if bool(self.wanted.version) != ("{version}" in self.service.storage_uri):
            raise Cannot(
                f"{shown}: storage_uri has no {{version}} to put {self.wanted.version} into"
                if self.wanted.version
                else f"{shown}: storage_uri has {{version}}; say --version"
            )
        if seen["owner"] and not self.force:
            raise Cannot(
                f"{shown} belongs to {seen['owner']}, which would take the change back: commit the new storageUri "
                "there, then `model-exporter wait`; --force patches all the same"
            )
        if seen["uri"] is None:
            raise Cannot(f"{shown} has no spec.predictor.model.storageUri, and nothing else is patched")
        return () if seen["uri"] == self.uri else (self._step("patch", seen["uri"], self.uri),)

    async def check(self) -> str:
        """The controller has seen the change, and the model it wanted is loaded. Raises `Never` when it cannot be."""
        found = await self._read()
        status = _at(found, "status")
        seen, generation = status.get("observedGeneration"), _at(found, "metadata").get("generation")
        if isinstance(seen, int) and isinstance(generation, int) and seen < generation:
            return "the controller has not seen the change yet"
        if _at(found, "spec", "predictor", "model").get("storageUri") != self.uri:
            raise Never("somebody has changed storageUri since")
        model = _at(status, "modelStatus")
        transition = model.get("transitionStatus")
        if transition in _FAILED:
            why = _at(model, "lastFailureInfo")
            raise Never(quote(f"{transition}: {why.get('reason', '')} {why.get('message', '')}", 400))
        if transition not in (None, "", "UpToDate"):
            return f"the transition of its model is {quote(str(transition), 60)}"
        return _not_ready(status)

    def back(self, before: Seen, now: Seen, made: Sequence[str]) -> Sequence[Step]:
        """The URI that was there, as long as the present one is ours."""
        if not made or now["uri"] == before["uri"]:
            return ()
        if now["uri"] != self.uri:
            raise Stays(f"storageUri of {self.name} is {now['uri']} by now, which is not ours: it was {before['uri']}")
        return (self._step("patch", self.uri, before["uri"]),)

    def _step(self, name: str, old: str, new: str) -> Step:
        patch = [
            {"op": "test", "path": _FIELD, "value": old},
            {"op": "replace", "path": _FIELD, "value": new},
        ]
        route = f"{self._route}?fieldManager=model-exporter"
        return Step(name, self.caller, "PATCH", route, patch, "application/json-patch+json", f"storageUri {new}")

    async def _read(self) -> Mapping[str, Any]:
        found = await self.caller.value(await self.caller.tell("GET", self._route))
        return found if isinstance(found, dict) else {}


def _not_ready(status: Mapping[str, Any]) -> str:
    conditions = status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else []:
        if isinstance(condition, dict) and condition.get("type") == "Ready":
            if condition.get("status") == "True":
                return ""
            return quote(f"it is not ready: {condition.get('reason', '')} {condition.get('message', '')}", 400)
    return "it has no condition Ready yet"


def _at(value: Any, *keys: str) -> Mapping[str, Any]:
    """The object at a path, an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
