"""The web config: a file of its own, in the format all Prometheus exporters share (exporter-toolkit, web config v1)."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from exporter.config import extras
from exporter.config.files import tls_problems
from exporter.config.messages import translate
from exporter.config.part import Part
from exporter.config.problems import ConfigError, Finding, Problem
from exporter.config.source import SourceError, read_file
from exporter.model.access import ClientCertificate, Rate, Rules, ServerTls
from exporter.model.endpoint import Tls
from exporter.settings import Duration, FilePath, Settings, SmallCount, problem

#: Go's names of the suites that are sound, and OpenSSL's. Those of TLS 1.3 are always on.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
_ALWAYS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CLIENT_AUTH: dict[str, ClientCertificate] = {
    "NoClientCert": "none", "VerifyClientCertIfGiven": "optional", "RequireAndVerifyClientCert": "required",
}  # fmt: skip
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert")
_HASH = re.compile(r"\$2[abxy]?\$([0-9]{2})\$[./A-Za-z0-9]{53}", re.ASCII)
#: 2^14 rounds take about a second of a core; what is above would let strangers burn minutes.
_COSTS = range(4, 15)


def _client_auth(value: Any) -> Any:
    if value in _UNVERIFIED:
        raise problem("client_auth", "takes certificates nobody verifies, which is not done here; "
                      f"allowed: {', '.join(_CLIENT_AUTH)}")  # fmt: skip
    return value


def _version(value: Any) -> Any:
    if value in ("TLS10", "TLS11"):
        raise problem("version", "found {found}, which is broken; allowed: TLS12, TLS13", found=value)
    return value


def _cipher(value: Any) -> str:
    if not isinstance(value, str) or value not in (*CIPHERS, *_ALWAYS):
        raise problem("cipher", f"found {{found}}; allowed: {', '.join((*CIPHERS, *_ALWAYS))}", found=value)
    return value


def _inline(key: str, value: Any) -> Any:
    raise problem("inline", f"is not read from the web config itself; allowed: {key}, the path of a file")


def _curves(value: Any) -> Any:
    raise problem("curves", "cannot be chosen here: OpenSSL's own order is used; leave it out")


def _users(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise problem("users", "found something else (not shown); allowed: a mapping of names to bcrypt hashes")
    for name in value:
        if not isinstance(name, str) or not name or ":" in name or not name.isprintable():
            raise problem("users", "a name is empty, or holds a colon or a control character (not shown)")
    return value


def _hash(value: Any) -> str:
    match = _HASH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise problem("hash", "is not a bcrypt hash (not shown); a hash is expected, never the password: such as "
                      "`htpasswd -nBC 10 NAME` prints")  # fmt: skip
    if int(match[1]) not in _COSTS:
        raise problem("hash", f"a bcrypt hash of cost {int(match[1])}; allowed: 4 to {_COSTS[-1]}")
    return str(value)


def _header(allowed: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise problem("header", "found no text, or a character that may not stand in a header (not shown)")
    if allowed and value.lower() not in allowed.split():
        raise problem("header", f"found {{found}}; allowed: {allowed.replace(' ', ', ')}", found=value)
    return value


_Version = Annotated[Literal["TLS12", "TLS13"], BeforeValidator(_version)]
_Free = Annotated[str, BeforeValidator(partial(_header, ""))]


class TlsServer(Settings):
    """How the port speaks TLS."""

    cert_file: FilePath = Field(description="The certificate, with its chain, as PEM; re-read when it changes.")
    key_file: FilePath = Field(description="Its private key, as PEM; re-read when it changes.")
    client_auth_type: Annotated[
        Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"], BeforeValidator(_client_auth)
    ] = Field("NoClientCert", description="Whether clients have to show a certificate.")
    client_ca_file: FilePath | None = Field(None, description="CAs that clients' certificates are verified by, as PEM.")
    client_allowed_sans: list[str] = Field(
        [], description="Names of which a client's certificate has to hold one; empty: any that is verified."
    )
    min_version: _Version = Field("TLS12", description="The oldest version of TLS that is spoken.")
    max_version: _Version = Field("TLS13", description="The newest version of TLS that is spoken.")
    cipher_suites: list[Annotated[str, BeforeValidator(_cipher)]] = Field(
        [], description="Suites of TLS 1.2, by Go's names; empty: OpenSSL's own choice."
    )
    prefer_server_cipher_suites: bool = Field(True, description="Has no effect, as in Go since 1.17.")
    cert: Annotated[None, BeforeValidator(partial(_inline, "cert_file"))] = Field(None, description="Not read here.")
    key: Annotated[None, BeforeValidator(partial(_inline, "key_file"))] = Field(None, description="Not read here.")
    client_ca: Annotated[None, BeforeValidator(partial(_inline, "client_ca_file"))] = Field(
        None, description="Not read here."
    )
    curve_preferences: Annotated[None, BeforeValidator(_curves)] = Field(None, description="Not read here.")

    @model_validator(mode="after")
    def _fits(self) -> "TlsServer":
        if (self.client_auth_type == "NoClientCert") != (self.client_ca_file is None):
            raise problem("client_ca", "client_ca_file and a client_auth_type other than NoClientCert go together")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise problem("sans", "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise problem("version", "min_version is above max_version")
        return self


class SecurityHeaders(Settings):
    """Headers of every answer."""

    csp: _Free | None = Field(None, alias="Content-Security-Policy", description="In place of ours, which is strict.")
    frame: Annotated[str, BeforeValidator(partial(_header, "deny sameorigin"))] | None = Field(
        None, alias="X-Frame-Options", description="In place of DENY."
    )
    sniff: Annotated[str, BeforeValidator(partial(_header, "nosniff"))] | None = Field(
        None, alias="X-Content-Type-Options", description="nosniff, which is sent anyhow."
    )
    xss: _Free | None = Field(None, alias="X-XSS-Protection", description="For old browsers.")
    hsts: _Free | None = Field(None, alias="Strict-Transport-Security", description="Such as max-age=31536000.")


class HttpServer(Settings):
    """How the port speaks HTTP."""

    http2: bool = Field(False, description="HTTP/2 is not spoken here; true is a warning.")
    headers: SecurityHeaders | None = Field(None, description="Headers of every answer, in place of ours.")


class RateLimit(Settings):
    """How many requests are answered, all clients together."""

    interval: Duration = Field(0.0, description="Time between two requests; 0 for no limit.")
    burst: SmallCount = Field(1, description="How many may come at once.")


class WebConfig(Settings):
    """The web config file."""

    tls_server_config: TlsServer | None = Field(None, description="TLS; without it the port speaks plain HTTP.")
    http_server_config: HttpServer | None = Field(None, description="Headers of every answer.")
    basic_auth_users: Annotated[dict[str, Annotated[str, BeforeValidator(_hash)]], BeforeValidator(_users)] = Field(
        {}, description="Who may ask: names and the bcrypt hashes of their passwords; empty: everybody."
    )
    rate_limit: RateLimit | None = Field(None, description="A limit of requests; above it they get 429.")


class LoadedRules:
    """Rules that can be used, what should be mended all the same, and the files they come from."""

    __slots__ = ("files", "rules", "warnings")

    def __init__(self, rules: Rules, warnings: list[Problem], files: tuple[Path, ...]) -> None:
        self.rules, self.warnings, self.files = rules, warnings, files


def load(path: Path) -> LoadedRules:
    """Read a web config and look at the files it names. Raises ConfigError with every problem."""
    part = Part(str(path), str(path.absolute().parent))
    try:
        part.understand(read_file(path))
    except SourceError as error:
        raise ConfigError([Problem(part.name, error.line, error.column, "", error.message)]) from None
    config, wrong = _judged(part)
    if config is None or wrong or part.issues:
        raise ConfigError(sorted((*part.issues, *part.problems(wrong))))
    tls = config.tls_server_config
    names = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls is not None else ()
    files = (path, *(Path(name) for name in names if name))
    return LoadedRules(_rules(config), part.problems(_warnings(config)), files)


def _judged(part: Part) -> tuple[WebConfig | None, list[Finding]]:
    """The config, if it can be told, and what is wrong with it beside the issues of the part."""
    value = part.value
    if not isinstance(value, dict):
        if part.issues:
            return None, []
        # An empty file would be one without passwords: it is more likely one that is being written.
        found = "the file is empty" if value is None else "no mapping was found"
        return None, [Finding((), f"{found}; allowed: {', '.join(WebConfig.model_fields)}")]
    try:
        config = WebConfig.model_validate(value, context={"base": part.folder})
    except ValidationError as error:
        return None, translate(error.errors(include_url=False), value, WebConfig)
    return config, _files(config)


def _files(config: WebConfig) -> list[Finding]:
    tls = config.tls_server_config
    if tls is None:
        return []
    files = Tls(ca_file=tls.client_ca_file, cert_file=tls.cert_file, key_file=tls.key_file)
    named = {"ca_file": "client_ca_file"}
    return [Finding(("tls_server_config", named.get(key, key)), wrong) for key, wrong in tls_problems(files)]


def _warnings(config: WebConfig) -> list[Finding]:
    found = []
    if config.http_server_config is not None and config.http_server_config.http2:
        path = ("http_server_config", "http2")
        found.append(Finding(path, "HTTP/2 is not spoken here, HTTP/1.1 is", warning=True))
    if config.basic_auth_users and (missing := extras.missing("web")):
        found.append(Finding(("basic_auth_users",), missing, warning=True))
    return found


def _rules(config: WebConfig) -> Rules:
    rate = config.rate_limit
    headers: Mapping[str, Any] = {}
    if config.http_server_config is not None and config.http_server_config.headers is not None:
        headers = config.http_server_config.headers.model_dump(by_alias=True, exclude_none=True)
    return Rules(
        tls=_tls(config.tls_server_config) if config.tls_server_config is not None else None,
        users=config.basic_auth_users,
        rate=Rate(rate.interval, rate.burst) if rate is not None and rate.interval > 0 else None,
        headers=headers,
    )


def _tls(tls: TlsServer) -> ServerTls:
    return ServerTls(
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        client_ca_file=tls.client_ca_file,
        client_certificate=_CLIENT_AUTH[tls.client_auth_type],
        client_allowed_sans=tuple(tls.client_allowed_sans),
        min_version=tls.min_version,
        max_version=tls.max_version,
        ciphers=tuple(CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS),
    )
