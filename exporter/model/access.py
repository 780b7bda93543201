"""Who may ask the exporter, how often, and over what: the web config as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Version = Literal["TLS12", "TLS13"]
#: Whether clients show a certificate: never, if they have one, or always. One that is shown is verified.
ClientCertificate = Literal["none", "optional", "required"]


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS of the exporter's own port. `ciphers` are OpenSSL's names for TLS 1.2, none for its own choice."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None
    client_certificate: ClientCertificate = "none"
    #: Of a client's certificate one name, address, e-mail or URI has to be among these; empty: any.
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    ciphers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """One request each `interval` seconds, and up to `burst` of them at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The web config in force. `users` are names and bcrypt hashes; without any, nobody is asked who they are."""

    tls: ServerTls | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate: Rate | None = None
    #: Headers that replace those of the same name which every answer carries.
    headers: Mapping[str, str] = field(default_factory=dict)
