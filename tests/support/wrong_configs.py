"""The wrong configs of tests/config/bad, with the files they name."""

import datetime
import shutil
from pathlib import Path

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

BAD = Path(__file__).parents[1] / "config" / "bad"


def _key_pem(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(datetime.datetime(2026, 1, 1)).not_valid_after(datetime.datetime(2126, 1, 1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def write_files(folder: Path) -> None:
    """Fill a folder with `client.pem` and its `client.key`, an `other.key`, an `encrypted.key`, odd secret files."""
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


def write_all(folder: Path) -> None:
    """Put the wrong configs into a folder that has their `files`."""
    for path in BAD.glob("*.yaml"):
        shutil.copy(path, folder)
