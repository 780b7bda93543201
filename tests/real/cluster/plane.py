"""A Kubernetes API server with its etcd, rights enforced, and a client that is its administrator.

No controller, scheduler or kubelet runs: Pods, EndpointSlices and statuses, which these would make, are made by hand.
"""

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.web import fetch, until

Object = dict[str, Any]

ADMIN = "admin-token"
#: Seconds for an answer.
_SLOW = 60.0


class Refused(Exception):
    """What the server does not do, in its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Plane:
    """`url` and `ca`: where it is, and what it is known by."""

    def __init__(self, folder: Path, etcd: str, server: str) -> None:
        self.folder = folder
        self._etcd_url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        self.ca = folder / "certs" / "apiserver.crt"
        #: By group and kind, what a collection is called, and whether it is in a namespace.
        self._kinds: dict[str, Mapping[str, tuple[str, bool]]] = {}
        (folder / "tokens.csv").write_text(f'{ADMIN},admin,1,"system:masters"\n')
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "accounts.key").write_bytes(key.private_bytes(*form))
        options = {
            "name": "a", "data-dir": folder / "etcd", "listen-client-urls": self._etcd_url,
            "advertise-client-urls": self._etcd_url, "listen-peer-urls": peer, "initial-advertise-peer-urls": peer,
            "initial-cluster": f"a={peer}", "log-level": "error", "unsafe-no-fsync": "true",
        }  # fmt: skip
        self._etcd = Process("etcd", [etcd, *_flags(options)], folder)
        options = {
            "etcd-servers": self._etcd_url, "bind-address": "127.0.0.1", "secure-port": self._port,
            "cert-dir": folder / "certs", "authorization-mode": "RBAC", "token-auth-file": folder / "tokens.csv",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": folder / "accounts.key",
            "service-account-signing-key-file": folder / "accounts.key",
            "service-cluster-ip-range": "10.96.0.0/16,fd00:96::/112",
            "endpoint-reconciler-type": "none",
        }  # fmt: skip
        try:
            self._server = Process("kube-apiserver", [server, *_flags(options)], folder)
            self._wait()
        except BaseException:
            self.kill()
            raise

    def restart(self, *, forget: bool = False) -> None:
        """Break every connection to it. With `forget` what happened before is too long ago to go on from."""
        self._server.kill()
        if forget:
            found = self._ask_etcd("range", {"key": _text("/registry/health")})
            self._ask_etcd("compaction", {"revision": found["header"]["revision"], "physical": True})
        self._server.start()
        self._wait()

    def ask(self, method: str, path: str, body: Object | None = None, *, token: str = ADMIN, **query: str) -> Object:
        """One request; raises `Refused`. A body of PATCH is a merge patch."""
        context = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=_SLOW, context=context)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        try:
            route = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, route, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise Refused(response.status, text)
        plain = "watch" in query or not text.startswith("{")
        found: Object = {"text": text} if plain else json.loads(text)
        return found

    def place(self, found: Object, namespace: str = "default") -> str:
        """The path of an object's collection. `namespace` is where it goes when it names none."""
        group = found["apiVersion"]
        if group not in self._kinds:
            self._kinds[group] = self._served(group)
        plural, namespaced = self._kinds[group][found["kind"]]
        where = f"namespaces/{found['metadata'].get('namespace', namespace)}/" if namespaced else ""
        return f"{_root(group)}/{where}{plural}"

    def define(self, definition: Object) -> None:
        """Install a CustomResourceDefinition, and wait until its objects are served."""
        self.put(definition)
        spec = definition["spec"]
        (version,) = (each["name"] for each in spec["versions"] if each["storage"])
        group, kind = f"{spec['group']}/{version}", spec["names"]["kind"]
        until(f"{kind} to be served", lambda: kind in self._served(group), within=60)
        self._kinds.pop(group, None)

    def has(self, found: Object, namespace: str = "default") -> bool:
        """Whether there is such an object."""
        try:
            self.ask("GET", f"{self.place(found, namespace)}/{found['metadata']['name']}")
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        return True

    def put(self, found: Object) -> Object:
        """Make an object, or change it to this one; `status` too, which is a resource of its own. Of a Pod that is
        there the rest cannot be changed.
        """
        place, name = self.place(found), found["metadata"]["name"]
        fixed = ("status", "spec") if found["kind"] == "Pod" else ("status",)
        try:
            made = self.ask("POST", place, found)
        except Refused as refused:
            if refused.status != 409:
                raise
            made = self.ask("PATCH", f"{place}/{name}", {key: found[key] for key in found if key not in fixed})
        if "status" in found:
            made = self.ask("PATCH", f"{place}/{name}/status", {"status": found["status"]})
        return made

    def delete(self, found: Object) -> None:
        """Delete it at once: nobody ends the containers of a Pod here."""
        path = f"{self.place(found)}/{found['metadata']['name']}"
        self.ask("DELETE", path, {"gracePeriodSeconds": 0} if found["kind"] == "Pod" else None)

    def namespace(self, name: str) -> str:
        """A namespace with the account that Pods have; made when it is not there."""
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        about = {"name": "default", "namespace": name}
        self.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
        return name

    def token(self, namespace: str, account: str) -> str:
        """A token of an account, as kubelet gets it for a pod."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        about = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        return str(self.ask("POST", path, about)["status"]["token"])

    def kubeconfig(self, path: Path, token: str = ADMIN, namespace: str = "default") -> str:
        """How to reach it as the owner of a token."""
        here = {"cluster": "here", "user": "who", "namespace": namespace}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": here}],
            "clusters": [{"name": "here", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "who", "user": {"token": token}}],
        }  # fmt: skip
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return str(path)

    def _served(self, group: str) -> Mapping[str, tuple[str, bool]]:
        try:
            listed = self.ask("GET", _root(group))["resources"]
        except Refused:
            return {}
        return {each["kind"]: (each["name"], each["namespaced"]) for each in listed if "/" not in each["name"]}

    def _ask_etcd(self, what: str, body: Object) -> Any:
        answer = fetch(f"{self._etcd_url}/v3/kv/{what}", method="POST", body=body)
        assert answer.status == 200, answer.body
        return answer.json()

    def _wait(self) -> None:
        def ready() -> bool:
            for process in (self._etcd, self._server):
                assert process.returncode is None, f"{process.name} ended:\n{process.tail()}"
            try:
                return self.ca.exists() and "ok" in self.ask("GET", "/readyz")["text"]
            except (OSError, http.client.HTTPException, Refused):
                return False

        until("the API server", ready, within=300, log=self._server.tail)

    def kill(self) -> None:
        """End both."""
        for process in (getattr(self, "_server", None), self._etcd):
            if process is not None:
                process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


def _flags(options: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _root(group: str) -> str:
    return f"/apis/{group}" if "/" in group else f"/api/{group}"


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
