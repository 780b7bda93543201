"""What runs in a cluster is listed once and followed as it changes, whatever the server does."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.contracts import Follower
from exporter.discovery.kubernetes import Kubernetes, Selection, Wanted, pods, watch
from exporter.discovery.kubernetes.api import Api
from exporter.discovery.listing import Choice
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport
from tests.discovery.kubernetes.following import labels_of, lists, running, until, watches
from tests.fakes.cluster import Cluster, pod

pytestmark = pytest.mark.slow


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
