"""`python -m exporter.demo HOST PORT`: the fake servers alone, on this port and those after it, for other machines."""

import asyncio
import signal
import sys

from exporter.demo.stage import Stage


async def _play(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Stage(host=host, first_port=port) as stage:
        for name, url in stage.urls.items():
            sys.stdout.write(f"{url} {name}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        sys.stderr.write("usage: python -m exporter.demo HOST PORT\n")
        sys.exit(2)
    asyncio.run(_play(sys.argv[1], int(sys.argv[2])))
