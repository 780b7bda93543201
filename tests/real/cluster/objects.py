"""The objects that the tests of discovery know, as a real API server takes them."""

from typing import Any

from tests.fakes import cluster
from tests.real.cluster.plane import Object

_VERSIONS = {
    "Pod": "v1",
    "Service": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "InferenceService": "serving.kserve.io/v1beta1",
}


def pod(name: str, namespace: str = "models", **more: Any) -> Object:
    """A Pod, as kubelet would tell that it runs."""
    return _real("Pod", cluster.pod(name, namespace, **more))


def service(name: str, namespace: str = "models", **more: Any) -> Object:
    """A Service, at an address that the server chooses."""
    found = _real("Service", cluster.service(name, namespace, **more))
    del found["spec"]["clusterIP"]
    return found


def endpoints(of: str, *addresses: str, **more: Any) -> Object:
    """A slice, as the controller of EndpointSlices would make it."""
    return _real("EndpointSlice", cluster.endpoints(of, *addresses, **more))


def inference(name: str, namespace: str = "models", **predictor: Any) -> Object:
    """An InferenceService, as KServe would tell that it is ready."""
    return _real("InferenceService", cluster.inference(name, namespace, **predictor))


def predictor(of: str, name: str, **more: Any) -> Object:
    """A Pod of an InferenceService. It is not annotated: a Pod by itself is no target."""
    found = _real("Pod", cluster.predictor(of, name, **more))
    del found["metadata"]["annotations"]
    return found


def _real(kind: str, found: Object) -> Object:
    """Without what the server writes itself, with what it asks for."""
    about = {name: value for name, value in found["metadata"].items() if name not in ("uid", "creationTimestamp")}
    made = {"apiVersion": _VERSIONS[kind], "kind": kind, **found, "metadata": about}
    if kind == "Pod":
        made["spec"] = {
            **found["spec"],
            "containers": [{"image": "model:1", **each} for each in found["spec"]["containers"]],
        }
    return made
