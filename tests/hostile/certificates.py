"""Certificates for the hostile server: one authority, and good and bad leaves, each with its key in one file."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NEAR = timedelta(days=2)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _make(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey,
    *, ends: datetime, names: list[x509.GeneralName], authority: bool = False,
) -> x509.Certificate:  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=400))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if authority:
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _write(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )


def write(folder: Path) -> dict[str, float]:
    """Write `ca.crt` and `<kind>.pem` for every kind; the end of each leaf's validity as Unix time."""
    now = datetime.now(UTC).replace(microsecond=0)
    later, far = now + timedelta(days=30), now + timedelta(days=300)
    authority = ec.generate_private_key(ec.SECP256R1())
    root = _make("test authority", authority, _name("test authority"), authority, ends=far, names=[], authority=True)
    (folder / "ca.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    here: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
    elsewhere: list[x509.GeneralName] = [x509.DNSName("other.invalid")]
    found = {}
    for kind, ends, names in (
        ("good", later, here),
        ("expired", now - timedelta(days=3), here),
        ("near_expiry", now + NEAR, here),
        ("wrong_host", later, elsewhere),
        ("self_signed", later, here),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        alone = kind == "self_signed"
        leaf = _make(
            kind, key, _name(kind) if alone else root.subject, key if alone else authority, ends=ends, names=names
        )
        _write(folder / f"{kind}.pem", key, leaf)
        found[kind] = ends.timestamp()
    return found
