"""The table of everything the hostile server does, and what the transport must make of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from exporter.model.endpoint import Endpoint, Tls
from exporter.model.failure import Reason
from tests.hostile.answers import SLOW, WHOLE

DEFAULT_MAX_BODY = 10_000_000
OK = None  #: the transport hands a whole answer over; what it means is for the protocol

Group = Literal[
    "tcp", "dns", "headers", "status", "body", "encoding", "redirects", "reuse", "tls", "json", "sse", "ndjson"
]


@dataclass(frozen=True)
class Behaviour:
    """One row. `reasons`: what the transport may say (OK: an answer). `fast`: it must not burn the timeout.

    `stream`: asked as a stream and read to its end. `repeat`: asked again on a kept connection, a moment later.
    `large`: the body may be as large as it may by default.
    """

    name: str
    group: Group
    reasons: frozenset[Reason | None]
    fast: bool
    port: str = "main"
    scheme: Literal["http", "https"] = "http"
    host: str = "127.0.0.1"
    path: str = ""
    stream: bool = False
    follow: bool = False
    repeat: bool = False
    large: bool = False
    method: str = "GET"

    def url(self, ports: Mapping[str, int]) -> str:
        """Where it lives, given the ports the server printed."""
        return f"{self.scheme}://{self.host}:{ports[self.port]}{self.path}"

    def endpoint(self, ports: Mapping[str, int], ca_file: str, *, max_body: int = 1_000_000) -> Endpoint:
        """The same as the transport takes it."""
        return Endpoint(
            self.scheme,
            self.host,
            ports[self.port],
            tls=Tls(ca_file=ca_file),
            keep_alive=self.repeat,
            follow_redirects=self.follow,
            max_body=DEFAULT_MAX_BODY if self.large else max_body,
        )


def _row(
    group: Group, name: str, *reasons: Reason | None, fast: bool = True, path: str | None = None, **more: object
) -> Behaviour:
    if path is None:
        path = f"/{name}"
    return Behaviour(name, group, frozenset(reasons), fast, path=path, **more)  # type: ignore[arg-type]


def _tls(name: str, *reasons: Reason | None, fast: bool = True, **more: object) -> Behaviour:
    more.setdefault("port", f"tls_{name}")
    return _row("tls", f"tls_{name}", *reasons, fast=fast, path="/ok", scheme="https", **more)


R = Reason
_CUT = (R.RESET, R.DISCONNECTED)

BEHAVIOURS: tuple[Behaviour, ...] = (
    _row("tcp", "refused", R.CONNECT_REFUSED, port="refused", path="/ok"),
    _row("tcp", "blackhole", R.CONNECT_TIMEOUT, port="blackhole", path="/ok", fast=False),
    _row("tcp", "silence", R.TIMEOUT, fast=False),
    _row("tcp", "mute", R.TIMEOUT, port="mute", path="/ok", fast=False),
    _row("tcp", "close_on_accept", *_CUT, port="close", path="/ok"),
    _row("tcp", "reset_on_accept", R.RESET, port="reset", path="/ok"),
    _row("tcp", "reset_before_answer", R.RESET),
    _row("tcp", "reset_in_head", R.RESET),
    _row("tcp", "reset_in_body", R.RESET),
    _row("tcp", "close_before_answer", R.DISCONNECTED),
    _row("tcp", "close_in_head", R.DISCONNECTED),
    _row("tcp", "half_close", R.DISCONNECTED),
    _row("tcp", "other_protocol", R.PROTOCOL, port="noise", path="/ok"),
    _row("dns", "unknown_name", R.DNS, host="unknown.invalid", path="/ok"),
    _row("dns", "impossible_name", R.DNS, host="a" * 70 + ".invalid", path="/ok"),
    _row("dns", "swallowed_query", R.DNS, host="swallowed.invalid", path="/ok", fast=False),
    _row("headers", "head_drip", R.TIMEOUT, fast=False),
    _row("headers", "headers_endless", R.TOO_LARGE),
    _row("headers", "header_line_endless", R.TOO_LARGE),
    _row("headers", "header_line_1mb", R.TOO_LARGE),
    _row("headers", "header_nul", R.PROTOCOL),
    _row("headers", "cookie_spam", R.TOO_LARGE),
    _row("headers", "interim_spam", R.PROTOCOL),
    _row("headers", "interim_endless", R.PROTOCOL),
    _row("headers", "interim_hang", R.TIMEOUT, fast=False),
    _row("headers", "interim_one", OK),
    _row("headers", "close_after_interim", R.PROTOCOL),
    _row("headers", "bad_status_line", R.PROTOCOL),
    _row("headers", "bad_version", R.PROTOCOL),
    _row("headers", "http09", R.PROTOCOL),
    _row("headers", "header_without_colon", R.PROTOCOL),
    _row("headers", "two_lengths", R.PROTOCOL),
    _row("headers", "length_and_chunked", R.PROTOCOL),
    _row("headers", "negative_length", R.PROTOCOL),
    _row("headers", "empty_header", OK),
    _row("headers", "no_reason_phrase", OK),
    _row("status", "status_101", R.PROTOCOL),
    _row("status", "status_101_upgrade", R.PROTOCOL),
    _row("status", "status_204_body", OK),
    _row("status", "status_204_close", OK),
    _row("status", "status_304", OK),
    _row("status", "status_302", OK),
    _row("status", "status_401_echo", OK),
    _row("status", "status_429", OK),
    _row("status", "status_429_for_ever", OK),
    _row("status", "status_503_loading", OK),
    _row("status", "status_999", R.PROTOCOL),
    _row("status", "status_000", R.PROTOCOL),
    _row("status", "error_with_br", OK),
    _row("status", "head_with_length", OK, method="HEAD"),
    _row("body", "body_drip", R.TIMEOUT, fast=False),
    _row("body", "body_drip_chunked", R.TIMEOUT, fast=False),
    _row("body", "body_endless", R.TOO_LARGE),
    _row("body", "body_endless_chunked", R.TOO_LARGE),
    _row("body", "body_endless_declared", R.TOO_LARGE),
    # A million bytes one at a time may well take the timeout: the bound or the deadline ends it.
    _row("body", "body_tiny_chunks", R.TOO_LARGE, R.TIMEOUT, fast=False),
    _row("body", "body_extension_endless", R.TOO_LARGE),
    _row("body", "body_trailers_endless", R.TOO_LARGE),
    _row("body", "extensions_streamed", R.TOO_LARGE, path="/body_extension_endless", stream=True),
    _row("body", "trailers_streamed", R.TOO_LARGE, path="/body_trailers_endless", stream=True),
    _row("body", "body_stall", R.TIMEOUT, fast=False),
    _row("body", "body_truncated", R.TRUNCATED),
    _row("body", "body_truncated_chunked", R.TRUNCATED),
    _row("body", "body_until_close", OK),
    _row("body", "over_long", OK),
    _row("body", "second_answer", OK),
    _row("body", "bad_chunk_size", R.PROTOCOL),
    _row("body", "huge_chunk_size", R.PROTOCOL),
    _row("body", "chunked_ok", OK),
    _row("body", "extension_flood", R.TOO_LARGE),
    _row("body", "trailer_spam", R.TOO_LARGE),
    _row("encoding", "gzip", OK),
    _row("encoding", "gzip_members", OK),
    _row("encoding", "deflate", OK),
    _row("encoding", "deflate_raw", OK),
    _row("encoding", "gzip_bomb", R.TOO_LARGE),
    _row("encoding", "deflate_bomb", R.TOO_LARGE),
    _row("encoding", "member_bomb", R.ENCODING),
    _row("encoding", "gzip_lie", R.ENCODING),
    _row("encoding", "gzip_cut", R.ENCODING),
    _row("encoding", "gzip_garbage", R.ENCODING),
    _row("encoding", "deflate_lie", R.ENCODING),
    _row("encoding", "br", R.ENCODING),
    _row("encoding", "zstd", R.ENCODING),
    _row("encoding", "encoding_unknown", R.ENCODING),
    _row("encoding", "encoding_twice", R.ENCODING),
    _row("encoding", "encoding_identity", OK),
    _row("encoding", "gzip_bomb_streamed", R.TOO_LARGE, path="/gzip_bomb", stream=True),
    _row("redirects", "redirect_loop", R.REDIRECT, follow=True),
    _row("redirects", "redirect_self", R.REDIRECT, follow=True),
    _row("redirects", "redirect_ok", OK, follow=True),
    _row("redirects", "redirect_long", R.REDIRECT, follow=True),
    _row("redirects", "redirect_slow", R.TIMEOUT, follow=True, fast=False),
    _row("redirects", "redirect_other_host", R.REDIRECT, follow=True),
    _row("redirects", "redirect_other_port", R.REDIRECT, follow=True),
    _row("redirects", "redirect_file", R.REDIRECT, follow=True),
    _row("redirects", "redirect_link_local", R.REDIRECT, follow=True),
    _row("redirects", "redirect_userinfo", R.REDIRECT, follow=True),
    _row("redirects", "redirect_echo", R.REDIRECT, follow=True),
    _row("redirects", "redirect_none", R.REDIRECT, follow=True),
    _row("redirects", "redirect_bad", R.REDIRECT, follow=True),
    _row("reuse", "reuse_close", OK, repeat=True),
    _row("reuse", "reuse_reset", OK, repeat=True),
    _row("reuse", "reuse_stray", OK, repeat=True),
    _tls("good", OK),
    _tls("near_expiry", OK),
    _tls("expired", R.TLS_EXPIRED),
    _tls("self_signed", R.TLS_UNTRUSTED),
    _tls("wrong_host", R.TLS_HOSTNAME),
    _tls("old", R.TLS),
    # A server may say so with an alert, or just hang up once its half of the handshake failed.
    _tls("client_certificate", R.TLS, *_CUT),
    _tls("on_plain", R.TLS, port="noise"),
    _tls("on_http", R.TLS, R.TIMEOUT, port="main", fast=False),
    _tls("hung", R.TIMEOUT, port="mute", fast=False),
    _tls("closed", R.TLS, R.RESET, port="close"),
    _tls("reset", R.RESET, port="reset"),
    _tls("refused", R.CONNECT_REFUSED, port="refused"),
    _row("tls", "http_on_tls", R.PROTOCOL, R.DISCONNECTED, R.RESET, port="tls_good", path="/ok"),
    _row("json", "json_version_10mb", R.TOO_LARGE),
    *(
        _row("json", path[1:], OK)
        for path in WHOLE
        if path.startswith("/json_") and path != "/json_version_10mb"
    ),
    *(
        _row("json", name, OK, large=True)
        for name in (
            "json_many_numbers", "json_many_lists", "json_many_objects", "json_many_keys", "json_long_text",
            "json_long_escapes", "json_deeper_and_deeper",
        )
    ),
    _row("sse", "sse_flood", R.TOO_LARGE, R.TIMEOUT, fast=False, stream=True),
    _row("sse", "sse_stalled", R.TIMEOUT, fast=False, stream=True),
    _row("sse", "sse_comments_forever", R.TIMEOUT, fast=False, stream=True),
    _row("sse", "sse_finish_then_hang", R.TIMEOUT, fast=False, stream=True),
    _row("sse", "sse_done_then_hang", R.TIMEOUT, fast=False, stream=True),
    _row("sse", "sse_segments", OK, stream=True),
    _row("sse", "sse_cut", R.TRUNCATED, stream=True),
    _row("sse", "sse_reset", R.RESET, stream=True),
    _row("sse", "sse_line_endless", R.TOO_LARGE, R.TIMEOUT, fast=False, stream=True),
    # The body may be as large: it is the event that is too long.
    _row("sse", "sse_huge_event", R.TOO_LARGE, stream=True, large=True),
    *(
        _row("sse", path[1:], OK, stream=True)
        for path in WHOLE
        if path.startswith("/sse_") and path != "/sse_huge_event"
    ),
    _row("ndjson", "ndjson_flood", R.TOO_LARGE, R.TIMEOUT, fast=False, stream=True),
    _row("ndjson", "ndjson_stalled", R.TIMEOUT, fast=False, stream=True),
    _row("ndjson", "ndjson_blank_forever", R.TIMEOUT, fast=False, stream=True),
    _row("ndjson", "ndjson_done_then_hang", R.TIMEOUT, fast=False, stream=True),
    _row("ndjson", "ndjson_line_endless", R.TOO_LARGE, R.TIMEOUT, fast=False, stream=True),
    _row("ndjson", "ndjson_segments", OK, stream=True),
    _row("ndjson", "ndjson_cut", R.TRUNCATED, stream=True),
    _row("ndjson", "ndjson_reset", R.RESET, stream=True),
    _row("ndjson", "ndjson_huge_line", R.TOO_LARGE, stream=True, large=True),
    *(
        _row("ndjson", path[1:], OK, stream=True)
        for path in WHOLE
        if path.startswith("/ndjson_") and path != "/ndjson_huge_line"
    ),
)  # fmt: skip

#: Paths that only lead elsewhere, or that healthy controls ask.
_HELPERS = {"/ok", "/ok?x=1", "/redirect_loop2"}
UNLISTED = (set(WHOLE) | set(SLOW)) - {row.path for row in BEHAVIOURS} - _HELPERS


@dataclass(frozen=True)
class Peer:
    """A port of the hostile server, what a call to it may be told to be, and whether that is known at once.

    `reasons`: what the transport may say (OK: an answer); `means`: what a protocol makes of that answer. `repeat`:
    called again on a kept connection, a moment later.
    """

    port: str
    reasons: frozenset[Reason | None]
    fast: bool = True
    scheme: str = "grpc"
    host: str = "127.0.0.1"
    means: str = "healthy"
    repeat: bool = False

    def __str__(self) -> str:
        return f"{self.scheme}-{self.port if self.host == '127.0.0.1' else self.host.replace('.invalid', '_name')}"


def peer(port: str, *reasons: Reason | None, **more: object) -> Peer:
    return Peer(port, frozenset(reasons), **more)  # type: ignore[arg-type]


PEERS = (
    peer("refused", R.CONNECT_REFUSED),
    peer("blackhole", R.CONNECT_TIMEOUT, fast=False),
    peer("mute", R.TIMEOUT, fast=False),
    peer("close", R.RESET, R.DISCONNECTED),
    peer("reset", R.RESET),
    peer("noise", R.PROTOCOL),
    peer("main", R.PROTOCOL),  # HTTP/1.1
    peer("tls_good", R.PROTOCOL, R.DISCONNECTED, R.RESET),  # TLS
    peer("mute", R.DNS, host="unknown.invalid"),
    peer("mute", R.DNS, host="swallowed.invalid", fast=False),
    peer("noise", R.TLS, scheme="grpcs"),
    peer("mute", R.TIMEOUT, scheme="grpcs", fast=False),
    peer("tls_good", R.PROTOCOL, scheme="grpcs"),  # HTTP/1.1 over TLS
    peer("tls_expired", R.TLS_EXPIRED, scheme="grpcs"),
    peer("tls_self_signed", R.TLS_UNTRUSTED, scheme="grpcs"),
    peer("tls_wrong_host", R.TLS_HOSTNAME, scheme="grpcs"),
    peer("tls_old", R.TLS, scheme="grpcs"),
    peer("tls_client_certificate", R.TLS, R.RESET, R.DISCONNECTED, scheme="grpcs"),
    peer("h2_tls_good", OK, scheme="grpcs"),
    peer("h2_tls_near_expiry", OK, scheme="grpcs"),
    peer("h2_serving", OK),
    peer("h2_served_and_closed", OK, repeat=True),
    peer("h2_served_and_left", OK, repeat=True),
    peer("h2_no_greeting", R.TIMEOUT, fast=False),
    peer("h2_silence", R.TIMEOUT, fast=False),
    peer("h2_stall", R.TIMEOUT, fast=False),
    peer("h2_no_end", R.TIMEOUT, fast=False),
    peer("h2_head_drip", R.TIMEOUT, fast=False),
    peer("h2_drip", R.TIMEOUT, fast=False),
    # grpcio has bounds of its own (what was not asked for, too), and hangs up where they are met first.
    peer("h2_message_endless", R.TOO_LARGE, R.PROTOCOL),
    peer("h2_ping_flood", R.TOO_LARGE, R.PROTOCOL),
    peer("h2_settings_flood", R.TOO_LARGE, R.PROTOCOL),
    peer("h2_empty_flood", R.TOO_LARGE, R.PROTOCOL),
    peer("h2_headers_endless", R.TOO_LARGE, R.PROTOCOL),
    peer("h2_huge_frame", R.PROTOCOL),
    peer("h2_huge_trailers", R.PROTOCOL),
    peer("h2_bad_block", R.PROTOCOL),
    peer("h2_bad_settings", R.PROTOCOL),
    peer("h2_goaway", R.DISCONNECTED),
    peer("h2_close", R.DISCONNECTED),
    peer("h2_reset", R.RESET),
    peer("h2_close_in_message", R.DISCONNECTED),
    peer("h2_reset_in_message", R.RESET),
    peer("h2_two_messages", R.PROTOCOL),
    peer("h2_no_message", R.PROTOCOL),
    peer("h2_short_message", R.PROTOCOL),
    peer("h2_no_trailers", R.PROTOCOL),
    peer("h2_html", R.PROTOCOL),
    peer("h2_zip_bomb", R.TOO_LARGE),
    peer("h2_packed", OK),
    peer("h2_packed_lie", R.ENCODING),
    peer("h2_packed_unknown", R.ENCODING),
    peer("h2_header_nul", OK),  # RFC 9113 forbids it, and gRPC's own clients let it pass
    peer("h2_interim_one", OK, means="protocol"),  # gRPC has no interim answers, and its own clients end there
    peer("h2_interim_endless", R.TOO_LARGE, R.PROTOCOL),
    peer("h2_nonsense", OK, means="malformed"),
    peer("h2_not_serving", OK, means="not_ready"),
    peer("h2_injection", OK, means="http_status"),
    peer("h2_no_status", R.PROTOCOL),
    peer("h2_bad_name", R.PROTOCOL),
    peer("h2_broken_off", OK, means="http_status"),  # gRPC has a status for each way to do that
    peer("h2_status_no_number", R.PROTOCOL),
    peer("h2_status_unknown", OK, means="http_status"),
    peer("h2_unauthenticated", OK, means="auth"),
    peer("h2_echo", OK, means="auth"),
    peer("h2_gateway_401", OK, means="auth"),
    peer("h2_gateway_503", OK, means="http_status"),
    peer("h2_busy", OK, means="overloaded"),
)
