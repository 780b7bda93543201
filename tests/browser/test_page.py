"""The page in a real Chromium, as people use it: it follows what happens, finds, asks, and keeps nobody out."""

import asyncio
import json

import pytest

from tests.browser.conftest import Open
from tests.browser.house import House
from tests.support.browser import Tab

pytestmark = [pytest.mark.real, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ROW = "document.querySelector('tr[data-key=\"{}\"]')"
STATE = ROW + "?.className"


#: Looks by the clock are left out, so that only what is heard can bring the page up to date; what is said is noted.
BY_EAR = """
const plain = soon;
soon = (wait) => wait < EVERY && plain(wait);
rest();
window.said = [];
new MutationObserver(() => said.push(words.textContent)).observe(words, { childList: true, subtree: true });
window.untouched = true;
"""


async def test_it_follows_a_server_that_dies_and_comes_back(open_page: Open, house: House) -> None:
    tab = await open_page("/?sort=name")
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy' && stream?.readyState === EventSource.OPEN")
    await tab.run(BY_EAR)
    house.die()
    await tab.until(f"{STATE.format('mortal')} === 'state-error'")
    await tab.until(f"{ROW.format('mortal')}.innerText.includes('connection refused')")
    assert await tab.run("document.title.includes('not healthy')")
    assert await tab.run("said.includes('mortal: healthy → error')")
    house.revive()
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy'")
    assert await tab.run("said.includes('mortal: error → healthy')")
    assert await tab.run("untouched"), "the page was loaded anew"


async def test_it_says_when_the_exporter_is_away_and_goes_on_when_it_is_back(open_page: Open, house: House) -> None:
    tab = await open_page("/?q=mortal")
    await tab.until("stream?.readyState === EventSource.OPEN")
    await tab.run("window.untouched = true")
    house.exporter.terminate()
    await tab.until("words.textContent.startsWith('not connected since')")
    await tab.run("look()")
    await tab.until("words.textContent.includes('what is shown is older')")
    assert "mortal" in await tab.run("document.getElementById('targets').innerText")
    await house.begin_again()
    await tab.until("stream?.readyState === EventSource.OPEN && !stale", within=60)
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy'")
    house.die()
    await tab.until(f"{STATE.format('mortal')} === 'state-error'")
    house.revive()
    assert await tab.run("untouched"), "the page was loaded anew"
    tab.complaints.clear()  # of the exporter that was away


async def test_a_stream_that_is_refused_is_asked_for_again(open_page: Open) -> None:
    tab = await open_page("/?q=mortal")
    await tab.until("stream?.readyState === EventSource.OPEN")
    # As when there is no place: a browser does not come back from an answer that is none by itself.
    await tab.run("window.first = stream; stream.close(); stream.dispatchEvent(new Event('error'))")
    assert await tab.run("words.textContent.startsWith('not connected since')")
    await tab.until("stream && stream !== first && stream.readyState === EventSource.OPEN && !stale")


async def test_it_looks_again_however_much_happens(open_page: Open, house: House) -> None:
    tab = await open_page("/?q=mortal")
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy' && stream?.readyState === EventSource.OPEN")
    # As among 10,000 targets: something happens ten times a second.
    data = json.dumps({"target": "another", "from": "healthy", "to": "error"})
    event = f"new MessageEvent('state', {{ data: {json.dumps(data)} }})"
    await tab.run(f"window.flood = setInterval(() => stream.dispatchEvent({event}), 100)")
    house.die()
    await tab.until(f"{STATE.format('mortal')} === 'state-error'", within=10)
    house.revive()
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy'")


async def test_what_is_typed_while_it_looks_is_found(open_page: Open, house: House) -> None:
    tab = await open_page("/")
    await tab.run("button.click()")  # paused: only what the reader asks for brings it up to date
    await tab.run("find.elements.q.value = 'mor'; filter(); find.elements.q.value = 'mortal'; filter()")
    await tab.until("document.querySelectorAll('#targets tbody tr').length === 1")
    await tab.until("document.querySelector('#targets tbody tr').dataset.key === 'mortal'")
    await tab.run("find.elements.q.value = 'zombie'; filter(); find.elements.q.value = 'fraud'; filter()")
    await tab.until("document.querySelector('#targets tbody tr').dataset.key === 'fraud'")


async def test_it_rests_when_it_is_told_to(open_page: Open, house: House) -> None:
    tab = await open_page("/?q=mortal")
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy'")
    await tab.run("button.click()")
    assert await tab.run("[button.textContent, button.getAttribute('aria-pressed'), stream]") == [
        "Paused",
        "false",
        None,
    ]
    house.die()
    await asyncio.to_thread(house.exporter.until_state, "mortal", "error", within=30)
    assert await tab.run(STATE.format("mortal")) == "state-healthy"
    await tab.run("button.click()")
    await tab.until(f"{STATE.format('mortal')} === 'state-error'")
    house.revive()
    await tab.until(f"{STATE.format('mortal')} === 'state-healthy'")


async def test_it_finds_while_one_types(open_page: Open, house: House) -> None:
    tab = await open_page()
    await tab.press("/")
    assert await tab.run("document.activeElement.id") == "q"
    for letter in "risk":
        await tab.press(letter)
    await tab.until("document.querySelectorAll('#targets tbody tr').length === 2")
    assert await tab.run("location.search") == "?q=risk"
    assert await tab.run("document.activeElement.id") == "q"
    await tab.run("document.getElementById('group').value = 'team'; find.requestSubmit()")
    await tab.until("document.querySelector('#targets tr.group')?.innerText.includes('team=risk')")
    assert await tab.run("location.search") == "?q=risk&group=team"


async def test_a_target_is_reached_by_keys_alone_and_asked_now(open_page: Open, house: House) -> None:
    tab = await open_page("/?q=mortal")
    for _ in range(40):
        await tab.press("Tab")
        if await tab.run("document.activeElement.closest('tr[data-key=mortal]') !== null"):
            break
    await tab.press("Enter")
    await tab.until("document.querySelector('h1')?.textContent === 'mortal'")
    house.refuse()
    await tab.until("document.querySelector('[data-target]').classList.contains('state-unhealthy')")
    transcript = await tab.until("document.querySelector('.card pre')?.textContent")
    assert "HTTP status: 500" in transcript
    assert "> Authorization: <hidden>" in transcript
    assert "< 500" in transcript
    assert "| CUDA error" in transcript
    assert "s3cr3t" not in await tab.run("document.documentElement.innerHTML")
    asked = len(house.mortal.requests)
    house.mortal.answer = lambda _: (200, "ok")
    await tab.run("document.querySelector('#probe-now button').click()")
    await tab.until("document.getElementById('probe-words').textContent === 'asked: health'")
    await tab.until("document.querySelector('[data-target]').classList.contains('state-healthy')")
    assert len(house.mortal.requests) > asked
    await tab.until("document.querySelector('.card details:not([open]) pre')?.textContent.includes('500')")


async def test_without_scripts_it_is_a_table_and_a_form(open_page: Open, house: House) -> None:
    tab = await open_page("/?q=mortal", script=False)
    document = (await tab.ask("DOM.getDocument", depth=0))["root"]["nodeId"]
    rows = await tab.ask("DOM.querySelectorAll", nodeId=document, selector="#targets tbody tr")
    assert len(rows["nodeIds"]) == 1
    live = await tab.ask("DOM.querySelector", nodeId=document, selector=".live:not([hidden])")
    assert live["nodeId"] == 0
    await tab.go(f"{house.url}/target?name=mortal")
    document = (await tab.ask("DOM.getDocument", depth=0))["root"]["nodeId"]
    button = (await tab.ask("DOM.querySelector", nodeId=document, selector="#probe-now button"))["nodeId"]
    box = (await tab.ask("DOM.getBoxModel", nodeId=button))["model"]["content"]
    where = {"x": (box[0] + box[2]) / 2, "y": (box[1] + box[5]) / 2, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        await tab.ask("Input.dispatchMouseEvent", type=kind, **where)
    async with asyncio.timeout(30):
        while not any(url.endswith("/target?name=mortal&asked=now") for url in tab.requests):
            await asyncio.sleep(0.1)


PLACES = ["/", "/?group=team", "/?q=nothing-of-this-name", "/target?name=staller", "/target?name=odd", "/training",
          "/evaluations"]  # fmt: skip


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desk-light", "phone-dark"])
async def test_it_keeps_nobody_out(open_page: Open, house: House, axe: str, width: int, dark: bool) -> None:
    tab = await open_page(width=width, dark=dark)
    for path in PLACES:
        await tab.go(house.url + path)
        assert await violations(tab, axe) == [], path
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), path
        assert await tab.run(CUT) == [], path


#: Selects that have not the room for each of their options, and a little arrow.
CUT = """
[...document.querySelectorAll("select")].filter((select) => {
  const style = getComputedStyle(select);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = style.font;
  const widest = Math.max(...[...select.options].map((option) => pen.measureText(option.text).width));
  return widest + parseFloat(style.paddingLeft) + parseFloat(style.paddingRight) + 20 > select.clientWidth;
}).map((select) => select.id)
"""


async def violations(tab: Tab, axe: str) -> list[str]:
    """What axe-core finds wrong, its best practices included."""
    await tab.run(f"{axe}; 0")
    found = json.loads(await tab.run("axe.run().then(told => JSON.stringify(told.violations))"))
    return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes'][:3]]}" for one in found]
