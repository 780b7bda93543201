"""Discovery in a real cluster, with exactly the rights that the chart gives: `make test-cluster`."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.discovery.kubernetes import ROLES, Kubernetes, Selection
from exporter.discovery.kubernetes.api import Api, Gone
from exporter.discovery.listing import Choice
from exporter.model.failure import Failure
from exporter.transport import Transport
from tests.chart.charts import Object, one
from tests.real.cluster import objects
from tests.real.cluster.exporters import Installed, config, installed, rights, until_targets
from tests.real.cluster.plane import Plane, Refused
from tests.support.fake import Fake
from tests.support.web import until

pytestmark = pytest.mark.real

Helm = Callable[..., list[Object]]
Put = Callable[[Object], Object]

FAILURES = "model_exporter_discovery_failures_total"
GROUPS = {"endpointslices": "discovery.k8s.io", "inferenceservices": "serving.kserve.io"}
NEEDS = {role: [each.plural for each in found.resources] for role, found in ROLES.items()}


@pytest.fixture
def model() -> Iterator[Fake]:
    with Fake(lambda request: (200, "ok")) as server:
        yield server


@pytest.fixture
def put(plane: Plane) -> Iterator[Put]:
    """Make or change an object, which is gone after the test."""
    made: dict[tuple[str, str], Object] = {}

    def one_more(found: Object) -> Object:
        made[plane.place(found), found["metadata"]["name"]] = found
        return plane.put(found)

    yield one_more
    for each in made.values():
        if plane.has(each):
            plane.delete(each)


def test_what_is_made_changed_and_deleted_is_followed(
    plane: Plane, helm: Helm, put: Put, model: Fake, tmp_path: Path
) -> None:
    put(objects.pod("a"))
    with installed(plane, helm, tmp_path, {"config": config(model, *ROLES)}) as release, release.daemon() as daemon:
        until_targets(daemon, "pod:models/a")
        daemon.until_state("pod:models/a", "healthy", within=60)
        put(objects.pod("b", ip=""))
        put(objects.service("s"))
        put(objects.service("zero", annotations={"model-exporter/path": "/zero"}))
        put(objects.endpoints("s", "10.1.0.1", "10.1.0.2"))
        put(objects.inference("iris"))
        lazy = objects.inference("lazy", minReplicas=0)
        lazy["metadata"]["annotations"] = {"model-exporter/path": "/lazy"}
        put(lazy)
        put(objects.predictor("iris", "iris-0"))
        slices = "endpointslice:models/s/s-0", "endpointslice:models/s/s-1"
        scrape = until_targets(daemon, "pod:models/a", "service:models/s", *slices, "inferenceservice:models/iris")
        assert scrape.value("model_exporter_discovery_asleep", source="service") == 1
        assert scrape.value("model_exporter_discovery_asleep", source="inferenceservice") == 1
        daemon.until_state("service:models/s", "healthy", within=60)
        assert not {"/zero", "/lazy"} & {request.path for request in model.requests}, "it was woken"
        put(objects.pod("b"))
        put(objects.endpoints("s"))
        put(objects.predictor("lazy", "lazy-0"))
        plane.delete(objects.inference("iris"))
        scrape = until_targets(daemon, "pod:models/a", "pod:models/b", "inferenceservice:models/lazy/lazy-0")
        assert scrape.value("model_exporter_discovery_asleep", source="service") == 2
        assert scrape.value("model_exporter_discovery_asleep", source="inferenceservice") == 0
        daemon.until_state("inferenceservice:models/lazy/lazy-0", "healthy", within=60)
        paths = {request.path for request in model.requests}
        assert "/lazy" in paths
        assert "/zero" not in paths
        put(objects.pod("a", annotations={"model-exporter/probe": "false"}))
        plane.delete(objects.predictor("lazy", "lazy-0"))
        scrape = until_targets(daemon, "pod:models/b")
        assert [scrape.value(FAILURES, source=role) for role in ROLES] == [0, 0, 0, 0]
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.process.stderr


def test_rights_for_one_namespace_are_enough(plane: Plane, helm: Helm, put: Put, model: Fake, tmp_path: Path) -> None:
    put(objects.pod("a"))
    plane.namespace("elsewhere")
    put(objects.pod("other", "elsewhere"))
    values = {"config": config(model, "pod", namespaces=["models"]), "rbac": {"namespaces": ["models"]}}
    with installed(plane, helm, tmp_path, values) as release, release.daemon() as daemon:
        scrape = until_targets(daemon, "pod:models/a")
        assert scrape.value(FAILURES, source="pod") == 0
        with pytest.raises(Refused, match="403"):
            plane.ask("GET", "/api/v1/pods", token=release.token)


async def test_410_is_understood(plane: Plane, helm: Helm, put: Put, model: Fake, tmp_path: Path) -> None:
    put(objects.pod("a"))
    put(objects.pod("b"))
    with installed(plane, helm, tmp_path, {"config": config(model, "pod")}) as release:
        transport = Transport(user_agent="tests")
        try:
            api = Api(transport.calls, release.kubeconfig)
            discoverer = looking(release, "pod", transport)
            _, version = await api.list("/api/v1/pods", {})
            assert (await discoverer.find()).names == ("models/a", "models/b")
            plane.delete(objects.pod("b"))
            put(objects.pod("c"))
            await asyncio.to_thread(plane.restart, forget=True)
            with pytest.raises(Gone):
                async for _ in api.watch("/api/v1/pods", {}, version, 5):
                    pass
            following = asyncio.create_task(discoverer.follow(lambda: None))
            async with asyncio.timeout(60):
                while (await discoverer.find()).names != ("models/a", "models/c"):
                    await asyncio.sleep(0.05)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        finally:
            await transport.close()


def test_what_happened_while_nobody_could_see_it_is_seen_afterwards(
    plane: Plane, helm: Helm, put: Put, model: Fake, tmp_path: Path
) -> None:
    put(objects.pod("a"))
    put(objects.pod("b"))
    with installed(plane, helm, tmp_path, {"config": config(model, "pod")}) as release, release.daemon() as daemon:
        until_targets(daemon, "pod:models/a", "pod:models/b")
        daemon.until_state("pod:models/a", "healthy", within=60)
        before = daemon.scrape().value("model_probe_runs_total", target="pod:models/a", probe="health")
        daemon.process.pause()
        try:
            plane.delete(objects.pod("b"))
            put(objects.pod("c"))
            plane.restart(forget=True)
        finally:
            daemon.process.resume()
        scrape = until_targets(daemon, "pod:models/a", "pod:models/c")
        assert (scrape.value("model_probe_runs_total", target="pod:models/a", probe="health") or 0) > (before or 0)
        assert scrape.value(FAILURES, source="pod") == 0


def test_rights_that_are_taken_away_are_told_and_leave_what_was_found(
    plane: Plane, helm: Helm, put: Put, model: Fake, tmp_path: Path
) -> None:
    put(objects.pod("a"))
    with installed(plane, helm, tmp_path, {"config": config(model, "pod")}) as release, release.daemon() as daemon:
        daemon.until_state("pod:models/a", "healthy", within=60)
        binding = one(release.objects, "ClusterRoleBinding")
        plane.delete(binding)
        until("the rights to be gone", lambda: not release.may("list", "", "pods"), within=60)
        plane.restart()  # a watch that was allowed once goes on
        scrape = until(
            "failures to be counted", lambda: ((s := daemon.scrape()).value(FAILURES, source="pod") or 0) > 1 and s,
            within=60, log=daemon.process.tail,
        )  # fmt: skip
        assert scrape.state("pod:models/a") == "healthy"
        who = f'User "system:serviceaccount:models:{release.account}"'
        told = [each for each in daemon.events() if each.get("source") == "pod" and "failed" in str(each)]
        assert any(f"pods is forbidden: {who} cannot" in str(each.get("detail")) for each in told), told
        with release.daemon("fresh") as fresh:
            until(
                "a failure from the start", lambda: fresh.scrape().value(FAILURES, source="pod"), within=60,
                log=fresh.process.tail,
            )  # fmt: skip
            assert not list(fresh.scrape().all("model_probe_state"))
            assert f"pods is forbidden: {who} cannot list resource" in fresh.process.stderr.replace('\\"', '"')
        plane.put(binding)
        put(objects.pod("b"))
        until_targets(daemon, "pod:models/a", "pod:models/b")


@pytest.mark.parametrize("role", ROLES)
async def test_a_verb_less_is_too_few(plane: Plane, helm: Helm, model: Fake, tmp_path: Path, role: str) -> None:
    with installed(plane, helm, tmp_path, {"config": config(model, role)}) as release:
        (given,) = rights(release.objects)
        path = f"{plane.place(given)}/{given['metadata']['name']}"
        assert sorted(name for rule in given["rules"] for name in rule["resources"]) == sorted(set(NEEDS[role]))
        for index, rule in enumerate(given["rules"]):
            (plural,), (group,) = rule["resources"], rule["apiGroups"]
            for verb in rule["verbs"]:
                fewer = [dict(each) for each in given["rules"]]
                fewer[index]["verbs"] = [each for each in rule["verbs"] if each != verb]
                plane.ask("PATCH", path, {"rules": fewer})
                until("fewer rights", lambda: not release.may(verb, group, plural), within=60)  # noqa: B023
                assert f'cannot {verb} resource "{plural}" in API group "{group}"' in await problem(release, role)
        plane.ask("PATCH", path, {"rules": given["rules"]})


def looking(release: Installed, role: str, transport: Transport) -> Kubernetes:
    """Discovery as the account of the release."""
    selection = Selection(role, kubeconfig=release.kubeconfig)
    return Kubernetes("k8s", selection, transport.calls, Choice((), lambda labels: labels["__target__"], 99))


async def problem(release: Installed, role: str) -> str:
    """What is told of a discovery that may not do all it has to."""
    transport = Transport(user_agent="tests")
    discoverer = looking(release, role, transport)
    following = asyncio.create_task(discoverer.follow(lambda: None))
    try:
        async with asyncio.timeout(60):
            while (found := await discoverer.find()).failure is None:
                await asyncio.sleep(0.05)
            return found.failure.detail or ""
    except Failure as failure:
        return failure.detail or ""
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await transport.close()


async def test_bookmarks_tell_where_to_go_on(plane: Plane, helm: Helm, put: Put, model: Fake, tmp_path: Path) -> None:
    """Nothing happens to the Pods that are selected, and much to others: a bookmark tells how far that is."""
    with installed(plane, helm, tmp_path, {"config": config(model, "pod")}) as release:
        transport = Transport(user_agent="tests")
        try:
            api = Api(transport.calls, release.kubeconfig)
            selected = {"labelSelector": "app=llm"}
            _, version = await api.list("/api/v1/pods", selected)
            seen = []
            async for kind, found in api.watch("/api/v1/pods", selected, version, 6):
                seen.append((kind, found))
                if kind == "OPEN":
                    await asyncio.to_thread(put, objects.pod("other"))
            assert seen[0][0] == "OPEN"
            told = [found["metadata"]["resourceVersion"] for kind, found in seen if kind == "BOOKMARK"]
            assert told, seen
            assert int(told[-1]) > int(version)
            pod = put(objects.pod("a", labels={"app": "llm"}))
            _, (kind, found), *_ = [each async for each in api.watch("/api/v1/pods", selected, told[-1], 2)]
            assert (kind, found["metadata"]["uid"]) == ("ADDED", pod["metadata"]["uid"])
        finally:
            await transport.close()
