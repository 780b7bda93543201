"""Pictures for docs/page.md, of the running page: `make pictures`. As a test, that there is something on them."""

import os
import struct
from pathlib import Path

import pytest

from tests.browser.conftest import Open
from tests.browser.house import House

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

#: Where they go when they are wanted; then the bars are given the time to become many.
FOLDER = os.environ.get("MODEL_EXPORTER_PICTURES", "")
BARS = 16 if FOLDER else 2
DESK, PHONE = (1280, 860), (390, 844)
PICTURES = [
    ("targets", "/", DESK, False),
    ("targets-dark", "/?group=team", DESK, True),
    ("targets-phone", "/", PHONE, True),
    ("target", "/target?name=staller", DESK, False),
    ("target-phone", "/target?name=staller", PHONE, False),
    ("training", "/training", (1280, 330), False),
    ("evaluations", "/evaluations", (1280, 330), True),
]


@pytest.mark.parametrize(("name", "path", "size", "dark"), PICTURES, ids=[picture[0] for picture in PICTURES])
async def test_pictures(
    open_page: Open, house: House, tmp_path: Path, name: str, path: str, size: tuple[int, int], dark: bool
) -> None:
    bars = f"document.querySelector('tr[data-key=assistant] .tokens').viewBox.baseVal.width >= {5 * BARS - 1}"
    watching = await open_page("/?q=assistant")
    await watching.until(f"document.querySelector('.tokens') && {bars}", within=120)
    tab = await open_page(path, width=size[0], height=size[1], dark=dark)
    if path.startswith("/target?"):
        await tab.until("document.querySelector('.state-zombie .badge') && document.querySelector('.tokens')")
    elif path.startswith("/?") or path == "/":
        await tab.until("document.querySelector('tr.state-zombie') && document.querySelectorAll('.tokens').length > 4")
    else:
        await tab.until("document.querySelector('.mood')")
    png = await tab.picture()
    assert struct.unpack(">II", png[16:24]) == size
    folder = Path(FOLDER or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(png)
    assert len(png) > 10_000  # a blank page is smaller
