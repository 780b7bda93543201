"""Numbers and reasons as a person reads them."""

from collections.abc import Mapping
from types import MappingProxyType

from exporter.model.failure import Reason

#: What a reason usually means, and what to do about it. Complete: every reason has its line.
ADVICE: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.DNS: "the host's name was not resolved: check its spelling and the resolver",
        Reason.CONNECT_REFUSED: "nothing listens there: is the server running, and is this its port?",
        Reason.CONNECT_TIMEOUT: "no answer to the connection: a firewall, a wrong address or a host that is down",
        Reason.CONNECT: "no way to the host: check the address and the network",
        Reason.RESET: "the connection was reset: the server, or a proxy before it, gave up in the middle",
        Reason.DISCONNECTED: "the connection was closed before an answer: the server may be crashing",
        Reason.TLS: "the TLS handshake failed: is this a TLS port, and do both sides share a version?",
        Reason.TLS_EXPIRED: "the server's certificate has expired: renew it",
        Reason.TLS_UNTRUSTED: "nobody we trust signed the certificate: set tls.ca_file to the authority's",
        Reason.TLS_HOSTNAME: "the certificate is for another name: check the url, or set tls.server_name",
        Reason.TIMEOUT: "no full answer in time: the server hangs, or the timeout is too short for it",
        Reason.TIMEOUT_FIRST_TOKEN: "no token in time: the engine hangs, or requests wait in its queue",
        Reason.STALLED: "tokens came and then stopped: the engine hung in the middle of an answer",
        Reason.PROTOCOL: "the answer is not HTTP: is this the right port, and http or https right?",
        Reason.ENCODING: "the body could not be decoded: look at the server's compression",
        Reason.TRUNCATED: "the answer was cut off: the server died in the middle, or a proxy cut it",
        Reason.TOO_LARGE: "the answer is larger than max_body: is this the right path?",
        Reason.REDIRECT: "the server sends us elsewhere: use that url, or set follow_redirects",
        Reason.HTTP_STATUS: "the status says no: look at the answer and at the server's log",
        Reason.AUTH: "the key is missing or wrong: set auth in a config file",
        Reason.MODEL_NOT_FOUND: "the server does not have this model: check its name",
        Reason.RATE_LIMITED: "the server limits how often it is asked: it is busy, not broken",
        Reason.OVERLOADED: "the server has more to do than it can: it is busy, not broken",
        Reason.NOT_READY: "alive and not ready yet: the model is still loading",
        Reason.MALFORMED: "the answer has another shape than this protocol's: is --protocol right?",
        Reason.EMPTY: "the answer ended in order and held nothing",
        Reason.INCOMPLETE: "the stream ended without its promised end",
        Reason.ERROR_EVENT: "an error came inside a 200: look at the server's log",
        Reason.EXPECTATION: "it answered, and the answer is not what was expected",
        Reason.INCONCLUSIVE: "too few answers to say anything, or the exporter was not ready: see the message above",
        Reason.INTERNAL: "an extra that is not installed, or a bug of ours: please report that with the message above",
    }
)


def seconds(value: float | None) -> str:
    """A measured time: `0.42 ms`, `3.1 ms`, `120 ms`, `1.23 s`, `2m5s`; empty when there is none."""
    if value is None:
        return ""
    if value >= 120:
        from exporter.settings import format_duration

        return format_duration(round(value))
    if value >= 1:
        return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"
    if value >= 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value * 1000:.2g} ms"


def number(value: float | None) -> str:
    """A number without needless digits; empty when there is none."""
    if value is None:
        return ""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def count(many: int, what: str, several: str = "") -> str:
    """`1 target`, `2 targets`; `several` is the plural where that is another."""
    return f"{many} {what}" if many == 1 else f"{many} {several or what + 's'}"


def bar(share: float, width: int = 30) -> str:
    """A share, 0 to 1, as a bar of so many characters."""
    done = round(share * width)
    return "█" * done + "░" * (width - done)


def clean(text: str, limit: int = 240) -> str:
    """Text of a server, fit for a terminal: one line, no control characters, cut at `limit`."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
