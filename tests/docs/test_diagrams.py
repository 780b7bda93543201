"""The diagrams are as their script draws them, and ask nobody for anything. After a change: python docs/diagrams.py"""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PICTURES: dict[str, Callable[[], str]] = runpy.run_path(str(DOCS / "diagrams.py"))["PICTURES"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_diagram_is_as_it_is_drawn(name: str) -> None:
    drawn = PICTURES[name]()
    ElementTree.fromstring(drawn)
    assert (DOCS / "pictures" / name).read_text() == drawn, "run: python docs/diagrams.py"
    assert not re.search(r"https?://|@import|url\((?!#)", drawn.replace("http://www.w3.org/2000/svg", ""))


@pytest.mark.parametrize("name", PICTURES)
def test_a_diagram_is_shown_on_a_page_with_words_beside_it(name: str) -> None:
    pages = [path.read_text() for path in DOCS.glob("*.md")]
    assert any(re.search(rf"!\[[^\]]{{40,}}\]\(pictures/{re.escape(name)}\)", page) for page in pages)
