"""What a run of a cheap probe costs, in calls of our own functions: a count, unlike a time, is the same anywhere.

A probe that uses none of the features that others use must not pay for them. Whoever makes a run dearer has to say here
that it is worth it.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

import exporter
from exporter.app import Daemon, Options

#: Calls, each time that a coroutine is gone on with among them, from its due moment until the run is booked.
FRESH = 110
KEPT = 91

OURS = str(Path(exporter.__file__).parent)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def serve(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@pytest.mark.parametrize(("connection", "most"), [("fresh", FRESH), ("keep_alive", KEPT)])
async def test_a_run_of_a_cheap_probe_takes_few_calls(tmp_path, connection, most):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    health = {"interval": "10m", "recheck": "1ms"}
    target = {"url": f"http://127.0.0.1:{port}", "protocol": "http", "connection": connection, "name": "one"}
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"targets": [{**target, "probes": {"health": health}}]}))
    landed = asyncio.Queue()
    options = Options(config=(config,), listen=(("127.0.0.1", 0),), reload_interval=0)
    daemon = Daemon(options, landed.put_nowait)
    await daemon.start()
    try:
        await asyncio.wait_for(landed.get(), 10)
        counts = []
        for _ in range(8):
            await asyncio.sleep(0.01)
            assert landed.empty()
            calls = Counter()

            def count(frame, event, _, calls=calls):
                name = frame.f_code.co_filename
                if event == "call" and name.startswith(OURS) and not name.endswith("lag.py"):
                    calls[f"{name.removeprefix(OURS)}:{frame.f_code.co_name}"] += 1

            sys.setprofile(count)
            try:
                assert daemon.engine.pull("one")
                result = await asyncio.wait_for(landed.get(), 10)
                await asyncio.sleep(0)
            finally:
                sys.setprofile(None)
            assert result.status == "healthy", result.detail
            counts.append(calls)
    finally:
        await daemon.stop()
        server.close()
        while len(asyncio.all_tasks()) > 1:  # `serve` ends with the connection
            await asyncio.sleep(0)
    fewest = min(counts, key=Counter.total)
    print(f"\n{connection}: {fewest.total()} calls")
    assert fewest.total() <= most, "\n".join(f"{times} {name}" for name, times in fewest.most_common())
