"""Targets that are what runs in a Kubernetes cluster: followed as it changes, and left alone when scaled to zero."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cluster import Cluster, endpoints, inference, pod, predictor, service
from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.scrape import Scrape
from tests.support.web import until

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}


class Beside:
    """A cluster in a thread: its calls happen on its own loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.api = Cluster()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> "Beside":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.api.__aenter__(), self.loop).result(10)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self.api.__aexit__(None, None, None), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def do(self, what: Callable[..., Any], *given: Any) -> None:
        """Call it on the cluster's loop."""

        async def done() -> None:
            what(*given)

        asyncio.run_coroutine_threadsafe(done(), self.loop).result(10)

    def put(self, plural: str, found: dict[str, Any]) -> None:
        self.do(self.api.put, plural, found)


@pytest.fixture
def cluster() -> Iterator[Beside]:
    with Beside() as running:
        yield running


@pytest.fixture
def model() -> Iterator[Fake]:
    def answer(request: Request) -> Reply:
        if request.path == "/v1/models":
            return 200, json.dumps({"object": "list", "data": [{"id": "llama", "object": "model"}]}), JSON
        return 200, "{}", JSON

    with Fake(answer) as server:
        yield server


def config(kubeconfig: str, fake: Fake, role: str, **more: Any) -> dict[str, Any]:
    """Everything of a cluster, at the address of a fake: those of Pods lead nowhere."""
    entry = {
        "kubernetes": {"role": role, "kubeconfig": kubeconfig, **more},
        "name": "k8s",
        "module": "m",
        "relabel_configs": [
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"target_label": "__address__", "replacement": f"127.0.0.1:{fake.port}"},
        ],
    }
    quick = {"interval": "200ms", "timeout": "2s"}
    return {"defaults": quick, "modules": {"m": {"protocol": "http", "probes": {"health": {}}}}, "discovery": [entry]}


def until_targets(daemon: Daemon, *names: str) -> Scrape:
    def reached() -> Scrape | None:
        scrape = daemon.scrape()
        found = {sample.labels["target"] for sample in scrape.all("model_probe_state")}
        return scrape if found == set(names) else None

    scrape: Scrape = until(f"the targets {names}", reached, within=20, log=daemon.process.tail)
    return scrape


def unseen(api: Cluster) -> None:
    """All Pods but one go, and it is too long ago to be told."""
    api.cut()
    api.forget("pods")
    api.put("pods", pod("a"))


def test_pods_are_targets_while_they_are_there(tmp_path: Path, cluster: Beside, model: Fake) -> None:
    cluster.put("pods", pod("a"))
    with Daemon(tmp_path, config(cluster.api.kubeconfig(tmp_path), model, "pod")) as daemon:
        until_targets(daemon, "models/a")
        before = daemon.until_state("models/a", "healthy", within=20)
        assert before.value("model_exporter_targets", source="k8s") == 1
        assert list(before.all("model_probe_up", target="models/a", namespace="models"))
        cluster.put("pods", pod("b", "other"))
        until_targets(daemon, "models/a", "other/b")
        daemon.until_state("other/b", "healthy", within=20)
        # What happens while nobody can see it, and is too old to be told, is seen when the server is back.
        cluster.do(unseen, cluster.api)
        after = until_targets(daemon, "models/a")
        assert 'target="other/b"' not in after.text
        runs = [one.value("model_probe_runs_total", target="models/a", probe="health")
                for one in (before, after)]  # fmt: skip
        assert 0 < (runs[0] or 0) <= (runs[1] or 0), "the unchanged target's counters began again"
        assert after.value("model_exporter_discovery_failures_total", source="k8s") == 0
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.process.stderr


def test_a_right_that_is_missing_is_told_and_leaves_what_was_found(
    tmp_path: Path, cluster: Beside, model: Fake
) -> None:
    cluster.put("pods", pod("a"))
    with Daemon(tmp_path, config(cluster.api.kubeconfig(tmp_path), model, "pod")) as daemon:
        daemon.until_state("models/a", "healthy", within=20)
        cluster.api.forbidden = {("list", "pods"), ("watch", "pods")}
        cluster.do(cluster.api.cut)
        failures = "model_exporter_discovery_failures_total"
        scrape = until(
            "a failure to be counted", lambda: (s := daemon.scrape()).value(failures, source="k8s") and s, within=20
        )
        assert list(scrape.all("model_probe_state", target="models/a"))
        assert "pods is forbidden" in daemon.process.stderr
        assert "cluster-token" not in daemon.process.stderr


@pytest.mark.parametrize("role", ["service", "inferenceservice"])
def test_what_is_scaled_to_zero_is_never_asked(tmp_path: Path, cluster: Beside, model: Fake, role: str) -> None:
    def workload(name: str) -> None:
        made = service(name) if role == "service" else inference(name, minReplicas=0)
        made["metadata"]["annotations"] = {"model-exporter/probe": "true", "model-exporter/path": f"/{name}"}
        cluster.put(f"{role}s", made)

    def scale(name: str, *addresses: str) -> None:
        if role == "service":
            cluster.put("endpointslices", endpoints(name, *addresses))
        elif addresses:
            cluster.put("pods", predictor(name, f"{name}-0", ip=addresses[0]))
        else:
            cluster.do(cluster.api.delete, "pods", "models", f"{name}-0")

    def asked() -> int:
        return sum(request.path == "/a" for request in model.requests)

    def runs(of: str) -> float:
        return daemon.scrape().value("model_probe_runs_total", target=of, probe="health") or 0

    a, b = ("models/a", "models/b") if role == "service" else ("models/a/a-0", "models/b/b-0")
    workload("a")
    workload("b")
    scale("b", "10.1.0.2")
    with Daemon(tmp_path, config(cluster.api.kubeconfig(tmp_path), model, role)) as daemon:
        asleep = "model_exporter_discovery_asleep"
        scrape = daemon.until_state(b, "healthy", within=20)
        assert scrape.value(asleep, source="k8s") == 1
        until("more runs of the other", lambda: runs(b) > 3, within=20)
        assert asked() == 0, "it was woken"
        scale("a", "10.1.0.1")
        scrape = daemon.until_state(a, "healthy", within=20)
        assert scrape.value(asleep, source="k8s") == 0
        assert asked()
        scale("a")
        until_targets(daemon, b)
        before, known = asked(), runs(b)
        until("more runs of the other", lambda: runs(b) > known + 3, within=20)
        assert asked() <= before + 1, "asked on while it should sleep: at most a run was under way"
