"""The chart as Helm renders it: `sh tests/real/servers/install.sh helm`, then `pytest tests/chart`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.generate import DASHBOARDS, RULES
from tests.chart.charts import CASES, CHART, ROOT, Object, Refused, Render, container, every, labels, one, pod

pytestmark = pytest.mark.real

NAMES = ["y", "1", "null", "on", "1e3", "0x10", "model-exporter", "a" * 53]


def values(case: str) -> Object:
    found: Object = yaml.safe_load((CHART / "ci" / f"{case}-values.yaml").read_text())
    return found


@pytest.mark.parametrize("case", [None, *CASES], ids=lambda path: path.stem if path else "defaults")
def test_lint_has_nothing_to_say(tool: Callable[[str], str], case: Path | None) -> None:
    more = ["--values", str(case)] if case else []
    command = [tool("helm"), "lint", "--strict", str(CHART), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", [None, *CASES], ids=lambda path: path.stem if path else "defaults")
def test_what_is_text_stays_text(render: Render, name: str, case: Path | None) -> None:
    objects = render(yaml.safe_load(case.read_text()) if case else {}, name=name)
    assert len(objects) >= 3
    for each in objects:
        for key, value in labels(each):
            assert isinstance(key, str), each
            assert isinstance(value, str), (each, key)
        assert isinstance(each["metadata"]["name"], str)
        assert isinstance(each["metadata"].get("namespace", ""), str)
    service = one(objects, "Service")["metadata"]["name"]
    assert service[0].isalpha()
    assert len(service) <= 63
    assert pod(objects)["metadata"]["labels"]["app.kubernetes.io/instance"] == name


def test_every_object_has_one_place(render: Render) -> None:
    """Two objects of one kind and name would overwrite each other."""
    for case in CASES:
        objects = render(yaml.safe_load(case.read_text()))
        places = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
        assert len(places) == len(set(places)), case


def test_the_defaults_are_small_and_closed(render: Render) -> None:
    objects = render()
    assert sorted(each["kind"] for each in objects) == ["ConfigMap", "Deployment", "Pod", "Service"]
    spec = pod(objects)["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    tester = one(objects, "Pod")
    for each in (container(objects), *tester["spec"]["containers"]):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert each["image"] == "model-exporter:0.1.0"
    assert tester["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container(objects)["readinessProbe"]["httpGet"]["path"] == "/-/ready"
    assert container(objects)["livenessProbe"]["httpGet"]["path"] == "/-/healthy"


def test_selectors_meet_the_pods(render: Render) -> None:
    objects = render(values("everything"))
    of_pods = pod(objects)["metadata"]["labels"].items()
    selectors = [
        one(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(objects, "PodMonitor")["spec"]["selector"]["matchLabels"],
        pod(objects)["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= of_pods
        assert not selector.items() <= one(objects, "Pod")["metadata"]["labels"].items()
    monitor = one(objects, "ServiceMonitor")["spec"]
    service = one(objects, "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["sampleLimit"] == 1000000
    port = container(objects)["ports"][0]["name"]
    assert one(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"] == port
    assert service["spec"]["ports"][0]["targetPort"] == port


def test_labels_that_select_cannot_be_changed(render: Render) -> None:
    objects = render({"commonLabels": {"app.kubernetes.io/name": "x", "team": "a"}, "pod": {"labels": {"team": "b"}}})
    assert pod(objects)["metadata"]["labels"]["app.kubernetes.io/name"] == "model-exporter"
    assert pod(objects)["metadata"]["labels"]["team"] == "b"
    assert one(objects, "Service")["metadata"]["labels"]["team"] == "a"


def test_the_config_is_what_was_given(render: Render, tmp_path: Path) -> None:
    config = {
        "limits": {"per_host": 8, "concurrency": 1000000},
        "targets": [
            {
                "name": "on",
                "url": "http://127.0.0.1:8000",
                "protocol": "openai",
                "model": "1e3",
                "labels": {"zone": "null", "team": "y"},
                "probes": {"stream": {"prompt": 'Say "OK".\n  {{ .Values }} $HOME: yes'}},
            }
        ],
    }
    for kind, key in (("ConfigMap", "data"), ("Secret", "stringData")):
        objects = render({"config": config, "secretConfig": kind == "Secret"})
        text = one(objects, kind)[key]["config.yaml"]
        assert yaml.safe_load(text) == config
        (tmp_path / "config.yaml").write_text(text)
        result = CliRunner().invoke(main, ["check", str(tmp_path / "config.yaml")])
        assert result.exit_code == 0, result.output


def test_a_changed_config_restarts_nothing(render: Render) -> None:
    before, after = (render({"config": {"targets": [{"url": f"http://127.0.0.1:{port}"}]}}) for port in (1, 2))
    assert one(before, "ConfigMap") != one(after, "ConfigMap")
    assert one(before, "Deployment") == one(after, "Deployment")
    (mount,) = container(before)["volumeMounts"]
    assert mount == {"name": "config", "mountPath": "/etc/model-exporter", "readOnly": True}


def test_an_existing_secret_is_the_config(render: Render) -> None:
    objects = render(values("secret"))
    assert not every(objects, "ConfigMap")
    (volume,) = pod(objects)["spec"]["volumes"]
    items = [{"key": "models.yml", "path": "config.yaml"}]
    assert volume == {"name": "config", "secret": {"secretName": "exporter-config", "items": items}}
    assert "--config=/etc/model-exporter/config.yaml" in container(objects)["args"]


def test_the_command_line_is_understood(render: Render) -> None:
    """Each option is read before the file is, and the file is none."""
    for case in CASES:
        args = [arg.replace("$(SHARD)", "0") for arg in container(render(yaml.safe_load(case.read_text())))["args"]]
        options = [arg for arg in args[1:] if not arg.startswith("--config")]
        result = CliRunner().invoke(main, ["run", f"--config={CHART / 'values.yaml'}", *options])
        assert result.output.startswith(f"{CHART / 'values.yaml'}:"), result.output


def test_shards_count_themselves(render: Render) -> None:
    objects = render(values("shards"))
    stateful = one(objects, "StatefulSet")
    assert stateful["spec"]["serviceName"] == one(objects, "Service")["metadata"]["name"]
    assert stateful["spec"]["replicas"] == 3
    assert "--shard=$(SHARD)/3" in container(objects)["args"]
    (variable,) = container(objects)["env"]
    assert variable["name"] == "SHARD"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert one(objects, "Service")["spec"]["clusterIP"] == "None"
    name = "release-model-exporter"
    assert one(objects, "ScrapeConfig")["spec"]["staticConfigs"][0]["targets"] == [
        f"{name}-{shard}.{name}-shards.models.svc:10838" for shard in range(3)
    ]


@pytest.mark.parametrize(
    ("kind", "host"), [("Deployment", "r.models.svc:80"), ("StatefulSet", "r-shards.models.svc:9")]
)
def test_the_exporter_is_asked_where_it_is(render: Render, kind: str, host: str) -> None:
    """A Service without an address of its own leads to the ports of pods."""
    objects = render({"kind": kind, "fullnameOverride": "r", "containerPort": 9, "service": {"port": 80}})
    urls = sorted(each["args"][-1] for each in one(objects, "Pod")["spec"]["containers"])
    assert urls == [f"http://{host}/-/ready", f"http://{host}/metrics"]
    assert host.startswith(one(objects, "Service")["metadata"]["name"] + ".")


def reading(*roles: str, **more: str) -> Object:
    return {"config": {"discovery": [{"kubernetes": {"role": role, **more}} for role in roles]}}


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({}, None),
        ({"config": {"training": [{"job": "a", "file": {"path": "/a"}}]}}, None),
        ({"config": {"training": [{"job": "a", "kubernetes": {"pod": "a", "kubeconfig": "/k"}}]}}, None),
        ({"config": {"training": [{"job": "a", "kubernetes": {"pod": "a"}}]}}, [["pods"], ["pods/log"]]),
        (reading("pod"), [["pods"]]),
        (reading("service"), [["services"], ["endpointslices"]]),
        (reading("endpointslice"), [["services"], ["endpointslices"]]),
        (reading("inferenceservice", "pod"), [["pods"], ["inferenceservices"]]),
        (reading("service", kubeconfig="/k"), None),
        ({"rbac": {"discovery": True}}, [["services"], ["endpointslices"], ["pods"], ["inferenceservices"]]),
        (reading("service") | {"rbac": {"resources": ["pods"]}}, [["pods"]]),
        (reading("service") | {"rbac": {"discovery": False}}, None),
        ({"rbac": {"discovery": True, "create": False}}, []),
    ],
)
def test_rights_are_given_only_where_they_are_needed(
    render: Render, given: Object, rules: list[list[str]] | None
) -> None:
    objects = render(given)
    found = every(objects, "ClusterRole")
    assert [rule["resources"] for each in found for rule in each["rules"]] == (rules or [])
    assert len(every(objects, "ServiceAccount")) == (rules is not None)
    assert pod(objects)["spec"]["automountServiceAccountToken"] is (rules is not None)
    assert len(every(objects, "ClusterRoleBinding")) == len(found)


def test_nothing_may_be_written(render: Render) -> None:
    for case in CASES:
        for each in render(yaml.safe_load(case.read_text())):
            for rule in each.get("rules") or []:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}
                assert "*" not in rule["resources"] + rule["apiGroups"]


def test_what_is_discovered_is_listed_and_watched_and_no_more(render: Render) -> None:
    role = one(render(reading("pod", "service", "inferenceservice")), "ClusterRole")
    assert [rule["verbs"] for rule in role["rules"]] == 4 * [["list", "watch"]]


def test_roles_of_namespaces(render: Render) -> None:
    objects = render(values("discovery"))
    roles, bindings = every(objects, "Role"), every(objects, "RoleBinding")
    assert [role["metadata"]["namespace"] for role in roles] == ["jobs", "models"]
    assert [binding["metadata"]["namespace"] for binding in bindings] == ["jobs", "models"]
    assert not every(objects, "ClusterRole")
    account = one(objects, "ServiceAccount")["metadata"]
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
        assert binding["roleRef"]["name"] in [role["metadata"]["name"] for role in roles]


def groups() -> list[Object]:
    return [
        group
        for name in sorted(RULES)
        for group in yaml.safe_load((ROOT / "deploy/rules" / name).read_text())["groups"]
    ]


def test_rules_are_those_that_are_shipped(render: Render) -> None:
    assert one(render({"prometheusRule": {"enabled": True}}), "PrometheusRule")["spec"]["groups"] == groups()


def test_rules_can_be_adapted(render: Render) -> None:
    found = one(render(values("everything")), "PrometheusRule")
    assert found["metadata"]["labels"]["release"] == "prometheus"
    *changed, own = found["spec"]["groups"]
    assert own["name"] == "own"
    alerts = [rule for group in changed for rule in group["rules"] if "alert" in rule]
    shipped = [rule for group in groups() for rule in group["rules"] if "alert" in rule]
    kept = [rule for rule in shipped if rule["alert"] != "ModelSaturated"]
    assert len(kept) < len(shipped)
    assert [rule["alert"] for rule in alerts] == [rule["alert"] for rule in kept]
    for rule, before in zip(alerts, kept, strict=True):
        assert rule["expr"] == before["expr"]
        assert rule["labels"] == before["labels"] | {"team": "models"}
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example/runbooks/{rule['alert']}.md"
        assert rule["annotations"]["description"] == before["annotations"]["description"]
        assert "dashboard" in rule["annotations"]


def test_dashboards_are_those_that_are_shipped(render: Render) -> None:
    objects = render({"dashboards": {"enabled": True, "namespace": "grafana", "annotations": {"grafana_folder": "M"}}})
    boards = [each for each in every(objects, "ConfigMap") if "dashboard" in each["metadata"]["name"]]
    found = {}
    for board in boards:
        assert board["metadata"]["namespace"] == "grafana"
        assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert board["metadata"]["annotations"] == {"grafana_folder": "M"}
        found |= board["data"]
    assert found == {
        f"model-exporter-{name}.json": (ROOT / f"deploy/dashboards/{name}.json").read_text() for name in DASHBOARDS
    }


def test_a_service_account_that_exists_is_used(render: Render) -> None:
    objects = render({"serviceAccount": {"create": False, "name": "mine"}, "rbac": {"discovery": True}})
    assert not every(objects, "ServiceAccount")
    assert pod(objects)["spec"]["serviceAccountName"] == "mine"
    assert one(objects, "ClusterRoleBinding")["subjects"][0]["name"] == "mine"


def test_probes_go_through_the_exporter(render: Render) -> None:
    first, second = every(render(values("everything")), "Probe")
    assert first["spec"]["prober"] == {"url": "release-model-exporter.models.svc:10838", "path": "/probe"}
    assert first["spec"]["module"] == "chat"
    assert first["spec"]["targets"]["staticConfig"] == {"static": ["http://chat.models:8000"], "labels": {"team": "on"}}
    assert second["metadata"]["name"] == "release-model-exporter-chat-2"
    assert second["spec"]["module"] == "Chat_2"


def test_who_may_reach_it(render: Render) -> None:
    def sources(given: Object) -> list[Object] | None:
        (rule,) = one(render({"networkPolicy": {"enabled": True} | given}), "NetworkPolicy")["spec"]["ingress"]
        found: list[Object] | None = rule.get("from")
        return found

    assert sources({}) is None
    tester = {"podSelector": {"matchLabels": one(render(), "Pod")["metadata"]["labels"]}}
    assert tester["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "model-exporter-test"
    peer = {"podSelector": {"matchLabels": {"app": "ops"}}}
    assert sources({"from": [peer]}) == [tester, peer]
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert sources({"allowMonitoringNamespace": True}) == [monitoring, tester]


def test_images_and_their_secrets(render: Render) -> None:
    digest = "sha256:" + "0" * 64
    image = {
        "registry": "a.example",
        "repository": "b/c",
        "tag": "1",
        "digest": digest,
        "pullSecrets": ["x", {"name": "y"}],
    }
    objects = render({"image": image})
    assert container(objects)["image"] == f"a.example/b/c@{digest}"
    assert pod(objects)["spec"]["imagePullSecrets"] == [{"name": "x"}, {"name": "y"}]
    objects = render(
        {"image": image | {"digest": ""}, "global": {"imageRegistry": "g.example", "imagePullSecrets": ["g"]}}
    )
    assert container(objects)["image"] == "g.example/b/c:1"
    assert [each["name"] for each in pod(objects)["spec"]["imagePullSecrets"]] == ["g", "x", "y"]


def test_on_the_network_of_the_node(render: Render) -> None:
    spec = pod(render({"hostNetwork": True}))["spec"]
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert "dnsPolicy" not in pod(render())["spec"]


def test_helm_refuses_what_the_schema_does(render: Render) -> None:
    for given in ({"replica": 2}, {"kind": "DaemonSet"}, {"pod": {"labels": {"a": 1}}}):
        with pytest.raises(Refused, match="values don't meet the specifications"):
            render(given)


def test_an_older_kubernetes_is_refused(render: Render) -> None:
    with pytest.raises(Refused, match=r"requires kubeVersion: >=1\.29"):
        render(more=("--kube-version", "1.28.0"))


def test_the_readme_is_in_step(tool: Callable[[str], str]) -> None:
    command = [tool("helm-docs"), "--chart-search-root", str(CHART), "--dry-run", "--log-level", "error"]
    command += ["--sort-values-order", "file", "--skip-version-footer"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (CHART / "README.md").read_text().strip()
