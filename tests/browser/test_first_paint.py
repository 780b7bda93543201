"""How long the page of 10,000 targets takes until something is seen, beside a page with nothing on it, in one run."""

import asyncio
from pathlib import Path
from statistics import median

import pytest

from tests.support.browser import Browser, Tab
from tests.support.daemon import Daemon
from tests.support.fake import Fake

pytestmark = [pytest.mark.real, pytest.mark.browser]

TARGETS, ROUNDS = 10_000, 5
#: First paint of the page of 10,000 targets may take so many times that of an empty page, each at its best.
MOST = 20


async def test_ten_thousand_targets_are_seen_at_once(tmp_path: Path) -> None:
    page = "<!DOCTYPE html><title>empty</title><p>nothing"
    with (
        Fake(lambda _: (200, page, {"Content-Type": "text/html"})) as empty,
        Daemon(tmp_path, config(TARGETS), ready=False) as exporter,
    ):
        await asyncio.to_thread(exporter.wait_ready, 60)
        async with Browser() as browser:
            tab = await browser.tab()
            took: dict[str, list[float]] = {empty.url: [], exporter.url: []}
            for _ in range(ROUNDS):
                for url, paints in took.items():
                    paints.append(await first_paint(tab, f"{url}/"))
            shown = await tab.run("document.querySelector('#targets caption').innerText")
            found = min([await find(tab, word) for word in ("target-0777", "target-0888", "target-0999")])
            await tab.close()
    assert "of 10000" in shown
    bare, full = (min(paints) for paints in took.values())
    print(f"\nfirst contentful paint, best of {ROUNDS}: empty page {bare:.0f} ms, {TARGETS} targets {full:.0f} ms, "
          f"ratio {full / bare:.1f}; medians {[round(median(paints)) for paints in took.values()]} ms; "
          f"found {found:.0f} ms after the last letter")  # fmt: skip
    assert full / bare < MOST
    assert found / bare < MOST


def config(count: int) -> dict[str, object]:
    """Targets that are looked at once an hour: what is measured is the page."""
    probes = {"health": {"interval": "1h"}}
    return {
        "targets": [
            {"name": f"target-{number:05}", "url": "http://127.0.0.1:9", "protocol": "http", "probes": probes,
             "labels": {"team": f"team-{number % 20}"}}
            for number in range(count)
        ]
    }  # fmt: skip


async def find(tab: Tab, word: str) -> float:
    """Milliseconds from the last letter of what is looked for until the ten targets of that name are shown."""
    await tab.run("find.elements.q.value = ''; find.elements.q.focus()")
    for letter in word[:-1]:
        await tab.press(letter)
    await tab.run("""
      window.typed = performance.now(); window.found = 0;
      new MutationObserver((_, watching) => {
        if (!document.querySelector("#targets caption").innerText.startsWith("10 of")) return;
        if (document.querySelectorAll("#targets tbody tr").length !== 10) return;
        if (!document.querySelector("#targets tbody th").innerText.startsWith(find.elements.q.value)) return;
        window.found = performance.now() - typed;
        watching.disconnect();
      }).observe(main, { childList: true, subtree: true, characterData: true, attributes: true });
    """)
    await tab.press(word[-1])
    return float(await tab.until("found"))


async def first_paint(tab: Tab, url: str) -> float:
    """Milliseconds from the start of the navigation to the first contentful paint."""
    await tab.go("about:blank")
    await tab.go(url)
    found = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    return float(await tab.until(found))
