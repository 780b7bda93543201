"""The daemon as a process: its event loop, its signals, its exit code."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable

from exporter import __version__, garbage, log
from exporter.app import Daemon
from exporter.capacity import raise_files
from exporter.config.loader import Loaded
from exporter.options import Options

logger = logging.getLogger("exporter")


async def run(
    options: Options, loaded: list[Loaded] | None = None, started: Callable[[Daemon], None] | None = None
) -> int:
    """The daemon, until SIGTERM or SIGINT. Returns the exit code; raises ConfigError and CannotListen.

    `loaded` holds the config where it was loaded before.

    A second signal ends the process without waiting for runs in flight.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    daemon = Daemon(options, loaded=loaded)

    def asked_to_stop() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
    await daemon.start()
    log.event(
        logger, logging.INFO, "listening", addresses=",".join(f"{host}:{port}" for host, port in daemon.addresses),
        targets=len(daemon.ledger.targets), version=__version__,
    )  # fmt: skip
    if started is not None:
        started(daemon)
    try:
        await stop.wait()
    finally:
        log.event(logger, logging.INFO, "stopping", grace=options.shutdown_grace)
        await daemon.stop()
    return 0


def run_blocking(
    options: Options, loaded: list[Loaded] | None = None, started: Callable[[Daemon], None] | None = None
) -> int:
    """`run` on uvloop where it is installed (the extra `fast`), else on asyncio's own loop."""
    _occupy_standard_streams()
    raise_files()
    garbage.one_heap()
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        from uvloop import new_event_loop as factory
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(run(options, loaded, started))


def _occupy_standard_streams() -> None:
    """Where one was closed (`>&-`) a socket would get its number: prints go there, and libuv ends the process."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
