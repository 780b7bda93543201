"""What is wrong with a server that is no target, beyond its values one by one."""

from collections.abc import Iterator, Mapping

from exporter.config import files
from exporter.config.access import STANDING_KINDS, tls_of
from exporter.config.check_access import proxy_problems
from exporter.config.problems import Finding, Path, exactly_one
from exporter.config.service import Service


def service(path: Path, block: Service, taken: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Credentials, headers, proxy and TLS. `taken` are headers, in lower case, and who sets them."""
    setters = dict(taken or {})
    if (auth := block.auth) is not None:
        given = [kind for kind in STANDING_KINDS if getattr(auth, kind) is not None]
        if wrong := exactly_one(given, STANDING_KINDS):
            yield Finding((*path, "auth"), wrong)
        setters[auth.header.name.lower() if auth.header is not None else "authorization"] = "auth"
    for name in block.headers:
        if setter := setters.get(name.lower()):
            yield Finding(
                (*path, "headers", name), f"in conflict with {setter}, which sets this header; leave it out", key=True
            )
    if block.proxy is not None:
        yield from proxy_problems((*path, "proxy"), block.proxy)
    if block.tls is not None:
        for key, message in files.tls_problems(tls_of(block.tls)):
            yield Finding((*path, "tls", key), message)
