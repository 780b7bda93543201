"""What the hostile server sends, by path. Whole answers are bytes; those that take their time are coroutines."""

import asyncio
import gzip
import zlib
from asyncio import StreamReader, StreamWriter

from tests.hostile import streams
from tests.hostile.documents import DOCUMENT, DOCUMENTS
from tests.hostile.ways import (
    BURST,
    Handler,
    chunk,
    drip,
    endless,
    head,
    jsonish,
    plain,
    then_close,
    then_hang,
    then_reset,
    then_stray,
)

_CHUNKED = head("Content-Type: text/plain", "Transfer-Encoding: chunked")
_NEARLY_ALL = 9_999_000
#: 64 MB of nothing as Brotli has them.
_BROTLI_BOMB = bytes.fromhex(
    "cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd3fffffffe19f0088c32200ddfb7ffeffffc33f0110870500baf7ff03"
)


def encoded(coding: str, body: bytes) -> bytes:
    return plain(body, f"Content-Encoding: {coding}", kind="application/json")


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


def zeros(size: int, wbits: int) -> bytes:
    """`size` bytes of nothing, packed as small as it goes, without ever holding them."""
    engine = zlib.compressobj(1, wbits=wbits)
    block = bytes(1 << 20)
    return b"".join(engine.compress(block) for _ in range(size >> 20)) + engine.flush()


def zstd_bomb() -> bytes:
    """64 MB of nothing as Zstandard has them: a frame's header, and blocks of 128 kB that are one byte, repeated."""
    blocks = [((131072 << 3) | 2 | last).to_bytes(3, "little") + b"\0" for last in (0,) * 511 + (1,)]
    return b"\x28\xb5\x2f\xfd\0\x58" + b"".join(blocks)


