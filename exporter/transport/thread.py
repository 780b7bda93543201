"""Calls that block for as long as they like, on a daemon thread each: the end of the process waits for none of them.

asyncio's default pool has a handful of threads, is shared by everything, and is waited for at exit.
"""

import asyncio
import errno
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar

Found = TypeVar("Found")

#: Modules whose import has come to its end; in sys.modules they are before that.
_imported: dict[str, Any] = {}
_importing: dict[str, "asyncio.Task[None]"] = {}


async def imported(name: str) -> Any:
    """A module that takes a while to import, by its name: once, however many wait for it. Raises ImportError."""
    if name not in _imported:
        task, loop = _importing.get(name), asyncio.get_running_loop()
        if task is None or task.done() or task.get_loop() is not loop:
            task = _importing[name] = loop.create_task(_import(name))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to hear it
        await asyncio.shield(task)
    return _imported[name]


async def available(names: Iterable[str]) -> None:
    """Wait until modules were imported, or turned out not to be there: whoever needs one says so."""
    for name in names:
        with suppress(ImportError):
            await imported(name)


async def _import(name: str) -> None:
    try:
        _imported[name] = await in_thread(lambda: import_module(name), f"import {name}")
    except OSError:  # no thread to be had
        _imported[name] = import_module(name)


async def in_thread(function: Callable[[], Found], name: str) -> Found:
    """The result of a blocking call, or what it raised. Giving up (cancellation) leaves the thread to itself.

    Raises OSError when the system has no thread to give.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = function()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_deliver, future, result, error)

    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "cannot start a thread") from None
    return await future


def _deliver(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
