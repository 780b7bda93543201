import asyncio
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter import __version__, slices
from exporter.model.endpoint import Basic, Endpoint
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.secret import Secret
from exporter.model.state import State, Verdict
from exporter.web.page import status
from tests.web.conftest import WALL  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]

HOSTILE = """<img src=x onerror=alert(1)>"'}]]>&lt;javascript:alert(2)"""


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += " " + data.strip()

    def rows(self) -> list[str]:
        return [str(attrs["class"]) for tag, attrs in self.tags if tag == "tr" and "class" in attrs]


async def look(client: Client, query: str = "") -> Page:
    answer = await client.get(f"/{query}")
    assert answer.status == 200
    assert answer.content_type == "text/html"
    page = Page(await answer.text())
    assert page.open == []
    return page


async def test_without_targets_it_says_how_to_add_one(client: Client) -> None:
    text = (await look(client)).text
    assert "No targets yet" in text
    assert "model-exporter run --target http://127.0.0.1:8000" in text
    assert "targets:" in text


async def test_a_target_at_a_glance(client: Client, house: Any) -> None:
    secret = Basic("someone", Secret("inline", "s3cr3t-password"))
    endpoint = Endpoint("http", "fraud.models", 8080, "/v1", "key=s3cr3t-query", auth=secret)
    probes = [("health", Kind.HEALTH), ("deep", Kind.INFER)]
    health, deep = house.watch("fraud", probes=probes, model="fraud-v3", protocol="open_inference", endpoint=endpoint,
                               labels={"team": "risk"})  # fmt: skip
    house.book(health, observation=Observation(info={"server": "MLServer", "server_version": "1.7.1"}))
    house.book(deep)
    house.book(deep, Reason.TIMEOUT, detail="nothing within 5 s", at=WALL - 9, duration=5.0)
    house.ledger.judge("fraud", Verdict(State.ZOMBIE, Reason.TIMEOUT, "nothing within 5 s", "deep", True))
    house.ledger.targets["fraud"].since = WALL - 3 * 3600 - 120
    page = await look(client)
    for words in ("1 of 1 target is not healthy", "fraud-v3", "http://fraud.models:8080/v1", "team=risk", "zombie",
                  "3 h 2 min", "deep: no whole answer in time", "nothing within 5 s", "MLServer 1.7.1", "5.00 s",
                  "deep failed"):  # fmt: skip
        assert words in " ".join(page.text.split())
    assert "s3cr3t" not in page.text
    assert page.rows() == ["state-zombie"]
    [times] = [attrs for tag, attrs in page.tags if tag == "time" and attrs["datetime"] == "2027-01-15T04:58:00.000Z"]
    assert times
    [picture] = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert picture["aria-label"] == "last 2 runs of deep: 1 failed, 12.3 ms to 12.3 ms"


async def test_every_state_has_its_word_and_class_and_trouble_comes_first(client: Client, house: Any) -> None:
    for state in State:
        house.watch(f"t-{state}", state, reason=None if state is State.HEALTHY else Reason.NOT_READY)
    page = await look(client)
    assert page.rows() == [f"state-{state}" for state in
                           ("error", "zombie", "unhealthy", "loading", "saturated", "unknown", "healthy")]  # fmt: skip
    assert "5 of 7 targets are not healthy" in page.text
    assert "1 not known yet" in page.text


async def test_all_healthy(client: Client, house: Any) -> None:
    house.watch("a")
    house.watch("b")
    page = await look(client)
    assert "All 2 targets are healthy" in page.text
    assert "cheap checks only" in page.text


async def test_hostile_text_stays_text(client: Client, house: Any) -> None:
    [job] = house.watch(HOSTILE, State.ERROR, reason=Reason.MALFORMED, detail=HOSTILE, model=HOSTILE,
                        labels={"x": HOSTILE}, protocol=HOSTILE, endpoint=Endpoint("http", HOSTILE, 1))  # fmt: skip
    house.book(job, Reason.MALFORMED, detail=HOSTILE, observation=Observation(info={"server": HOSTILE}))
    for path, params in PLACES:
        html = await (await client.get(path, params=params)).text()
        assert_inert(html)
        assert HOSTILE in Page(html).text


PLACES = [
    ("/", {"q": HOSTILE[:9]}),
    ("/", {"group": "x", "sort": "name"}),
    ("/target", {"name": HOSTILE}),
    ("/target", {"name": f"{HOSTILE} that is not watched"}),
]


