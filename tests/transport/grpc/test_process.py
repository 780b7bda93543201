"""grpcio within a process: when it is imported, where it finds us, and the end."""

import asyncio
import socket
import subprocess
import sys

import pytest

from exporter.model.failure import Reason
from exporter.transport import thread
from exporter.transport.rendezvous import meet, rendezvous
from tests.transport.grpc.service import failure_of

pytestmark = pytest.mark.slow


async def test_a_stranger_at_the_rendezvous_is_turned_away():
    class End(asyncio.Protocol):
        met = False

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.met = True
            transport.close()

    end = End()
    with rendezvous() as (listener, address):
        assert address.startswith("unix-abstract:")
        meeting = asyncio.ensure_future(meet(listener, end))
        name = address.removeprefix("unix-abstract:")
        code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0{name}'); print(s.recv(1))"
        stranger = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert stranger.stdout == "b''\n"
        assert not end.met
        with socket.socket(socket.AF_UNIX) as ours:
            ours.connect(f"\0{name}")
            await meeting
            assert end.met


#: A process of its own that asks the port it is given.
PROGRAM = """
import asyncio, sys, time
from exporter.model.endpoint import Endpoint
from exporter.transport import Transport

async def main():
    transport = Transport(user_agent="x")
    endpoint = Endpoint(sys.argv[1], "127.0.0.1", int(sys.argv[2]), keep_alive=True)
    for _ in range(3):
        exchange = transport.exchange(
            endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={}, keep=("a", "b")
        )
        try:
            if sys.argv[1] == "grpc":
                print((await exchange.call("/test.Test/Echo", b"x")).code)
            else:
                await exchange.request("GET", "/")
        except Exception as error:
            print(error)
        await exchange.close()
    await transport.close()
    print("grpc" in sys.modules)

asyncio.run(main())
"""


def program(scheme: str, port: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM, scheme, str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_grpcio_is_imported_for_those_who_call(fake):
    assert program("http", fake.port).stdout.endswith("False\n")


def test_a_process_that_called_ends_by_itself(fake):
    done = program("grpc", fake.port)
    assert (done.returncode, done.stdout) == (0, "0\n0\n0\nTrue\n"), done.stderr
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr


async def test_without_the_extra_it_says_what_to_install(ask, monkeypatch):
    monkeypatch.setattr(thread, "_imported", {})
    monkeypatch.setitem(sys.modules, "grpc.aio", None)
    failure = await failure_of(ask())
    assert failure.reason is Reason.INTERNAL  # which changes no state
    assert "pip install 'model-exporter[grpc]'" in failure.detail
