"""Where a library of this process that insists on connecting by itself finds us: a socket for it alone."""

import asyncio
import contextlib
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def rendezvous() -> Iterator[tuple[socket.socket, str]]:
    """A listening socket that only this process can use, and its address as grpcio writes it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        if sys.platform == "linux":
            name = f"model-exporter-{os.urandom(16).hex()}"
            place, address = f"\0{name}", f"unix-abstract:{name}"
        else:
            place = str(Path(stack.enter_context(tempfile.TemporaryDirectory()), "grpc"))
            address = f"unix:{place}"
        listener.bind(place)
        listener.listen(1)
        listener.setblocking(False)
        yield listener, address


async def meet(listener: socket.socket, end: asyncio.Protocol) -> None:
    """Wait for whoever comes to a rendezvous from this process, and talk to it through `end`."""
    loop = asyncio.get_running_loop()
    while True:
        accepted = await _accept(listener)
        try:
            if _is_ours(accepted):
                await loop.connect_accepted_socket(lambda: end, accepted)
                return
        except BaseException:
            accepted.close()
            raise
        accepted.close()


async def _accept(listener: socket.socket) -> socket.socket:
    """As `loop.sock_accept`, which loses what it accepted when it is cancelled in the same turn."""
    while True:
        await _comes(listener)
        with contextlib.suppress(BlockingIOError):
            return listener.accept()[0]


async def _comes(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    somebody: asyncio.Future[None] = loop.create_future()

    def told() -> None:
        if not somebody.done():
            somebody.set_result(None)

    loop.add_reader(listener, told)
    try:
        await somebody
    finally:
        loop.remove_reader(listener)


def _is_ours(accepted: socket.socket) -> bool:
    """Whether the other end is in this process: names of Linux's abstract sockets are open to everybody."""
    if sys.platform != "linux":
        return True  # the folder of the socket is ours alone
    pid, _, _ = struct.unpack("3i", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return bool(pid == os.getpid())
