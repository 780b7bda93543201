"""Where the Kubernetes API is, and who we are there: from a kubeconfig, or from within a pod.

Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files", "Accessing the Kubernetes API from a Pod",
and client-authentication.k8s.io/v1 for users whose token a program prints. What is found is an endpoint like any other:
a token in a file is read again when it changes, as the one of a pod does every hour.
"""

import asyncio
import json
import os
import stat
import tempfile
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from exporter.model.endpoint import Basic, Bearer, Endpoint, Proxy, Service, Standing, Tls
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret

#: Where a pod finds its account.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_BYTES = 10_000_000
#: Seconds a program may take to print a token.
_PROGRAM = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kubernetes API: how to reach it, and the namespace that is meant where none is named."""

    endpoint: Endpoint
    namespace: str = "default"

    @property
    def service(self) -> Service:
        """The same for calls that measure nothing."""
        known = self.endpoint.auth if isinstance(self.endpoint.auth, Standing) else None  # a cluster has no others
        return Service(self.endpoint.url, known, tls=self.endpoint.tls, proxy=self.endpoint.proxy)


async def find(kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """The cluster of a kubeconfig; without one that of `KUBECONFIG`, of the pod this runs in, or of `~/.kube/config`.

    `context` names a context of the kubeconfig, its current one otherwise. Raises `Failure(auth)` that says what is
    missing where, and nothing of what was found.
    """
    named = os.environ.get("KUBECONFIG", "") if kubeconfig is None else kubeconfig
    if not named and context is None and (inside := _inside()) is not None:
        return inside
    paths = [Path(path) for path in named.split(os.pathsep) if path] if named else [Path.home() / ".kube" / "config"]
    documents = await asyncio.to_thread(lambda: [(path, _read(path)) for path in paths])
    return await _Kubeconfig(documents).cluster(context)


def _inside() -> Cluster | None:
    """The cluster of the pod this runs in, None outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = ACCOUNT / "token"
    if not host or not port.isdigit() or not token.is_file():
        return None
    try:
        namespace = (ACCOUNT / "namespace").read_text().strip()
    except OSError:
        namespace = "default"
    auth = Bearer(Secret("file", str(token)))
    tls = Tls(ca_file=str(ACCOUNT / "ca.crt"))
    return Cluster(Endpoint("https", host, int(port), auth=auth, tls=tls), namespace)


