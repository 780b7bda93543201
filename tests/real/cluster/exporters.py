"""The exporter as the chart installs it: with its config, its account and its rights, but run here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chart.charts import Object, every, one
from tests.real.cluster.plane import Plane
from tests.support.daemon import Daemon
from tests.support.fake import Fake
from tests.support.scrape import Scrape
from tests.support.web import until


def config(model: Fake, *roles: str, **more: Any) -> Object:
    """An entry for each role, all at the address of a fake: those of Pods lead nowhere. Names begin with the role."""
    quick = {"interval": "200ms", "timeout": "2s"}
    entries = [
        {
            "kubernetes": {"role": role, **more}, "name": role, "module": "m",
            "relabel_configs": [
                {"source_labels": ["__target__"], "target_label": "__target__", "replacement": f"{role}:$1"},
                {"target_label": "__address__", "replacement": f"127.0.0.1:{model.port}"},
            ],
        }
        for role in roles
    ]  # fmt: skip
    return {"defaults": quick, "modules": {"m": {"protocol": "http", "probes": {"health": {}}}}, "discovery": entries}


class Installed:
    """A release: its objects, and its account with a kubeconfig."""

    def __init__(self, plane: Plane, folder: Path, objects: list[Object]) -> None:
        self.plane = plane
        self.objects = objects
        self.account = one(objects, "ServiceAccount")["metadata"]["name"]
        self.token = plane.token("models", self.account)
        self.kubeconfig = plane.kubeconfig(folder / "account", self.token, "models")
        self._folder = folder

    def daemon(self, name: str = "exporter") -> Daemon:
        """With the config that is in the cluster, and no other rights than those that are."""
        written = one(self.objects, "ConfigMap")
        found = self.plane.ask("GET", f"{self.plane.place(written)}/{written['metadata']['name']}")
        text = found["data"]["config.yaml"]
        return Daemon(self._folder, text, env={"KUBECONFIG": self.kubeconfig}, name=name)

    def may(self, verb: str, group: str, plural: str) -> bool:
        """What the server itself says of the account's rights."""
        asked = {"verb": verb, "group": group, "resource": plural, "namespace": "models"}
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }  # fmt: skip
        found = self.plane.ask("POST", self.plane.place({**review, "metadata": {}}), review, token=self.token)
        return bool(found["status"]["allowed"])


@contextmanager
def installed(
    plane: Plane, helm: Callable[..., list[Object]], folder: Path, values: Object, name: str = "release"
) -> Iterator[Installed]:
    """A release while it lasts."""
    try:
        yield Installed(plane, folder, helm("install", name, values))
    finally:
        helm("uninstall", name)


def until_targets(daemon: Daemon, *names: str) -> Scrape:
    """Wait until exactly these are watched."""

    def found() -> set[str]:
        return {sample.labels["target"] for sample in daemon.scrape().all("model_probe_state")}

    def log() -> str:
        return f"there are {sorted(found())}; the log ends:\n{daemon.process.tail()}"

    until(f"the targets {names}", lambda: found() == set(names), within=60, log=log)
    return daemon.scrape()


def rights(objects: list[Object]) -> list[Object]:
    """The roles of a release."""
    return [*every(objects, "ClusterRole"), *every(objects, "Role")]
