"""A real Prometheus scrapes the exporter over TLS, with a password and with a client's certificate; promtool judges
the same web config files.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.hostile import certificates
from tests.real.prometheus import Prometheus
from tests.support import secure
from tests.support.daemon import Daemon
from tests.support.web import until

pytestmark = pytest.mark.real

CONFIG = {"targets": [{"name": "a", "url": "http://127.0.0.1:1", "protocol": "http"}]}
WEB = """
tls_server_config:
  cert_file: good.pem
  key_file: good.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  min_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
http_server_config:
  headers: {{Strict-Transport-Security: max-age=60, X-Frame-Options: deny}}
basic_auth_users:
  prometheus: {hash}
rate_limit: {{interval: 1ms, burst: 100}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("web")
    certificates.write(made)
    password = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(10)).decode()
    (made / "web.yml").write_text(WEB.format(hash=password))
    return made


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    with Daemon(folder, CONFIG, args=["--web-config", str(folder / "web.yml")], ready=False) as running:

        def ready() -> bool:
            try:
                return (
                    secure.fetch(
                        running.port, "/-/ready", ca=folder / "ca.crt", certificate=folder / "wrong_host.pem"
                    ).status
                    == 200
                )
            except OSError:
                return False

        until("the exporter over TLS", ready, within=30, log=running.process.tail)
        yield running


def test_prometheus_scrapes_who_may_and_nobody_else(
    daemon: Daemon, folder: Path, need: Callable[[str, str], str]
) -> None:
    program = need("prometheus", "apt-get install prometheus")
    tls = {"ca_file": str(folder / "ca.crt"), "cert_file": str(folder / "wrong_host.pem"),
           "key_file": str(folder / "wrong_host.pem")}  # fmt: skip
    password = {"username": "prometheus", "password": "open sesame"}

    def job(name: str, **values: Any) -> dict[str, Any]:
        address = {"targets": [f"127.0.0.1:{daemon.port}"]}
        return {"job_name": name, "scheme": "https", "static_configs": [address], **values}

    jobs = [
        job("known", tls_config=tls, basic_auth=password),
        job("wrong-password", tls_config=tls, basic_auth={**password, "password": "guess"}),
        job("no-password", tls_config=tls),
        job("no-certificate", tls_config={"ca_file": tls["ca_file"]}, basic_auth=password),
        job("plain", scheme="http", basic_auth=password),
    ]
    prometheus = Prometheus(program, folder, daemon.url, scrape_configs=jobs)
    try:
        until(
            "a scrape of each",
            lambda: len(prometheus.query("up")) == len(jobs) and prometheus.value('up{job="known"}') == 1,
            within=60,
            log=lambda: f"{prometheus.process.tail()}\n{daemon.process.tail()}",
        )
        assert {one.labels["job"]: one.value for one in prometheus.query("up")} == {
            "known": 1, "wrong-password": 0, "no-password": 0, "no-certificate": 0, "plain": 0,
        }  # fmt: skip
        assert prometheus.value('model_probe_interval_seconds{job="known",target="a",probe="health"}') == 15
    finally:
        prometheus.process.kill()


def test_promtool_takes_the_same_files(folder: Path, need: Callable[[str, str], str]) -> None:
    program = need("promtool", "apt-get install prometheus")

    def judged(path: Path) -> int:
        return subprocess.run([program, "check", "web-config", path], capture_output=True, timeout=30).returncode

    good, bad = folder / "good.yml", folder / "bad.yml"
    # That of Debian is older than limits of requests.
    good.write_text((folder / "web.yml").read_text().partition("rate_limit")[0])
    assert judged(good) == 0
    bad.write_text("basic_auth_user: {}\n")
    assert judged(bad) != 0
