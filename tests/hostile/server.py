"""The hostile server: one process, every misbehaviour on its own path or port, all on loopback.

    python -m tests.hostile.server [--certificates DIR]

Prints one JSON object with the ports, then serves until its standard input ends.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.hostile import ways
from tests.hostile.answers import SLOW, WHOLE
from tests.hostile.calls import CALLS
from tests.hostile.ways import jsonish

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


#: When paths below /control/ were asked, on the clock that all processes share.
arrivals: dict[str, list[float]] = {}
#: From when to when this process, which has little to do, did not get to run: the machine stood still, or had no core.
pauses: list[tuple[float, float]] = []
#: Seconds between two looks at that, and of a pause that is told.
LOOK, PAUSE = 0.01, 0.05


async def talk(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer requests until the behaviour of the path, or of its first part, ends the connection."""
    while True:
        request = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in request.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        path = request.split(b" ")[1].decode("latin-1")
        if path.startswith("/control/"):
            arrivals.setdefault(path, []).append(time.monotonic())
            path = "/ok"
        elif path.startswith("/late/"):
            await asyncio.sleep(float(path.removeprefix("/late/")))
            path = "/ok"
        elif path == "/arrivals":
            writer.write(jsonish(json.dumps({"arrivals": arrivals, "pauses": pauses}).encode()))
            continue
        elif path.endswith("/api/ps"):
            path = "/unknown"  # what is in memory is not told; the question after it gets the behaviour
        elif path not in WHOLE:
            path = "/" + path.lstrip("/").partition("/")[0]
        if path in WHOLE:
            writer.write(WHOLE[path])
            await writer.drain()
        elif (handler := SLOW.get(path.partition("?")[0])) is not None:
            await handler(reader, writer, request)
            return
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


async def watch() -> None:
    """Take down when this process stood still."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(LOOK)
        now = time.monotonic()
        if now - last > PAUSE:
            pauses.append((last, now))
        last = now


async def close(reader: StreamReader, writer: StreamWriter) -> None:
    """Hang up on accept."""


async def reset(reader: StreamReader, writer: StreamWriter) -> None:
    """Reset on accept."""
    ways.reset(writer)


async def mute(reader: StreamReader, writer: StreamWriter) -> None:
    """Read and never say a word."""
    while await reader.read(65536):
        pass


async def noise(reader: StreamReader, writer: StreamWriter) -> None:
    """Speak before being spoken to, and not HTTP."""
    writer.write(b"220 mail.example ESMTP\r\n")
    await reader.read()


def guarded(serve: Serve) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            await serve(reader, writer)
        with contextlib.suppress(ConnectionError, OSError):
            writer.close()

    return connected


def refused() -> socket.socket:
    """A port that is taken and does not listen: connecting to it is refused."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def blackhole() -> list[socket.socket]:
    """A port whose accept queue is full: connecting to it is not answered."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    sockets = [listener]
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(listener.getsockname())
        sockets.append(filler)
    return sockets


def contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """A server context per certificate in `folder`, and some with habits of their own."""
    found = {}
    for path in folder.glob("*.pem"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        found[f"tls_{path.stem}"] = context
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(folder / "good.pem")
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1
    found["tls_old"] = old
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asking.load_cert_chain(folder / "good.pem")
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(folder / "good.pem")
    found["tls_client_certificate"] = asking
    return found


async def main(certificates: Path | None) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)  # handshakes that fail are what this is for
    ports: dict[str, int] = {}

    async def listen(name: str, serve: Serve, context: ssl.SSLContext | None = None) -> None:
        server = await asyncio.start_server(guarded(serve), "127.0.0.1", 0, ssl=context, backlog=512)
        ports[name] = server.sockets[0].getsockname()[1]

    watching = asyncio.create_task(watch())
    await listen("main", talk)
    await listen("close", close)
    await listen("reset", reset)
    await listen("mute", mute)
    await listen("noise", noise)
    for name, peer in CALLS.items():
        await listen(name, peer.talk)
    taken, hole = refused(), blackhole()
    ports["refused"] = taken.getsockname()[1]
    ports["blackhole"] = hole[0].getsockname()[1]
    if certificates is not None:
        for name, context in contexts(certificates).items():
            await listen(name, talk, context)
        for kind in ("good", "near_expiry"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / f"{kind}.pem")
            context.set_alpn_protocols(["h2"])
            await listen(f"h2_tls_{kind}", CALLS["h2_serving"].talk, context)
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    watching.cancel()


if __name__ == "__main__":
    import warnings

    # TLS 1.0 is deprecated; that is the point.
    warnings.simplefilter("ignore", DeprecationWarning)
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificates", type=Path)
    asyncio.run(main(parser.parse_args().certificates))
