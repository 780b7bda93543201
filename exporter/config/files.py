"""Files and environment variables a config names: there, readable, and holding what they should."""

import errno
import os
import ssl
import stat
from functools import lru_cache
from pathlib import Path

from exporter.model.endpoint import Tls
from exporter.model.secret import Secret

MAX_SECRET = 65_536


def secret_problem(secret: Secret) -> str:
    """What is wrong with a secret's source, `""` when nothing is. The secret itself is in no message."""
    if secret.source == "env":
        value = os.environ.get(secret.where)
        if value is None:
            return f"the environment variable {secret.where} is not set; a secret is expected in it"
        return "" if value else f"the environment variable {secret.where} is empty; a secret is expected in it"
    if secret.source != "file":
        return ""
    try:
        data = _read(secret.where)
    except OSError as error:
        return _why(secret.where, error)
    if len(data) > MAX_SECRET:
        return f"the file {secret.where} is larger than {MAX_SECRET} bytes"
    text = data.rstrip(b"\r\n")
    if not text.strip():
        return f"the file {secret.where} is empty; a secret is expected in it"
    if any(byte < 32 or byte == 127 for byte in text):
        return f"the file {secret.where} holds a control character (a newline is allowed at its end only)"
    return ""


def secret_warning(secret: Secret) -> str:
    """What should be mended though it works, `""` when nothing should."""
    if secret.source != "file":
        return ""
    try:
        mode = stat.S_IMODE(Path(secret.where).stat().st_mode)
    except OSError:
        return ""
    if mode & stat.S_IROTH:
        return f"the file {secret.where} can be read by everyone (mode {mode:04o}); 0600 or 0640 is safer"
    return ""


def tls_problems(tls: Tls) -> list[tuple[str, str]]:
    """(key, what is wrong) of each TLS file that cannot be used."""
    problems = []
    for key in ("ca_file", "cert_file", "key_file"):
        path = getattr(tls, key)
        if path is None:
            continue
        try:
            data = _read(path)
        except OSError as error:
            problems.append((key, _why(path, error)))
            continue
        if key == "ca_file" and not _is_ca(data):
            problems.append((key, f"the file {path} holds no certificate that can be read; allowed: PEM"))
    if tls.cert_file is not None and tls.key_file is None:
        problems.append(("cert_file", "a client certificate needs its key: key_file is missing"))
    elif tls.key_file is not None and tls.cert_file is None:
        problems.append(("key_file", "a key needs its certificate: cert_file is missing"))
    elif not problems and tls.cert_file is not None and (wrong := _pair_problem(tls)):
        problems.append(wrong)
    return problems


def _read(path: str) -> bytes:
    """The beginning of a regular file, without waiting for anybody."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(1_000_000)
    finally:
        os.close(descriptor)


def _why(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"file not found: {path}; allowed: a file that can be read"
    if isinstance(error, PermissionError):
        return f"permission denied: {path}; allowed: a file that can be read"
    return f"cannot read {path}: {error.strerror}; allowed: a file that can be read"


@lru_cache(maxsize=4)  # the system's own takes twenty milliseconds, and `/probe` asks for it with each new url
def _is_ca(data: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _pair_problem(tls: Tls) -> tuple[str, str] | None:
    """What is wrong with a certificate and its key, as the key that holds the wrong file and a message."""
    assert tls.cert_file is not None and tls.key_file is not None  # noqa: S101, PT018 - the caller looked
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def no_password() -> str:
        raise _Encrypted

    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=no_password)
    except _Encrypted:
        return "key_file", f"the key in {tls.key_file} is encrypted; allowed: a key without a password"
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "key_file", f"certificate and key do not match: {tls.cert_file}, {tls.key_file}; allowed: a pair"
        if b"-----BEGIN CERTIFICATE" not in Path(tls.cert_file).read_bytes():
            return "cert_file", f"the file {tls.cert_file} holds no certificate; allowed: PEM"
        return "key_file", f"certificate and key cannot be used: {tls.cert_file}, {tls.key_file}; allowed: PEM"
    except OSError as error:
        return "cert_file", _why(tls.cert_file, error)
    return None


class _Encrypted(Exception):
    pass
