"""Whether the ways in make sense: kinds of credentials, what goes with a proxy, the extras and the system they need."""

from collections.abc import Iterator, Mapping, Sequence

from exporter.config import extras, files
from exporter.config.access import AUTH_KINDS, PROXY_AUTH_KINDS, Auth, OAuth2, Proxy, SigV4, tls_of
from exporter.config.merge import Merged
from exporter.config.problems import Finding, Path, exactly_one
from exporter.config.reach import Reach
from exporter.model import endpoint

_GRPC = frozenset({"grpc", "grpcs"})
#: Protocols that speak nothing but gRPC, whatever the url's scheme.
_GRPC_ALONE = frozenset({"grpc_health"})
_AWS_HEADERS = ("authorization", "x-amz-date", "x-amz-security-token")


def block(path: Path, given: Reach) -> Iterator[Finding]:
    """Credentials, proxy and stamps of one block."""
    if given.auth is not None:
        # A module that has headers only still has to say where they may go.
        hosts_alone = bool(given.headers) and bool(getattr(given.auth, "hosts", None))
        yield from credentials((*path, "auth"), given.auth, hosts_alone=hosts_alone)
    if given.proxy is not None:
        yield from proxy_problems((*path, "proxy"), given.proxy)
    if given.timestamps == "kernel":
        from exporter.transport import clocks  # for those alone who ask for it

        if not clocks.available():
            text = "this system does not stamp what it receives (Linux does): times are made of the loop's stamps"
            yield Finding((*path, "timestamps"), text, warning=True)


def merged(whole: Merged, blocks: Sequence[tuple[Path, Reach]]) -> Iterator[Finding]:
    """What holds for a target, judged where it was said. `blocks` are those it was merged from, the winner first."""
    yield from _header_conflicts(whole, blocks)
    grpc = (whole.address.scheme in _GRPC and whole.protocol != "tcp") or whole.protocol in _GRPC_ALONE
    url = (*blocks[0][0], "url")
    if whole.proxy is not None and whole.address.scheme == "unix":
        yield Finding(url, "a socket file is not reached through a proxy; write proxy: null here")
    if grpc and (message := extras.missing("grpc")):
        yield Finding(url, f"gRPC {message}", warning=True)
    if grpc and isinstance(whole.auth, endpoint.SigV4):
        yield Finding(url, "gRPC calls cannot be signed with sigv4; allowed: bearer, basic, header, oauth2")


def credentials(path: Path, auth: Auth, *, hosts_alone: bool = False) -> Iterator[Finding]:
    """Exactly one kind of credentials, and what goes with it."""
    given = [name for name in AUTH_KINDS if getattr(auth, name) is not None]
    if (wrong := exactly_one(given, AUTH_KINDS)) and not (hosts_alone and not given):
        yield Finding(path, wrong)
    if auth.oauth2 is not None:
        yield from _oauth2((*path, "oauth2"), auth.oauth2)
    if auth.sigv4 is not None:
        yield from _sigv4((*path, "sigv4"), auth.sigv4)


def _oauth2(path: Path, oauth2: OAuth2) -> Iterator[Finding]:
    if message := extras.missing("oauth2"):
        yield Finding(path, message, key=True, warning=True)
    if oauth2.tls is not None:
        for key, message in files.tls_problems(tls_of(oauth2.tls)):
            yield Finding((*path, "tls", key), message)
    if oauth2.proxy is not None:
        yield from proxy_problems((*path, "proxy"), oauth2.proxy)


def _sigv4(path: Path, sigv4: SigV4) -> Iterator[Finding]:
    if message := extras.missing("aws"):
        yield Finding(path, message, key=True, warning=True)
    own = [key for key in ("access_key_id", "secret_access_key") if getattr(sigv4, key) is not None]
    if len(own) == 1:
        other = "secret_access_key" if own == ["access_key_id"] else "access_key_id"
        yield Finding((*path, own[0]), f"goes with {other}, which is missing", key=True)
    if sigv4.session_token is not None and not own:
        yield Finding((*path, "session_token"), "goes with access_key_id and secret_access_key", key=True)
    if sigv4.profile is not None and own:
        yield Finding(
            (*path, "profile"), "in conflict with access_key_id: keys come from here or from a profile", key=True
        )


def proxy_problems(path: Path, proxy: Proxy) -> Iterator[Finding]:
    """Credentials of a proxy."""
    if proxy.auth is None:
        return
    given = [name for name in PROXY_AUTH_KINDS if getattr(proxy.auth, name) is not None]
    if wrong := exactly_one(given, PROXY_AUTH_KINDS):
        yield Finding((*path, "auth"), wrong)


def _header_conflicts(whole: Merged, blocks: Sequence[tuple[Path, Reach]]) -> Iterator[Finding]:
    if not whole.headers:
        return
    taken: Mapping[str, str] = dict.fromkeys(_sent(whole.auth), "auth")
    if whole.proxy is not None:
        taken = {**taken, "proxy-authorization": "proxy"}
    for path, each in blocks:
        for name in each.headers or {}:
            if key := taken.get(name.lower()):
                yield Finding(
                    (*path, "headers", name), f"in conflict with {key}, which sets this header; leave it out", key=True
                )


def _sent(auth: endpoint.Auth | None) -> tuple[str, ...]:
    match auth:
        case None:
            return ()
        case endpoint.HeaderAuth():
            return (auth.name.lower(),)
        case endpoint.SigV4():
            return _AWS_HEADERS
        case _:
            return ("authorization",)
