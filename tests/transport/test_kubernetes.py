"""Where the Kubernetes API is: kubeconfigs as their documentation has them, and the account of a pod."""

import stat
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.model.endpoint import Basic, Bearer
from exporter.model.failure import Failure
from exporter.transport import kubernetes, secrets
from exporter.transport.kubernetes import find

TOKEN = {"token": "s3cr3t-token"}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def write(path: Path, user: Any = None, cluster: Any = None, **more: Any) -> str:
    """A kubeconfig with one context, `a`."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "models"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": TOKEN if user is None else user}],
        **more,
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


async def test_a_token(tmp_path: Path) -> None:
    found = await find(write(tmp_path / "config"))
    assert found.namespace == "models"
    endpoint = found.endpoint
    assert (endpoint.scheme, endpoint.host, endpoint.port) == ("https", "10.0.0.1", 6443)
    assert isinstance(endpoint.auth, Bearer)
    assert secrets.read(endpoint.auth.token) == "s3cr3t-token"
    assert "s3cr3t" not in repr(found)


async def test_certificates_in_files_and_in_the_kubeconfig(tmp_path: Path) -> None:
    user = {"client-certificate": "me.crt", "client-key-data": b64encode(b"the key").decode()}
    cluster = {"certificate-authority": "/etc/ca.crt", "tls-server-name": "api.internal"}
    tls = (await find(write(tmp_path / "config", user, cluster))).endpoint.tls
    assert (tls.cert_file, tls.ca_file, tls.server_name) == (str(tmp_path / "me.crt"), "/etc/ca.crt", "api.internal")
    assert tls.key_file is not None
    assert Path(tls.key_file).read_bytes() == b"the key"
    assert stat.S_IMODE(Path(tls.key_file).stat().st_mode) == 0o600
    assert not tls.insecure_skip_verify


async def test_a_password_and_a_path_and_a_proxy(tmp_path: Path) -> None:
    user = {"username": "me", "password": "pw"}
    cluster = {"server": "http://rancher/k8s/clusters/1/", "proxy-url": "http://proxy:3128"}
    endpoint = (await find(write(tmp_path / "config", user, cluster))).endpoint
    assert isinstance(endpoint.auth, Basic)
    assert endpoint.url == "http://rancher/k8s/clusters/1"
    assert endpoint.proxy is not None
    assert endpoint.proxy.name == "proxy:3128"


async def test_a_program_that_makes_the_token(tmp_path: Path) -> None:
    code = (
        "import json,os; about=json.loads(os.environ['KUBERNETES_EXEC_INFO']); "
        "print(json.dumps({'kind':'ExecCredential','status':{'token':os.environ['WHO']+about['apiVersion']}}))"
    )
    program = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": ["-c", code],
        "env": [{"name": "WHO", "value": "made-for-"}],
    }  # fmt: skip
    endpoint = (await find(write(tmp_path / "config", {"exec": program}))).endpoint
    assert isinstance(endpoint.auth, Bearer)
    assert secrets.read(endpoint.auth.token) == "made-for-client.authentication.k8s.io/v1"


async def test_several_files_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "first", contexts=[], users=[])
    second = write(tmp_path / "second", {"token": "of-the-second"}, {"server": "https://second"})
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    endpoint = (await find()).endpoint
    assert endpoint.host == "10.0.0.1"
    assert isinstance(endpoint.auth, Bearer)
    assert secrets.read(endpoint.auth.token) == "of-the-second"


async def test_from_within_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "namespace").write_text("ml\n")
    found = await find()
    assert (found.namespace, found.endpoint.url) == ("ml", "https://[fd00::1]:6443")
    assert found.endpoint.tls.ca_file == str(tmp_path / "ca.crt")
    assert isinstance(found.endpoint.auth, Bearer)
    (tmp_path / "token").write_text("second token\n")
    assert secrets.read(found.endpoint.auth.token) == "second token"
    # A kubeconfig that is named goes before.
    assert (await find(write(tmp_path / "config"))).namespace == "models"


@pytest.mark.parametrize(
    ("user", "cluster", "more", "why"),
    [
        (None, {"server": "10.0.0.1:6443"}, {}, "no server with http or https"),
        (None, None, {"current-context": ""}, "has no current-context"),
        (None, None, {"users": []}, "has no user 'u'"),
        (None, None, {"clusters": []}, "has no cluster 'c'"),
        (None, {"certificate-authority-data": "%%"}, {}, "certificate-authority-data is not base64"),
        (None, {"proxy-url": "socks5://p:1"}, {}, "proxy-url is not that of an http proxy"),
        ({"exec": {"command": "no-such-program"}}, None, {}, "cannot run no-such-program"),
        ({"exec": {"command": "false"}}, None, {}, "false ended with 1 and printed no token"),
    ],
)
async def test_what_is_wrong_is_said_with_its_file(
    tmp_path: Path, user: Any, cluster: Any, more: Any, why: str
) -> None:
    path = write(tmp_path / "config", user, cluster, **more)
    with pytest.raises(Failure, match=why) as caught:
        await find(path)
    assert caught.value.detail.startswith(f"kubeconfig {path}: ")
    assert "s3cr3t" not in caught.value.detail


async def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="has no context 'b'"):
        await find(write(tmp_path / "config"), "b")


@pytest.mark.parametrize(("text", "why"), [("a: [", "not YAML"), ("- a", "not a kubeconfig")])
async def test_a_file_of_something_else(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(Failure, match=why):
        await find(str(tmp_path / "config"))


async def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"home/\.kube/config: No such file"):
        await find()
