"""A real Chromium, spoken to over its DevTools protocol: no driver beside it is needed."""

import asyncio
import base64
import itertools
import json
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support.programs import absent

#: Nothing of its own on the network, no sandbox (containers have none to give), one profile per start.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--mute-audio",
    "--disable-extensions", "--disable-default-apps", "--hide-scrollbars", "--force-color-profile=srgb",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
    "--remote-debugging-port=0",
)  # fmt: skip


def chromium() -> str:
    """The program; without it the test is skipped, under CI it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return absent("chromium", "apt-get install chromium")


class Browser:
    """One process; `async with Browser() as browser: tab = await browser.open(url)`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="model-exporter-chromium-"))
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._port = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            chromium(), *FLAGS, f"--user-data-dir={self._folder}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._session = aiohttp.ClientSession()
        told = self._folder / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not (told.exists() and told.read_text().count("\n")):
                assert self._process.returncode is None, "chromium did not start"
                await asyncio.sleep(0.05)
        self._port = told.read_text().split("\n")[0]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def tab(self, *, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True) -> "Tab":
        """A new tab that shows nothing yet."""
        assert self._session is not None
        async with self._session.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as answer:
            place = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
        tab = Tab(await self._session.ws_connect(place, max_msg_size=0))
        for domain in ("Page", "Runtime", "Network", "Log"):
            await tab.ask(f"{domain}.enable")
        await tab.look(width=width, height=height, dark=dark)
        if not script:
            await tab.ask("Emulation.setScriptExecutionDisabled", value=True)
        return tab


class Tab:
    """One page. `requests` are the addresses it asked for, `complaints` what its console said is wrong."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._reading = asyncio.ensure_future(self._read())

    async def ask(self, method: str, **values: Any) -> dict[str, Any]:
        """One command, and what it brought."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": values}))
        async with asyncio.timeout(60):
            return await self._waiting[number]

    async def go(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        self._loaded.clear()
        told = await self.ask("Page.navigate", url=url)
        assert "errorText" not in told, told
        async with asyncio.timeout(60):
            await self._loaded.wait()

    async def look(self, *, width: int, height: int, dark: bool) -> None:
        """The size of the window and the wanted colours."""
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                       mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])

    async def run(self, source: str) -> Any:
        """The value of an expression within the page; a promise is waited for."""
        told = await self.ask("Runtime.evaluate", expression=source, awaitPromise=True, returnByValue=True)
        if problem := told.get("exceptionDetails"):
            raise AssertionError(problem.get("exception", {}).get("description") or problem["text"])
        return told["result"].get("value")

    async def until(self, source: str, within: float = 30) -> Any:
        """Wait until an expression within the page is true (an element is), and return it."""
        found = None
        try:
            async with asyncio.timeout(within):
                while (found := await self.run(source)) in (None, False, 0, ""):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise AssertionError(f"waited {within:g} s for {source}; the page shows:\n{shown[:3000]}") from None
        return found

    async def press(self, key: str) -> None:
        """One key, pressed and let go."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"Tab": 9, "Enter": 13}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                           **(text if kind == "keyDown" else {}))  # fmt: skip

    async def picture(self, *, whole: bool = False) -> bytes:
        """A PNG of what is seen, or of the `whole` page."""
        told = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(told["data"])

    async def close(self) -> None:
        """Forget the tab."""
        self._reading.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        heard: dict[str, Callable[[dict[str, Any]], Awaitable[None] | None]] = {
            "Page.loadEventFired": lambda _: self._loaded.set(),
            "Network.requestWillBeSent": lambda told: self.requests.append(told["request"]["url"]),
            "Runtime.consoleAPICalled": self._console,
            "Runtime.exceptionThrown": lambda told: self.complaints.append(str(told["exceptionDetails"])),
            "Log.entryAdded": self._log,
        }
        async for message in self._socket:
            told = json.loads(message.data)
            waiting = self._waiting.pop(told.get("id", 0), None)
            if waiting is not None and not waiting.done():
                if "error" in told:
                    waiting.set_exception(AssertionError(told["error"]["message"]))
                else:
                    waiting.set_result(told["result"])
            elif told.get("method") in heard:
                heard[told["method"]](told["params"])

    def _console(self, told: dict[str, Any]) -> None:
        if told["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(told["args"]))

    def _log(self, told: dict[str, Any]) -> None:
        if told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
