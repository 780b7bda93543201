"""`--web-config` of the real process: read at start, read again when it or a file it names changes, never half."""

import base64
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.hostile import certificates
from tests.support import secure
from tests.support.daemon import Daemon
from tests.support.web import Answer, until

pytestmark = pytest.mark.slow

CONFIG = {"targets": [{"name": "a", "url": "http://127.0.0.1:1", "protocol": "http"}]}


def said(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    certificates.write(tmp_path)
    (tmp_path / "server.pem").write_bytes((tmp_path / "good.pem").read_bytes())
    return tmp_path


TLS = "tls_server_config: {cert_file: server.pem, key_file: server.pem}\n"


class Served:
    """The exporter behind a web config, asked over TLS."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self.folder = folder

    def write(self, text: str) -> None:
        fresh = self.folder / "web.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "web.yml")

    def get(self, path: str = "/metrics", headers: Any = None, method: str = "GET") -> Answer:
        return secure.fetch(self.daemon.port, path, ca=self.folder / "ca.crt", headers=headers, method=method)

    def until(self, what: str, status: int, headers: Any = None, path: str = "/metrics") -> None:
        def is_so() -> bool:
            try:
                return self.get(path, headers).status == status
            except ssl.SSLError:
                return status == 0
            except OSError:
                return False

        until(what, is_so, within=30, log=self.daemon.process.tail)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    (folder / "web.yml").write_text(TLS + f"basic_auth_users: {{alice: '{hashed('s3cr3t-one')}'}}\n")
    arguments = ["--web.config.file", str(folder / "web.yml")]
    with Daemon(folder, CONFIG, args=arguments, ready=False) as daemon:
        made = Served(daemon, folder)
        made.until("readiness over TLS, without a password", 200, path="/-/ready")
        yield made
        assert daemon.terminate() == 0
        told = daemon.process.stdout + daemon.process.stderr
        for never in (
            "s3cr3t",
            "$2b$",
            "Traceback",
            "Unclosed",
            "never retrieved",
            base64.b64encode(b"alice:")[:7].decode(),
        ):
            assert never not in told


def test_users_and_certificates_change_without_a_restart(served: Served, folder: Path) -> None:
    one, two = said("alice", "s3cr3t-one"), said("bob", "s3cr3t-two")
    assert served.get().status == 401
    assert served.get(headers=one).status == 200
    assert served.get(headers=two).status == 401
    served.write(TLS + f"basic_auth_users: {{bob: '{hashed('s3cr3t-two')}'}}\n")
    served.until("bob to be let in", 200, two)
    assert served.get(headers=one).status == 401

    (folder / "server.pem").write_bytes((folder / "self_signed.pem").read_bytes())
    served.until("the new certificate, which nobody here trusts", 0, two)
    (folder / "server.pem").write_bytes((folder / "near_expiry.pem").read_bytes())
    served.until("a certificate that is trusted again", 200, two)

    served.write(f"basic_auth_users: {{bob: '{hashed('s3cr3t-two')}'}}\n")
    plain = lambda: served.daemon.get("/metrics", headers=two).status  # noqa: E731
    served.until("TLS to be off", 0)
    until("plain HTTP", lambda: plain() == 200, within=30, log=served.daemon.process.tail)


def test_no_scrape_is_lost_while_it_changes(served: Served) -> None:
    """Another user and a certificate with every change, the socket stays: whoever is let in before and after is so all
    the while.
    """
    one, alice = said("alice", "s3cr3t-one"), hashed("s3cr3t-one")
    for number in range(8):
        served.write(TLS + f"basic_auth_users: {{alice: '{alice}', user{number}: '{hashed('s3cr3t-two')}'}}\n")
        (served.folder / "server.pem").write_bytes(
            (served.folder / ("near_expiry.pem", "good.pem")[number % 2]).read_bytes()
        )
        served.daemon.process.signal(signal.SIGHUP)
        assert [served.get(headers=one).status for _ in range(5)] == [200] * 5
    served.until("the last user", 200, said("user7", "s3cr3t-two"))


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "basic_auth_users: {alice: s3cr3t-plain}\n",
        "tls_server_config: {cert_file: nowhere.pem, key_file: x}\n",
        "a: [\n",
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_told(served: Served, broken: str) -> None:
    one = said("alice", "s3cr3t-one")
    assert served.get(headers=one).status == 200
    served.write(broken)
    told = served.get("/-/reload", headers=one, method="POST")
    assert told.status == 500
    assert "web.yml:" in told.body
    assert "s3cr3t" not in told.body
    assert served.get().status == 401
    assert "model_exporter_config_last_reload_successful 0" in served.get(headers=one).body
    served.write(TLS + f"basic_auth_users: {{alice: '{hashed('s3cr3t-one')}'}}\n")
    served.daemon.process.signal(signal.SIGHUP)

    def well() -> bool:
        return "model_exporter_config_last_reload_successful 1" in served.get(headers=one).body

    until("the gauge to be 1 again", well, within=30, log=served.daemon.process.tail)


def test_half_a_rotation_keeps_the_old_pair(served: Served, folder: Path) -> None:
    one = said("alice", "s3cr3t-one")
    (folder / "server.pem").write_bytes((folder / "good.pem").read_bytes()[:200])
    until(
        "the half file to be noticed",
        lambda: "model_exporter_config_last_reload_successful 0" in served.get(headers=one).body,
        within=30,
        log=served.daemon.process.tail,
    )
    (folder / "server.pem").write_bytes((folder / "near_expiry.pem").read_bytes())
    until(
        "the whole file to be taken",
        lambda: "model_exporter_config_last_reload_successful 1" in served.get(headers=one).body,
        within=30,
        log=served.daemon.process.tail,
    )


@pytest.mark.parametrize("text", ["", "basic_auth_users: {alice: s3cr3t}\n", None])
def test_a_bad_web_config_at_start_is_the_end(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "web.yml"
    if text is not None:
        path.write_text(text)
    with Daemon(tmp_path, CONFIG, args=["--web-config", str(path)], ready=False) as daemon:
        assert daemon.process.wait(20) == 2
        assert f"{path}:" in daemon.process.stderr
        assert "s3cr3t" not in daemon.process.stderr
        assert "Traceback" not in daemon.process.stderr
