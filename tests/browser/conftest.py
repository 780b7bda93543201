"""One browser and one house for all tests of a file."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.browser.house import House, built
from tests.support.browser import Browser, Tab
from tests.support.programs import absent

Open = Callable[..., Awaitable[Tab]]
_REAL = Path(os.environ.get("MODEL_EXPORTER_REAL") or Path(__file__).parents[2] / ".real")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with built() as house:
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser, house: House) -> AsyncIterator[Open]:
    """`open_page(path)`: a tab with a page of the exporter. At the end of the test no tab may have had anything to
    complain of, or have asked anybody else for anything.
    """
    tabs: list[Tab] = []

    async def start(path: str = "/", **settings: Any) -> Tab:
        tab = await browser.tab(**settings)
        tabs.append(tab)
        await tab.go(house.url + path)
        return tab

    yield start
    for tab in tabs:
        await tab.close()
        assert tab.complaints == []
        assert [url for url in tab.requests if not url.startswith(f"{house.url}/")] == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def axe() -> str:
    """axe-core, to be run within a page."""
    source = _REAL / "axe" / "package" / "axe.min.js"
    return source.read_text() if source.exists() else absent("axe-core", "sh tests/real/servers/install.sh axe")
