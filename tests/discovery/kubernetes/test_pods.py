"""Pods as targets."""

from collections.abc import Callable

import pytest

from exporter.contracts import Found
from exporter.discovery.kubernetes import Kubernetes, Wanted
from exporter.discovery.relabel import Rule
from tests.discovery.kubernetes.following import ALL, labels_of, running, until
from tests.fakes.cluster import Cluster, pod

pytestmark = pytest.mark.slow


async def test_a_pod_is_a_target_with_the_labels_prometheus_has(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    api.put("pods", pod(
        "a", labels={"app.kubernetes.io/name": "x"},
        annotations={"model-exporter/model": "llama", "model-exporter/path": "v1", "model-exporter/protocol": "openai"},
        metadata={"ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "controller": True}]},
    ))  # fmt: skip
    rule = Rule("labelmap", regex="__meta_kubernetes_(.+)", replacement="$1")
    (labels,) = (await labels_of(cluster("pod", rule, startup=600.0))).values()
    assert {name: value for name, value in labels.items() if "annotation" not in name} == {
        "__address__": "10.1.0.1:8000", "__target__": "models/a", "__model__": "llama", "__path__": "v1",
        "__protocol__": "openai", "__startup__": "0s",
        "namespace": "models", "pod_name": "a", "pod_ip": "10.1.0.1", "pod_ready": "true", "pod_phase": "Running",
        "pod_uid": "uid-a", "pod_node_name": "n1", "pod_host_ip": "192.168.0.1", "pod_controller_kind": "ReplicaSet",
        "pod_controller_name": "rs", "pod_container_name": "server", "pod_container_image": "vllm:1",
        "pod_container_init": "false", "pod_container_port_name": "http", "pod_container_port_number": "8000",
        "pod_container_port_protocol": "TCP", "pod_label_app_kubernetes_io_name": "x",
        "pod_labelpresent_app_kubernetes_io_name": "true",
    }  # fmt: skip
    assert labels["pod_annotation_model_exporter_model"] == "llama"


async def test_several_ports_are_several_targets_unless_one_is_named(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    ports = [
        {"name": "http", "containerPort": 8000},
        {"name": "grpc", "containerPort": 8001},
        {"containerPort": 53, "protocol": "UDP"},
    ]
    containers = [{"name": "server", "ports": ports}]
    api.put("pods", pod("a", containers=containers))
    api.put(
        "pods",
        pod("b", containers=containers, annotations={"model-exporter/port": "grpc", "model-exporter/scheme": "grpc"}),
    )
    api.put("pods", pod("c", containers=containers, annotations={"model-exporter/port": "9000"}))
    api.put("pods", pod("d", containers=containers, annotations={"model-exporter/port": "nope"}))
    found = await labels_of(cluster("pod"))
    assert {name: labels["__address__"] for name, labels in found.items()} == {
        "models/a:8000": "10.1.0.1:8000", "models/a:8001": "10.1.0.1:8001", "models/b": "10.1.0.1:8001",
        "models/c": "10.1.0.1:9000",
    }  # fmt: skip
    assert found["models/b"]["__scheme__"] == "grpc"


async def test_a_pod_that_ends_or_has_no_address_is_none(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("pods", pod("over", phase="Succeeded"))
    api.put("pods", pod("leaving", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))
    api.put("pods", pod("pending", ip="", phase="Pending"))
    api.put("pods", pod("own-machine", ip="127.0.0.1"))
    api.put("pods", pod("metadata", ip="169.254.169.254"))
    api.put("pods", pod("mapped", ip="::ffff:127.0.0.1"))
    assert await labels_of(cluster("pod", wanted=ALL)) == {}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [(Wanted(), ("models/yes",)), (ALL, ("models/nothing", "models/yes"))],
)
async def test_annotations_choose(
    api: Cluster, cluster: Callable[..., Kubernetes], wanted: Wanted, names: tuple[str, ...]
) -> None:
    for value in ("yes", "no", "nothing"):
        made = pod(value)
        made["metadata"]["annotations"] = {
            "yes": {"model-exporter/probe": "true"}, "no": {"model-exporter/probe": "false"}, "nothing": None,
        }[value]  # fmt: skip
        api.put("pods", made)
    assert tuple(await labels_of(cluster("pod", wanted=wanted))) == names


async def test_annotations_choose_no_module_scheme_or_port_they_may_not(
    api: Cluster, cluster: Callable[..., Kubernetes], caplog: pytest.LogCaptureFixture
) -> None:
    api.put("pods", pod("a", annotations={"model-exporter/module": "secret"}))
    api.put("pods", pod("b", annotations={"model-exporter/module": "open"}))
    api.put("pods", pod("c", annotations={"model-exporter/scheme": "unix"}))
    api.put("pods", pod("d", annotations={"model-exporter/port": "70000"}))
    api.put("pods", pod("e", annotations={"model-exporter/probe": "yes"}))
    discoverer = cluster("pod", wanted=Wanted(modules=frozenset({"open"})))
    for _ in range(2):
        found = await discoverer.find()
        assert found.names == ("models/b",)
        assert found.failure is None, "what others write is no failure of ours"
    assert [record.fields["problem"] for record in caplog.records] == [  # type: ignore[attr-defined]
        "models/a: annotation model-exporter/module: 'secret' is not one of the modules of the entry",
        "models/c: annotation model-exporter/scheme: found 'unix'; allowed: http, https, grpc, grpcs, tcp",
        "models/d: annotation model-exporter/port: found '70000'; allowed: 1 to 65535, or a name",
        'models/e: annotation model-exporter/probe: found \'yes\'; allowed: "true", "false"',
    ]


async def test_an_object_that_is_strange_hides_no_other(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("pods", pod("a"))
    api.put("pods", {"metadata": {"name": "b", "namespace": "models"}, "spec": 7})
    api.put("pods", {"metadata": {"name": "c", "namespace": "models", "labels": {"x": 1}}, "spec": {"containers": []}})
    async with running(cluster("pod")) as at_work:
        await at_work.until("models/a")
        await until(lambda: api.watching)
        api.put(
            "pods", {"metadata": {"name": "d", "namespace": "models", "annotations": []}, "spec": {"containers": [1]}}
        )
        api.put("pods", pod("e"))
        await at_work.until("models/a", "models/e")


async def test_what_is_new_has_time_to_start_and_what_is_old_has_had_it(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    def startups(found: Found | None) -> dict[str, str]:
        assert found is not None
        return {name: labels["__startup__"] for name, labels in zip(found.names, found.entries, strict=True)}

    probe = {"initialDelaySeconds": 10, "periodSeconds": 5, "failureThreshold": 60}
    container = {"name": "server", "ports": [{"containerPort": 8000}], "startupProbe": probe}
    api.put("pods", pod("old"))
    api.put("pods", pod("young", metadata={"creationTimestamp": "2026-01-01T00:59:00Z"}))
    discoverer = cluster("pod", startup=600.0, wall=lambda: 1767229200.0)  # an hour into the year
    assert startups(await discoverer.find()) == {"models/old": "0s", "models/young": "600000ms"}
    async with running(discoverer) as at_work:
        api.put("pods", pod("told", containers=[container]))
        api.put("pods", pod("said", containers=[container], annotations={"model-exporter/startup": "1h"}))
        found = await at_work.until("models/old", "models/said", "models/told", "models/young")
        assert startups(found) == {
            "models/old": "0s", "models/said": "1h", "models/told": "310s", "models/young": "600000ms",
        }  # fmt: skip
