"""Something of everything the exporter watches, for the dashboards: the demo's servers and what these do not show."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web

from exporter.demo.scenes import config
from exporter.demo.stage import Stage
from tests.fakes.llama_cpp import LlamaCpp

_PERCEPTION = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 4.2]]}]}


class Servers:
    """The model servers, on a loop of their own in a thread. `urls` has their addresses."""

    def __init__(self, folder: Path) -> None:
        self.urls: dict[str, str] = {}
        self._folder = folder
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._up.wait(30)

    async def _serve(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            self.urls |= (await stack.enter_async_context(Stage())).urls
            accountant = await stack.enter_async_context(LlamaCpp())
            accountant.account = {
                "timings": {"prompt_n": 6, "prompt_ms": 20.5, "predicted_n": 4, "predicted_ms": 80.25}
            }
            self.urls["own-account"] = accountant.url
            self.urls["encrypted"] = await self._encrypted(stack)
            self._up.set()
            await self._end.wait()

    async def _encrypted(self, stack: contextlib.AsyncExitStack) -> str:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(self._folder / "ca.pem")

        async def fine(_: web.Request) -> web.Response:
            return web.Response(text="fine")

        app = web.Application()
        app.router.add_get("/{path:.*}", fine)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return f"https://127.0.0.1:{runner.addresses[0][1]}"

    def end(self) -> None:
        """Close all of them."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        self._loop.close()


def exporter_config(folder: Path, urls: dict[str, str]) -> dict[str, Any]:
    """The demo's config, and beside it a budget, replicas, a golden set, a catalogue, a sink and training jobs."""
    made = config(urls)
    targets = {target["name"]: target for target in made["targets"]}
    targets["assistant"] |= {
        "budget": {"tokens": 100_000, "requests": 1000, "per": "1h"},
        "probes": {"ok": {"kind": "stream", "interval": "5s", "capability": "ok", "expect": {"regex": "OK"}}},
    }
    # Less than a run: it is skipped, and paused.
    targets["slow"]["budget"] = {"tokens": 1, "per": "1h"}
    rows = [{"id": number, "input": _PERCEPTION, "expected": 1} for number in range(20)]
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    golden = {"kind": "evaluate", "dataset": {"file": "golden.jsonl"}, "scorer": "accuracy", "at_least": 0.9,
              "interval": "10s"}  # fmt: skip
    targets["fraud"] |= {"replicas": ["127.0.0.1"], "probes": {"golden": golden}}
    chat = {"interval": "2s", "prompt": "Say OK.", "max_tokens": 5}
    made["targets"] += [
        {"name": "own-account", "url": urls["own-account"], "protocol": "openai", "model": "tiny-llama",
         "timestamps": "kernel", "probes": {"health": {}, "metadata": {}, "stream": chat}},
        {"name": "encrypted", "url": urls["encrypted"], "protocol": "http", "tls": {"ca_file": str(folder / "ca.pem")},
         "probes": {"health": {}}},
    ]  # fmt: skip
    made["discovery"] = [
        {
            "catalogue": {"url": urls["assistant"], "protocol": "openai", "interval": "5s", "expected": ["gone"]},
            "name": "listed",
            "module": "chat",
        }
    ]
    made["sinks"] = [{"name": "file", "jsonl": {"path": str(folder / "records.jsonl")}}]
    (folder / "train.log").write_text("")
    made["training"] = [
        {
            "job": "digits",
            "file": {"path": "train.log"},
            "preset": "plain",
            "stall_after": "1m",
            "diverged": {"name": "loss"},
        }
    ]
    return made


def training_lines() -> Iterator[str]:
    """What a trainer prints, without end."""
    epoch = 0
    while True:
        epoch += 1
        yield f"Epoch {epoch}/1000 - step: {epoch * 10} - loss: {1 / epoch:.4f}\n"
