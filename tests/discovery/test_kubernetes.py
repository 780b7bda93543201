"""What runs in a cluster: listed, followed as it changes, and never woken."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.contracts import Follower, Found
from exporter.discovery import Discovery
from exporter.discovery import kubernetes as module
from exporter.discovery.kubernetes import Kubernetes, Selection, Wanted, pods, watch
from exporter.discovery.kubernetes.api import Api
from exporter.discovery.listing import Choice, Labels
from exporter.discovery.relabel import Rule
from exporter.ledger import Own
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport
from tests.fakes.cluster import Cluster, endpoints, inference, pod, predictor, service

pytestmark = pytest.mark.slow

ALL = Wanted(annotated=False)


@pytest.fixture
async def api() -> AsyncIterator[Cluster]:
    async with Cluster() as running:
        yield running


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(user_agent="tests")
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST", 0.01)
    monkeypatch.setattr(watch, "_LONGEST", 0.05)
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr("exporter.discovery.RECHECK", 0.02)


@pytest.fixture
def cluster(api: Cluster, transport: Transport, tmp_path: Path) -> Callable[..., Kubernetes]:
    def made(
        role: str, *rules: Rule, limit: int = 100, wall: Callable[[], float] = time.time, **more: Any
    ) -> Kubernetes:
        selection = Selection(role, kubeconfig=api.kubeconfig(tmp_path), **more)
        choice = Choice(rules, lambda labels: labels["__target__"], limit)
        return Kubernetes("k8s", selection, transport.calls, choice, wall)

    return made


class Running:
    """One discoverer at work."""

    def __init__(self) -> None:
        self.own = Own()
        self._changed = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.discovery = Discovery(own=self.own, supervise=self._supervise, changed=self._told)

    def _supervise(self, run: Any) -> "asyncio.Task[None]":
        self.tasks.append(asyncio.create_task(run()))
        return self.tasks[-1]

    def _told(self) -> None:
        self._changed.set()

    @property
    def names(self) -> tuple[str, ...] | None:
        found = self.discovery.found("k8s")
        return found.names if found is not None else None

    async def until(self, *names: str) -> Found:
        """Wait until exactly these are found."""
        async with asyncio.timeout(5):
            while self.names != names:
                self._changed.clear()
                for task in self.tasks:
                    assert not task.done() or task.cancelled(), task
                await self._changed.wait()
        found = self.discovery.found("k8s")
        assert found is not None
        return found

    async def failed(self, times: int = 1) -> None:
        await until(lambda: self.own.discovery_failures["k8s"] >= times)


@asynccontextmanager
async def running(discoverer: Kubernetes) -> AsyncIterator[Running]:
    made = Running()
    made.discovery.take([discoverer])
    try:
        yield made
    finally:
        made.discovery.take([])
        await asyncio.gather(*made.tasks, return_exceptions=True)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def labels_of(discoverer: Kubernetes) -> dict[str, Labels]:
    found = await discoverer.find()
    return dict(zip(found.names, found.entries, strict=True))


def lists(api: Cluster, plural: str) -> int:
    return sum(f"/{plural}?" in asked and "watch=" not in asked for asked in api.asked)


def watches(api: Cluster, plural: str) -> int:
    return sum(f"/{plural}?" in asked and "watch=" in asked for asked in api.asked)


# Following


async def test_what_comes_changes_and_goes_is_followed_at_once_and_listed_once(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    for name in "abc":
        api.put("pods", pod(name))
    assert isinstance(cluster("pod"), Follower)
    async with running(cluster("pod")) as at_work:
        await at_work.until("models/a", "models/b", "models/c")
        assert lists(api, "pods") == 2, "three objects are two pages"
        await until(lambda: api.watching)
        api.put("pods", pod("d"))
        await at_work.until("models/a", "models/b", "models/c", "models/d")
        api.put("pods", pod("a", ip="10.9.9.9"))
        await until(lambda: at_work.discovery.found("k8s").entries[0]["__address__"] == "10.9.9.9:8000")  # type: ignore[union-attr]
        api.delete("pods", "models", "b")
        await at_work.until("models/a", "models/c", "models/d")
        api.put("pods", pod("c", annotations={"model-exporter/probe": "false"}))
        await at_work.until("models/a", "models/d")
    assert lists(api, "pods") == 2
    api.bookmark("pods")
    await until(lambda: not api.watching)  # nothing is left open
    assert at_work.own.discovery_failures["k8s"] == 0


@pytest.mark.parametrize("how", ["cut", "end"])
async def test_a_watch_that_ends_goes_on_where_it_was(
    api: Cluster, cluster: Callable[..., Kubernetes], how: str
) -> None:
    async with running(cluster("pod")) as at_work:
        await at_work.until()
        await until(lambda: api.watching)
        getattr(api, how)()
        await until(lambda: watches(api, "pods") == 2)
        api.put("pods", pod("a"))
        await at_work.until("models/a")
        assert lists(api, "pods") == 1
        assert at_work.own.discovery_failures["k8s"] == 0


async def test_a_bookmark_is_where_the_next_watch_begins(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    async with running(cluster("pod")) as at_work:
        await at_work.until()
        await until(lambda: api.watching)
        assert "allowWatchBookmarks=true" in api.asked[-1]
        for _ in range(3):
            api.bookmark("pods")
        api.compacted = api.version
        api.end()
        await until(lambda: watches(api, "pods") == 2)
        api.put("pods", pod("a"))
        await at_work.until("models/a")
        assert lists(api, "pods") == 1, "the bookmark is new enough"


@pytest.mark.parametrize("at_once", [False, True])
async def test_what_is_too_old_is_listed_anew(api: Cluster, cluster: Callable[..., Kubernetes], at_once: bool) -> None:
    api.gone_at_once = at_once
    api.put("pods", pod("a"))
    async with running(cluster("pod")) as at_work:
        await at_work.until("models/a")
        await until(lambda: api.watching)
        api.forget("pods")
        api.cut()
        await at_work.until()
        api.put("pods", pod("b"))
        await at_work.until("models/b")
        assert lists(api, "pods") == 2
        assert at_work.own.discovery_failures["k8s"] == 0, "410 is no failure"


async def test_a_list_that_becomes_too_old_between_two_pages_begins_anew_once(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    def compact(times: int) -> None:
        if times:
            api.version += 1
            api.compacted = api.version
        api.between = lambda: compact(times - 1)

    for name in "abc":
        api.put("pods", pod(name))
    api.between = lambda: compact(1)
    assert set(await labels_of(cluster("pod"))) == {"models/a", "models/b", "models/c"}
    api.between = lambda: compact(9)
    with pytest.raises(Failure, match="pods: the server answers 410"):
        await cluster("pod").find()


async def test_what_is_not_allowed_is_told_and_tried_again(
    api: Cluster, cluster: Callable[..., Kubernetes], caplog: pytest.LogCaptureFixture
) -> None:
    api.put("pods", pod("a"))
    api.forbidden = {("list", "pods")}
    async with running(cluster("pod")) as at_work:
        await at_work.failed()
        assert at_work.names is None
        api.forbidden = set()
        await at_work.until("models/a")
    told = next(record for record in caplog.records if "discovery failed" in record.message)
    assert told.fields["detail"] == (  # type: ignore[attr-defined]
        'pods: the server answers 403: pods is forbidden: User "system:serviceaccount:models:exporter" cannot list '
        'resource "pods" in API group ""'
    )


async def test_who_may_list_and_not_watch_has_targets_and_failures_at_a_bearable_pace(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    api.put("pods", pod("a"))
    api.forbidden = {("watch", "pods")}
    async with running(cluster("pod")) as at_work:
        await at_work.until("models/a")
        await at_work.failed(3)
        assert at_work.names == ("models/a",)
        assert lists(api, "pods") <= at_work.own.discovery_failures["k8s"] + 2
        api.put("pods", pod("b"))
        await at_work.until("models/a", "models/b")
        api.forbidden = set()
        await until(lambda: api.watching)


async def test_a_watch_that_is_refused_again_and_again_is_told_once(
    api: Cluster, transport: Transport, tmp_path: Path
) -> None:
    api.forbidden = {("watch", "pods")}
    told: list[None] = []
    reader = Api(transport.calls, api.kubeconfig(tmp_path))
    watched = watch.Watched(reader, "pods", "/api/v1/pods", {}, lambda found: pods.keep(found, Wanted()))
    following = asyncio.create_task(watched.follow(lambda: told.append(None)))
    async with asyncio.timeout(5):
        while watches(api, "pods") < 5:
            await watched.list()
            await asyncio.sleep(0.005)
    following.cancel()
    assert len(told) == 1, "the pace is that of who asks"


async def test_while_the_server_is_away_what_was_found_stays(
    api: Cluster, cluster: Callable[..., Kubernetes], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.put("pods", pod("a"))
    async with running(cluster("pod")) as at_work:
        await at_work.until("models/a")
        await until(lambda: api.watching)
        api.forbidden = {("list", "pods"), ("watch", "pods")}
        api.cut()
        await at_work.failed(2)
        assert at_work.names == ("models/a",)
        since = at_work.own.discovery_last_success_at["k8s"]
        api.forbidden = set()
        api.put("pods", pod("b"))
        await at_work.until("models/a", "models/b")
        await until(lambda: at_work.own.discovery_last_success_at["k8s"] > since)


async def test_one_namespace_that_may_not_be_read_hides_no_other(
    api: Cluster, cluster: Callable[..., Kubernetes]
) -> None:
    api.put("pods", pod("a", "one"))
    api.put("pods", pod("b", "two"))
    api.put("pods", pod("c", "three"))
    assert tuple(await labels_of(cluster("pod", namespaces=("one", "two")))) == ("one/a", "two/b")
    assert all(asked.startswith("GET /api/v1/namespaces/") for asked in api.asked), "no right of the whole cluster"
    api.forbidden = {("list", "one/pods")}
    found = await cluster("pod", namespaces=("one", "two")).find()
    assert found.names == ("two/b",)
    assert found.failure is not None
    assert found.failure.detail.startswith("pods of one: http_status the server answers 403: pods is forbidden")


async def test_a_new_question_is_followed_by_a_new_follower(api: Cluster, cluster: Callable[..., Kubernetes]) -> None:
    api.put("pods", pod("a", labels={"app": "x"}))
    api.put("pods", pod("b"))
    async with running(cluster("pod")) as at_work:
        await at_work.until("models/a", "models/b")
        at_work.discovery.take([cluster("pod", selector="app=x")])
        await at_work.until("models/a")
        await until(lambda: any("watch=true" in asked and "labelSelector=app%3Dx" in asked for asked in api.asked))
        api.put("pods", pod("a", labels={"app": "y"}))
        await at_work.until()


async def test_a_wrong_token_is_no_cluster(api: Cluster, transport: Transport, tmp_path: Path) -> None:
    selection = Selection("pod", kubeconfig=api.kubeconfig(tmp_path, "wr0ng-token"))
    discoverer = Kubernetes("k8s", selection, transport.calls, Choice((), lambda labels: labels["__target__"], 9))
    with pytest.raises(Failure) as raised:
        await discoverer.find()
    assert (raised.value.reason, raised.value.http_status) == (Reason.HTTP_STATUS, 401)
    assert "wr0ng" not in str(raised.value)


# Pods


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


# Services and what is behind them


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


# InferenceServices


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
