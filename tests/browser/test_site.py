"""The site of the docs, as `make docs` builds it: whole by itself, at the desk and on a phone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.browser import Browser
from tests.support.programs import absent

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SITE = Path(__file__).parents[2] / "dist" / "docs"
PAGES = ("index.html", "states.html", "page.html", "reference/metrics.html")

#: Pictures that are not there, and words that stick out of the window.
_BROKEN = "[...document.images].filter(each => !each.complete || !each.naturalWidth).map(each => each.src)"
_OVER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[str]:
    if not (SITE / "index.html").exists():
        absent("dist/docs", "make docs")
    app = web.Application()
    app.router.add_static("/", SITE)
    runner = web.AppRunner(app)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_page_asks_nobody_else_and_fits(browser: Browser, site: str, width: int) -> None:
    for page in PAGES:
        tab = await browser.tab(width=width, height=800, dark=width < 600)
        await tab.go(f"{site}/{page}")
        assert await tab.run(_BROKEN) == [], page
        assert await tab.run(_OVER) <= 0, f"{page} is wider than the window"
        assert [url for url in tab.requests if not url.startswith((site, "data:", "blob:"))] == [], page
        assert tab.complaints == [], page
        await tab.close()


async def test_it_is_searched_where_it_is(browser: Browser, site: str) -> None:
    tab = await browser.tab()
    await tab.go(f"{site}/index.html?q=zombie")
    await tab.until("document.querySelector('.md-search-result__item a')?.href.includes('.html')")
    assert [url for url in tab.requests if not url.startswith((site, "data:", "blob:"))] == []
    await tab.close()
