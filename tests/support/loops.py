"""Event loops a room's tests run on: its conftest returns `both()` from the hook `pytest_asyncio_loop_factories`."""

import asyncio
import importlib.util
from collections.abc import Callable, Mapping


def both() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's own loop, and uvloop where the extra `[fast]` is installed."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    return loops
