"""Each file of `bad_web/` is a web config that is wrong; its `.txt` is every line that is told of it."""

import shutil
from pathlib import Path

import pytest

from exporter.config.web_file import load
from exporter.model.access import Rate, Rules, ServerTls
from tests.config import wrong
from tests.hostile import certificates

BAD = Path(__file__).parent / "bad_web"
HASH = "$2y$10$abcdefghijklmnopqrstuuFcfeL7MZ8LxBYGGtFSJMu2Bj1mS6x0W"


def told(path: Path) -> str:
    return wrong.told(load, path)


@pytest.mark.parametrize("name", wrong.names(BAD))
def test_message(name: str, tmp_path: Path) -> None:
    wrong.assert_told(told(Path(shutil.copy(BAD / f"{name}.yaml", tmp_path))), BAD / f"{name}.txt")


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    assert "cannot be opened" in told(tmp_path / "nowhere.yml")
    assert "is a directory" in told(tmp_path)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: good.pem, key_file: expired.pem}")
    assert "tls_server_config.key_file: certificate and key do not match" in told(path)


def test_all_there_is(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    path = tmp_path / "web.yml"
    path.write_text(f"""
tls_server_config:
  cert_file: good.pem
  key_file: good.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus]
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
http_server_config:
  http2: true
  headers: {{Strict-Transport-Security: max-age=3600, X-Frame-Options: deny}}
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 100ms, burst: 5}}
""")
    loaded = load(path)
    good, ca = str(tmp_path / "good.pem"), str(tmp_path / "ca.crt")
    assert loaded.rules == Rules(
        tls=ServerTls(
            good, good, ca, "required", ("prometheus",), "TLS12", "TLS12", ("ECDHE-ECDSA-AES128-GCM-SHA256",)
        ),
        users={"alice": HASH},
        rate=Rate(0.1, 5),
        headers={"Strict-Transport-Security": "max-age=3600", "X-Frame-Options": "deny"},
    )
    assert loaded.files == (path, tmp_path / "good.pem", tmp_path / "good.pem", tmp_path / "ca.crt")
    assert [str(warning).partition(": ")[2] for warning in loaded.warnings] == [
        "http_server_config.http2: HTTP/2 is not spoken here, HTTP/1.1 is"
    ]
    assert HASH not in repr(loaded.rules)


def test_an_extra_that_is_missing_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.config.extras.find_spec", lambda name: None)
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{alice: {HASH}}}")
    assert [str(warning) for warning in load(path).warnings] == [
        f"{path}:1:19: basic_auth_users: needs an extra that is not installed: pip install 'model-exporter[web]'"
    ]
