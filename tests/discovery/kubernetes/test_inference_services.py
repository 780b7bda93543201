"""InferenceServices as targets: never woken."""

from collections.abc import Callable

import pytest

from exporter.discovery.kubernetes import Kubernetes, Wanted
from tests.discovery.kubernetes.following import ALL, labels_of, running, until
from tests.fakes.cluster import Cluster, inference, predictor

pytestmark = pytest.mark.slow


async def test_an_inference_service_is_a_model_at_its_own_address(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    api.put("inferenceservices", inference("iris"))
    api.put("pods", predictor("iris", "iris-0"))
    found = await labels_of(cluster("inferenceservice", wanted=ALL))
    assert {**found["models/iris"], "__startup__": ""} == {
        "__target__": "models/iris", "__address__": "iris-predictor.models.svc.cluster.local", "__scheme__": "http",
        "__model__": "iris", "__protocol__": "open_inference", "__startup__": "",
    }  # fmt: skip
    assert any("labelSelector=serving.kserve.io%2Finferenceservice" in asked for asked in api.asked)
    other = cluster("inferenceservice", wanted=Wanted(annotated=False, guess=False))
    assert "__protocol__" not in (await labels_of(other))["models/iris"]


async def test_what_may_be_scaled_to_zero_is_asked_past_what_counts_and_not_at_all_when_it_is(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    api.put("inferenceservices", inference("iris", minReplicas=0))
    async with running(cluster("inferenceservice", wanted=ALL)) as at_work:
        await at_work.until()
        assert at_work.own.discovery_asleep["k8s"] == 1
        await until(lambda: api.watching == 2)
        api.put("pods", predictor("iris", "iris-0"))
        found = await at_work.until("models/iris/iris-0")
        assert found.entries[0]["__address__"] == "10.1.0.1:8080", "the port of the model, not of queue-proxy"
        assert at_work.own.discovery_asleep["k8s"] == 0
        api.put("pods", predictor("iris", "iris-0", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))
        await at_work.until()
        assert at_work.own.discovery_asleep["k8s"] == 1


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("replicas", [0, 1])
async def test_an_inference_service_that_may_be_woken_is_asked_at_its_own_address(
    api: Cluster, cluster: Callable[..., Kubernetes], least: int, replicas: int
) -> None:
    made = inference("iris", minReplicas=least)
    api.put("inferenceservices", made)
    for number in range(replicas):
        api.put("pods", predictor("iris", f"iris-{number}"))
    waking = cluster("inferenceservice", wanted=Wanted(annotated=False, wake=True))
    assert list(await labels_of(waking)) == ["models/iris"]
    made["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    api.put("inferenceservices", made)
    stopped = cluster("inferenceservice", wanted=Wanted(annotated=False, wake=True))
    assert await labels_of(stopped) == {}, "somebody has stopped it"


@pytest.mark.parametrize(
    ("annotations", "least", "name"),
    [
        ({}, None, "models/iris"),
        ({"autoscaling.knative.dev/min-scale": "0"}, None, "models/iris/iris-0"),
        ({"autoscaling.knative.dev/min-scale": "1"}, 0, "models/iris"),
        ({"model-exporter/port": "8012"}, 0, ""),
        ({"serving.kserve.io/stop": "true"}, None, ""),
    ],
)
async def test_which_inference_services_may_be_scaled_to_zero(
    api: Cluster, cluster: Callable[..., Kubernetes], annotations: dict[str, str], least: int | None, name: str
) -> None:
    made = inference("iris", **({"minReplicas": least} if least is not None else {}))
    made["metadata"]["annotations"] = annotations
    api.put("inferenceservices", made)
    api.put("pods", predictor("iris", "iris-0"))
    api.put("pods", predictor("iris", "iris-transformer-0", labels={"component": "transformer"}))
    assert list(await labels_of(cluster("inferenceservice", wanted=ALL))) == ([name] if name else [])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://169.254.169.254/latest", "models/iris/iris-0"),
        ("unix:///run/socket", "models/iris/iris-0"),
        ("http://[::1", "models/iris/iris-0"),
        ("http://10.0.0.1:8080", "models/iris"),
    ],
)
async def test_a_url_that_can_be_none_of_a_cluster_is_not_used(
    api: Cluster, cluster: Callable[..., Kubernetes], url: str, name: str
) -> None:
    made = inference("iris")
    made["status"]["address"]["url"] = url
    api.put("inferenceservices", made)
    api.put("pods", predictor("iris", "iris-0"))
    assert list(await labels_of(cluster("inferenceservice", wanted=ALL))) == [name]


async def test_a_cluster_without_kserve_says_so(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.missing = {"inferenceservices"}
    found = await cluster("inferenceservice", wanted=ALL).find()
    assert found.failure is not None
    assert "inferenceservices: http_status the server answers 404" in found.failure.detail


async def test_knatives_proxy_is_no_target_of_its_pod(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("pods", predictor("iris", "a"))
    api.put("pods", predictor("iris", "b", annotations={"model-exporter/port": "8012"}))
    found = await labels_of(cluster("pod"))
    assert {name: labels["__address__"] for name, labels in found.items()} == {"models/a": "10.1.0.1:8080"}