class _Kubeconfig:
    """One or more kubeconfig files, of which the first that has a name decides."""

    def __init__(self, documents: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
        self._documents = documents
        self._shown = os.pathsep.join(str(path) for path, _ in documents)

    async def cluster(self, name: str | None) -> Cluster:
        """The cluster of a context."""
        current = (document.get("current-context") for _, document in self._documents)
        name = name or next((each for each in current if each), None)
        if not isinstance(name, str):
            raise self._wrong("has no current-context: name a context")
        _, context = self._entry("contexts", name, "context")
        folder, cluster = self._entry("clusters", context.get("cluster"), "cluster")
        url = cluster.get("server")
        parts = urlsplit(url if isinstance(url, str) else "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self._wrong(f"the cluster of context {name} has no server with http or https")
        secure = parts.scheme == "https"
        auth, certificate, key = await self._user(context.get("user"))
        endpoint = Endpoint(
            scheme="https" if secure else "http",
            host=parts.hostname,
            port=parts.port or (443 if secure else 80),
            path=parts.path.rstrip("/"),
            auth=auth,
            tls=Tls(
                ca_file=self._file(folder, cluster, "certificate-authority"),
                server_name=_text(cluster, "tls-server-name"),
                insecure_skip_verify=cluster.get("insecure-skip-tls-verify") is True,
                cert_file=certificate,
                key_file=key,
            ),
            proxy=self._proxy(cluster),
        )
        return Cluster(endpoint, _text(context, "namespace") or "default")

    async def _user(self, name: Any) -> tuple[Bearer | Basic | None, str | None, str | None]:
        """How a user is known: by a header, and by the files of a certificate and its key."""
        if not name:
            return None, None, None
        folder, user = self._entry("users", name, "user")
        auth: Bearer | Basic | None = None
        if path := _text(user, "tokenFile"):
            auth = Bearer(Secret("file", str(folder / path)))
        elif token := _text(user, "token"):
            auth = Bearer(Secret("inline", token))
        elif (username := _text(user, "username")) and (password := _text(user, "password")):
            auth = Basic(username, Secret("inline", password))
        elif isinstance(program := user.get("exec"), dict):
            auth = Bearer(Secret("inline", await self._printed(folder, program)))
        return auth, self._file(folder, user, "client-certificate"), self._file(folder, user, "client-key")

    async def _printed(self, folder: Path, program: Mapping[str, Any]) -> str:
        """The token a program prints as an ExecCredential."""
        command = _text(program, "command") or ""
        given = program.get("args")
        arguments = [str(each) for each in given] if isinstance(given, list) else []
        variables = {
            str(each.get("name")): str(each.get("value")) for each in program.get("env") or [] if isinstance(each, dict)
        }
        about = {"kind": "ExecCredential", "apiVersion": program.get("apiVersion"), "spec": {"interactive": False}}
        place = str(folder / command) if os.sep in command and not command.startswith(os.sep) else command
        try:
            process = await asyncio.create_subprocess_exec(
                place, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(about)},
            )  # fmt: skip
        except OSError as error:
            raise self._wrong(f"cannot run {command}, which makes the token: {error.strerror}") from None
        try:
            async with asyncio.timeout(_PROGRAM):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise self._wrong(f"{command}, which makes the token, took longer than {_PROGRAM:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            token = json.loads(printed)["status"]["token"]
        except (ValueError, KeyError, TypeError):
            token = None
        if not isinstance(token, str) or not token:
            raise self._wrong(f"{command} ended with {process.returncode} and printed no token")
        return token

    def _entry(self, section: str, name: Any, key: str) -> tuple[Path, Mapping[str, Any]]:
        """A named entry, and the folder its paths start at."""
        for path, document in self._documents:
            entries = document.get(section)
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
                    return path.absolute().parent, entry[key]
        raise self._wrong(f"has no {key} {str(name)[:100]!r}")

    def _file(self, folder: Path, block: Mapping[str, Any], key: str) -> str | None:
        """The file of a certificate or key; what is written into the kubeconfig itself is put into one that only we
        may read.
        """
        if data := _text(block, f"{key}-data"):
            try:
                content = b64decode(data, validate=True)
            except ValueError:
                raise self._wrong(f"{key}-data is not base64") from None
            return _kept(content)
        path = _text(block, key)
        return str(folder / path) if path else None

    def _proxy(self, cluster: Mapping[str, Any]) -> Proxy | None:
        url = _text(cluster, "proxy-url")
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or "@" in parts.netloc:
            raise self._wrong("proxy-url is not that of an http proxy without credentials")
        return Proxy(parts.hostname, parts.port or 80)

    def _wrong(self, what: str) -> Failure:
        return Failure(Reason.AUTH, f"kubeconfig {self._shown}: {what}")


#: Where certificates and keys lie that a kubeconfig holds itself; gone with the process, as far as it ends in order.
_folder: tempfile.TemporaryDirectory[str] | None = None


def _kept(content: bytes) -> str:
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="model-exporter-")
    descriptor, path = tempfile.mkstemp(dir=_folder.name)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
        file.write(content)
    return path


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
        document = yaml.safe_load(data)
    except OSError as error:
        raise Failure(Reason.AUTH, f"kubeconfig {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Failure(Reason.AUTH, f"kubeconfig {path}: it is not YAML") from None
    if not isinstance(document, dict):
        raise Failure(Reason.AUTH, f"kubeconfig {path}: it is not a kubeconfig")
    return document


def _text(block: Mapping[str, Any], key: str) -> str | None:
    value = block.get(key)
    return value if isinstance(value, str) and value else None
