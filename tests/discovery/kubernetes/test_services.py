"""Services as targets, and what is behind them."""

from collections.abc import Callable

import pytest

from exporter.discovery.kubernetes import Kubernetes, Wanted
from exporter.discovery.relabel import Rule
from tests.discovery.kubernetes.following import labels_of, running, until
from tests.fakes.cluster import Cluster, endpoints, service

pytestmark = pytest.mark.slow


async def test_a_service_is_asked_while_it_has_a_replica_ready_or_not(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    for name in ("a", "b", "c", "leaving"):
        api.put("services", service(name))
    leaving = endpoints("leaving", "10.1.0.9")
    leaving["endpoints"][0]["conditions"]["terminating"] = True
    api.put("endpointslices", leaving)
    api.put("endpointslices", endpoints("a", "10.1.0.1"))
    api.put("endpointslices", endpoints("b", "10.1.0.2", ready=False))
    api.put("endpointslices", endpoints("c"))
    async with running(cluster("service")) as at_work:
        found = await at_work.until("models/a", "models/b")
        assert found.entries[0]["__address__"] == "a.models.svc:80"
        assert at_work.own.discovery_asleep["k8s"] == 2
        await until(lambda: api.watching == 2)
        api.put("endpointslices", endpoints("a"))  # scaled to zero
        await at_work.until("models/b")
        assert at_work.own.discovery_asleep["k8s"] == 3
        api.put("endpointslices", endpoints("c", "10.1.0.3", ready=False))  # woken by somebody else
        await at_work.until("models/b", "models/c")
        api.delete("services", "models", "b")
        await at_work.until("models/c")


async def test_a_service_that_may_be_woken_is_asked_without_a_replica(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    api.put("services", service("a"))
    api.put("services", service("knative", labels={"serving.knative.dev/service": "x"}))
    assert list(await labels_of(cluster("service", wanted=Wanted(wake=True)))) == ["models/a"]
    nowhere = cluster("endpointslice", wanted=Wanted(wake=True))
    assert await labels_of(nowhere) == {}, "without an address there is nothing to ask"


async def test_without_the_replicas_no_service_is_asked(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("services", service("a"))
    api.forbidden = {("list", "endpointslices")}
    found = await cluster("service").find()
    assert found.names == ()
    assert found.failure is not None
    assert found.failure.detail.startswith(
        "endpointslices: http_status the server answers 403: endpointslices is forbidden"
    )


async def test_services_nobody_can_tell_the_replicas_of_are_left_out(
    api: Cluster, cluster: Callable[..., Kubernetes], caplog: pytest.LogCaptureFixture
) -> None:
    api.put("services", service("elsewhere", type="ExternalName", externalName="169.254.169.254.nip.io"))
    api.put("services", service("knative", labels={"serving.knative.dev/service": "x"}))
    for name in ("elsewhere", "knative"):
        api.put("endpointslices", endpoints(name, "10.1.0.1"))
    for role in ("service", "endpointslice"):
        assert await labels_of(cluster(role)) == {}
    told = [record.fields["problem"].partition(":")[0] for record in caplog.records]  # type: ignore[attr-defined]
    assert told == 2 * ["models/elsewhere", "models/knative"]


async def test_a_service_has_the_labels_prometheus_has(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("services", service("a", labels={"app": "x"}))
    api.put("endpointslices", endpoints("a", "10.1.0.1"))
    rule = Rule("labelmap", regex="__meta_kubernetes_(.+)", replacement="$1")
    (labels,) = (await labels_of(cluster("service", rule))).values()
    own = {name: value for name, value in labels.items() if not name.startswith("__") and "annotation" not in name}
    assert own == {
        "namespace": "models", "service_name": "a", "service_type": "ClusterIP", "service_cluster_ip": "10.96.0.1",
        "service_port_name": "http", "service_port_number": "80", "service_port_protocol": "TCP",
        "service_label_app": "x", "service_labelpresent_app": "true",
    }  # fmt: skip


async def test_each_address_behind_a_service_is_a_target(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("services", service("a", annotations={"model-exporter/model": "m"}))
    api.put("services", service("quiet", annotations={"model-exporter/probe": "false"}))
    api.put("endpointslices", endpoints("a", "10.1.0.1", "10.1.0.2"))
    api.put("endpointslices", endpoints("quiet", "10.1.0.3"))
    api.put("endpointslices", endpoints("orphan", "10.1.0.4"))
    rule = Rule("labelmap", regex="__meta_kubernetes_(endpointslice.+|service_name)", replacement="$1")
    found = await labels_of(cluster("endpointslice", rule))
    assert {name: labels["__address__"] for name, labels in found.items()} == {
        "models/a/a-0": "10.1.0.1:8000", "models/a/a-1": "10.1.0.2:8000",
    }  # fmt: skip
    labels = found["models/a/a-0"]
    assert {name: value for name, value in labels.items() if "label" not in name and not name.startswith("__")} == {
        "service_name": "a", "endpointslice_name": "a-abc", "endpointslice_address_type": "IPv4",
        "endpointslice_address_target_kind": "Pod", "endpointslice_address_target_name": "a-0",
        "endpointslice_endpoint_node_name": "n1", "endpointslice_endpoint_conditions_ready": "true",
        "endpointslice_endpoint_conditions_serving": "true", "endpointslice_endpoint_conditions_terminating": "false",
        "endpointslice_port": "8000", "endpointslice_port_name": "http", "endpointslice_port_protocol": "TCP",
    }  # fmt: skip
    assert labels["__model__"] == "m"


async def test_two_addresses_of_one_pod_have_two_names(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("services", service("a"))
    api.put("endpointslices", endpoints("a", "10.1.0.1"))
    six = endpoints("a", "fd00::1", addressType="IPv6")
    six["metadata"]["name"] = "a-six"
    api.put("endpointslices", six)
    assert set(await labels_of(cluster("endpointslice"))) == {"models/a/10.1.0.1:8000", "models/a/[fd00::1]:8000"}