#: Sent at once, whole. The connection stays open where the answer allows it.
WHOLE: dict[str, bytes] = {
    "/ok": jsonish(DOCUMENT),
    # headers
    "/header_line_1mb": head("X-Long: " + "a" * (1 << 20), "Content-Length: 0"),
    "/header_nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "/cookie_spam": head(*(f"Set-Cookie: c{n}=1" for n in range(1000)), "Content-Length: 0"),
    "/interim_spam": b"HTTP/1.1 100 Continue\r\n\r\n" * 500 + jsonish(DOCUMENT),
    "/interim_one": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + jsonish(DOCUMENT),
    "/bad_status_line": b"HTTP/1.1 abc\r\n\r\n",
    "/bad_version": b"HTTP/3.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "/http09": b"hello, I am a very old server\n",
    "/header_without_colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "/two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "/length_and_chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "/negative_length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "/empty_header": plain(b"ok", "X-Empty:"),
    "/no_reason_phrase": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    # status
    "/status_101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "/status_101_upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nnoise",
    "/status_204_body": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "/head_with_length": head("Content-Length: 1000"),
    "/status_304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "/status_302": head("Location: /ok", "Content-Length: 0", status="302 Found"),
    "/status_429": plain(b"slow down", "Retry-After: 7", status="429 Too Many Requests"),
    "/status_429_for_ever": plain(b"never again", "Retry-After: 999999999", status="429 Too Many Requests"),
    "/status_503_loading": plain(b'{"error": "Loading model"}', status="503 Service Unavailable"),
    "/status_999": plain(status="999 What"),
    "/status_000": plain(status="000 What"),
    "/error_with_br": plain(b"\x0b\x02\x80", "Content-Encoding: br", status="429 Too Many Requests"),
    # body
    "/over_long": plain(b"hello") + b"and much more",
    "/second_answer": plain(b"hello") + plain(b"nobody asked"),
    "/bad_chunk_size": _CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "/huge_chunk_size": _CHUNKED + b"fffffffffffffffff\r\nhello",
    "/chunked_ok": _CHUNKED + chunk(b"hel") + chunk(b"lo") + b"0\r\nX-Trailer: 1\r\n\r\n",
    "/extension_flood": _CHUNKED + (b"1;" + b"e" * 8000 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n",
    "/trailer_spam": _CHUNKED
    + chunk(b"hi")
    + b"0\r\n"
    + b"X-T: "
    + b"v" * 1000
    + b"\r\n" * 1
    + b"X-T: vvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n" * 20000
    + b"\r\n",
    # encoding
    "/gzip": encoded("gzip", gzip.compress(DOCUMENT)),
    "/gzip_members": encoded("gzip", gzip.compress(DOCUMENT[:5]) + gzip.compress(DOCUMENT[5:])),
    "/deflate": encoded("deflate", zlib.compress(DOCUMENT)),
    "/deflate_raw": encoded("deflate", raw_deflate(DOCUMENT)),
    "/gzip_bomb": encoded("gzip", zeros(64 << 20, 31)),
    "/deflate_bomb": encoded("deflate", zeros(64 << 20, 15)),
    "/member_bomb": encoded("gzip", gzip.compress(b"") * 20000),
    "/gzip_lie": encoded("gzip", DOCUMENT),
    "/gzip_cut": encoded("gzip", gzip.compress(DOCUMENT * 50)[:-10]),
    "/gzip_garbage": encoded("gzip", gzip.compress(DOCUMENT) + b"garbage"),
    "/deflate_lie": encoded("deflate", DOCUMENT),
    "/br": encoded("br", _BROTLI_BOMB),
    "/zstd": encoded("zstd", zstd_bomb()),
    "/encoding_unknown": encoded("rot13", DOCUMENT),
    "/encoding_twice": encoded("gzip, gzip", gzip.compress(gzip.compress(DOCUMENT))),
    "/encoding_identity": encoded("identity", DOCUMENT),
    # redirects
    "/redirect_loop": head("Location: /redirect_loop2", "Content-Length: 0", status="302 Found"),
    "/redirect_loop2": head("Location: /redirect_loop", "Content-Length: 0", status="302 Found"),
    "/redirect_self": head("Location: /redirect_self", "Content-Length: 0", status="302 Found"),
    "/redirect_ok": head("Location: /ok?x=1", "Content-Length: 0", status="307 Temporary Redirect"),
    "/ok?x=1": jsonish(DOCUMENT),
    "/redirect_other_host": head("Location: http://example.invalid/", "Content-Length: 0", status="302 Found"),
    "/redirect_other_port": head("Location: http://127.0.0.1:1/", "Content-Length: 0", status="302 Found"),
    "/redirect_file": head("Location: file:///etc/passwd", "Content-Length: 0", status="302 Found"),
    "/redirect_link_local": head("Location: http://169.254.169.254/", "Content-Length: 0", status="302 Found"),
    "/redirect_none": head("Content-Length: 0", status="302 Found"),
    "/redirect_bad": head("Location: http://[::1", "Content-Length: 0", status="302 Found"),
    # JSON: what is wrong with these is for whoever reads the body
    **{f"/json_{name}": jsonish(document) for name, document in DOCUMENTS.items()},
    **streams.WHOLE,
}


async def _forever(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    await reader.read()


def repeated(first: bytes, unit: bytes, last: bytes) -> Handler:
    """JSON of nearly as many bytes as a body may have by default, all of it parts."""
    many = (_NEARLY_ALL - len(first) - len(last)) // len(unit)
    at_once = BURST // len(unit)

    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        length = len(first) + many * len(unit) + len(last)
        writer.write(head("Content-Type: application/json", f"Content-Length: {length}") + first)
        for start in range(0, many, at_once):
            writer.write(unit * min(at_once, many - start))
            await writer.drain()
        writer.write(last)
        await writer.drain()
        writer.close()

    return handler


async def _half_close(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    writer.write_eof()
    await reader.read()


async def _slow_chain(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    number = int(request.split(b"n=")[1].split(b" ")[0]) if b"n=" in request else 0
    await asyncio.sleep(0.12)
    writer.write(head(f"Location: /redirect_slow?n={number + 1}", "Content-Length: 0", status="302 Found"))
    await reader.read()


async def _long_chain(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    number = int(request.split(b"n=")[1].split(b" ")[0]) if b"n=" in request else 0
    writer.write(head(f"Location: /redirect_long?n={number + 1}", "Content-Length: 0", status="302 Found"))
    writer.close()


async def _userinfo(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    host = _header(request, b"host").decode()
    writer.write(head(f"Location: http://user:s3cr3t@{host}/ok", "Content-Length: 0", status="302 Found"))
    writer.close()


async def _echo(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    writer.write(plain(request, status="401 Unauthorized"))
    writer.close()


async def _echo_location(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
    value = _header(request, b"authorization").decode("latin-1").replace(" ", "%20")
    writer.write(head(f"Location: http://evil.invalid/{value}", "Content-Length: 0", status="302 Found"))
    writer.close()


def _header(request: bytes, name: bytes) -> bytes:
    for line in request.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


_PARTIAL = head("Content-Length: 1000") + b"only this"

SLOW: dict[str, Handler] = {
    # tcp
    "/silence": _forever,
    "/reset_before_answer": then_reset(b""),
    "/reset_in_head": then_reset(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "/reset_in_body": then_reset(_PARTIAL),
    "/close_before_answer": then_close(b""),
    "/close_in_head": then_close(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "/close_after_interim": then_close(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/half_close": _half_close,
    # headers
    "/head_drip": drip(b"X-Drip: yes\r\n", first=b"HTTP/1.1 200 OK\r\n"),
    "/headers_endless": endless(b"X-More: and more\r\n", first=b"HTTP/1.1 200 OK\r\n"),
    "/header_line_endless": endless(b"a", first=b"HTTP/1.1 200 OK\r\nX-Long: "),
    "/interim_endless": endless(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "/interim_hang": then_hang(b"HTTP/1.1 100 Continue\r\n\r\n"),
    # status
    "/status_401_echo": _echo,
    # body
    "/body_drip": drip(b"x", first=head("Content-Length: 100000")),
    "/body_drip_chunked": drip(b"1\r\nx\r\n", first=_CHUNKED),
    "/body_endless": endless(b"x", first=head("Content-Type: text/plain")),
    "/body_endless_chunked": endless(chunk(b"x" * 1000), first=_CHUNKED),
    "/body_endless_declared": endless(b"x", first=head("Content-Length: 99999999999")),
    "/body_tiny_chunks": endless(chunk(b"x"), first=_CHUNKED),
    "/body_extension_endless": endless(b"e", first=_CHUNKED + b"1;"),
    "/body_trailers_endless": endless(b"X-T: 1\r\n", first=_CHUNKED + b"0\r\n"),
    "/body_stall": then_hang(_PARTIAL),
    "/body_truncated": then_close(_PARTIAL),
    "/body_truncated_chunked": then_close(_CHUNKED + chunk(b"hello")),
    "/body_until_close": then_close(head("Content-Type: text/plain") + b"hello"),
    "/status_204_close": then_close(b"HTTP/1.1 204 No Content\r\n\r\n"),
    # JSON
    "/json_many_numbers": repeated(b"[", b"1,", b"1]"),
    "/json_many_lists": repeated(b"[", b"[],", b"[]]"),
    "/json_many_objects": repeated(b"[", b'{"a":1},', b"{}]"),
    "/json_many_keys": repeated(b"{", b'"a":1,', b'"b":1}'),
    "/json_long_text": repeated(b'"', b"long and longer ", b'"'),
    "/json_long_escapes": repeated(b'["', b"\\u0061", b'"]'),
    "/json_deeper_and_deeper": repeated(b"", b"[", b""),
    # redirects
    "/redirect_slow": _slow_chain,
    "/redirect_long": _long_chain,
    "/redirect_userinfo": _userinfo,
    "/redirect_echo": _echo_location,
    # reuse
    "/reuse_close": then_close(jsonish(DOCUMENT)),
    "/reuse_reset": then_reset(jsonish(DOCUMENT)),
    "/reuse_stray": then_stray(jsonish(DOCUMENT), b"HTTP/1.1 500 Stray\r\nContent-Length: 0\r\n\r\n"),
    **streams.SLOW,
}