def assert_inert(html: str) -> None:
    """Nothing in it runs but our own script, and nothing leads elsewhere."""
    assert "<img src=x" not in html
    page = Page(html)
    assert not [tag for tag, attrs in page.tags if tag in ("style", "iframe", "object") or "onerror" in attrs]
    ours = {"src": f"static/page.js?{__version__}", "defer": None}
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [ours]
    assert not [attrs for _, attrs in page.tags if "style" in attrs]
    for _, attrs in page.tags:
        for name in ("href", "src", "action"):
            assert (
                not (attrs.get(name) or "").lower().lstrip().startswith(("javascript:", "http:", "https:", "//", "/"))
            )


async def test_the_page_needs_nothing_from_elsewhere(client: Client, house: Any) -> None:
    house.watch("a/b c")
    page = await look(client)
    for tag, attrs in page.tags:
        if tag in ("link", "img", "script"):
            address = str(attrs.get("href") or attrs.get("src"))
            assert (await client.get(f"/{address}")).status == 200
    [target] = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "a%2Fb" in str(attrs["href"])]
    answer = await client.get(f"/{target}")
    assert answer.status == 200
    assert "a/b c" in Page(await answer.text()).text


async def test_it_reads_well_without_eyes(client: Client, house: Any) -> None:
    house.watch("a")
    page = await look(client)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == 1
    assert "caption" in tags
    assert all(attrs["scope"] in ("col", "row") for tag, attrs in page.tags if tag == "th")
    assert dict(page.tags)["html"]["lang"] == "en"
    labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
    fields = [attrs for tag, attrs in page.tags if tag in ("input", "select") and attrs.get("type") != "hidden"]
    assert {attrs["id"] for attrs in fields} == labelled
    assert all("alt" in attrs for tag, attrs in page.tags if tag == "img")


async def test_filters_by_state_and_text(client: Client, house: Any) -> None:
    house.watch("alpha", State.ERROR, reason=Reason.DNS, labels={"team": "Red"})
    house.watch("beta", State.ERROR, reason=Reason.RESET, model="Llama")
    house.watch("gamma", labels={"team": "red"})
    assert len((await look(client, "?state=error")).rows()) == 2
    assert len((await look(client, "?q=TEAM%3Dred")).rows()) == 2
    assert len((await look(client, "?q=team%3Dred&state=error")).rows()) == 1
    assert len((await look(client, "?q=llama")).rows()) == 1
    assert len((await look(client, "?q=reset")).rows()) == 1
    assert "No target matches" in (await look(client, "?q=nothing")).text
    assert len((await look(client, "?state=nonsense")).rows()) == 3
    page = await look(client, "?state=error&q=team&refresh=on")
    links = [str(attrs["href"]) for tag, attrs in page.tags if tag == "a"]
    assert "?q=team&state=zombie&refresh=on" not in links
    assert "?q=team&state=error" in links
    assert "?q=team&state=healthy&refresh=on" in links


async def test_turns_pages(monkeypatch: pytest.MonkeyPatch, client: Client, house: Any) -> None:
    monkeypatch.setattr(status, "ROWS", 10)
    for number in range(25):
        house.watch(f"t{number:02}")
    first = await look(client)
    assert len(first.rows()) == 10
    assert "Targets 1 to 10 of 25" in first.text
    assert {attrs.get("rel"): attrs["href"] for tag, attrs in first.tags if tag == "a"}["next"] == "?page=2"
    last = await look(client, "?page=3")
    assert len(last.rows()) == 5
    assert "t24" in last.text
    for query in ("?page=99", "?page=3&q=t"):
        assert len((await look(client, query)).rows()) == 5
    for query in ("?page=0", "?page=-1", "?page=x", "?page=%D9%A3", "?page=" + "9" * 30, "?page="):
        assert len((await look(client, query)).rows()) == 10


async def test_refreshes_only_when_asked(client: Client, house: Any) -> None:
    house.watch("a")
    assert not [attrs for tag, attrs in (await look(client)).tags if attrs.get("http-equiv")]
    [refresh] = [attrs for _, attrs in (await look(client, "?refresh=on")).tags if attrs.get("http-equiv")]
    assert refresh["content"] == "15"


async def test_a_big_page_leaves_the_loop_to_the_measuring(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any
) -> None:
    for number in range(1000):
        house.watch(f"target-{number}", probes=[("health", Kind.HEALTH), ("ready", Kind.READY)])
    await look(client)
    monkeypatch.setattr(slices, "SLICE", 0.0)
    loop = asyncio.get_running_loop()
    turns = 0
    done = False

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not done:
            loop.call_soon(turn)

    loop.call_soon(turn)
    await look(client, "?q=target")
    done = True
    # A turn after each target looked at, and after each piece of those shown.
    assert turns > 1000 + 100
