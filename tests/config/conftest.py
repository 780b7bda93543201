"""A folder with the wrong configs of `bad/` and the files they name."""

import datetime
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

BAD = Path(__file__).parent / "bad"


def _key_pem(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(datetime.datetime(2026, 1, 1)).not_valid_after(datetime.datetime(2126, 1, 1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `client.pem` and its `client.key`, an `other.key`, an `encrypted.key`, and odd secret files."""
    folder = tmp_path_factory.mktemp("config") / "files"
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "client.pem").write_bytes(_certificate(key))
    (folder / "client.key").write_bytes(_key_pem(key, NoEncryption()))
    (folder / "encrypted.key").write_bytes(_key_pem(key, BestAvailableEncryption(b"x")))
    (folder / "other.key").write_bytes(_key_pem(ec.generate_private_key(ec.SECP256R1()), NoEncryption()))
    (folder / "garbage.pem").write_text("no certificate\n")
    for name, text in (("empty", ""), ("two_lines", "s3cr3t-one\ntwo\n"), ("token", "s3cr3t-token\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture(scope="session")
def bad(files: Path) -> Path:
    """The wrong configs, beside `files`."""
    for path in BAD.glob("*.yaml"):
        shutil.copy(path, files.parent)
    return files.parent
