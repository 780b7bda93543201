"""A small house to look at: model servers of each kind, a training log, a golden set, and the exporter that watches."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.demo import scenes
from exporter.demo.stage import Stage
from tests.support.daemon import Daemon
from tests.support.fake import Fake
from tests.support.predictor import Model

#: Labels of the demo's servers; the rest have none.
_TEAMS = {"assistant": "chat", "slow": "chat", "busy": "chat", "zombie": "search", "staller": "search", "fraud": "risk"}
LOG = """\
[job-123] Epoch 1/10 - loss: 0.9312 - acc: 0.61
[job-123] Epoch 2/10 - loss: 0.7121 - acc: 0.70
[job-123] Epoch 3/10 - loss: 0.5213 - acc: 0.78
"""


class House:
    """`mortal` can die and come back; `exporter` watches it and all the others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mortal = Fake(lambda _: (200, "ok"))
        self.model = Model()
        self.exporter: Daemon

    @property
    def url(self) -> str:
        return self.exporter.url

    def config(self, stage: Stage) -> dict[str, Any]:
        """As a user might have it."""
        made = scenes.config(stage.urls)
        for target in made["targets"]:
            target["labels"] = {"team": _TEAMS[target["name"]]} if target["name"] in _TEAMS else {}
        rows = [{"id": n, "input": {"inputs": [n]}, "expected": n % 2} for n in range(12)]
        (self.folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (self.folder / "train.log").write_text(LOG)
        golden = {"kind": "evaluate", "dataset": {"file": "golden.jsonl"}, "scorer": "accuracy", "at_least": 0.9,
                  "interval": "60s"}  # fmt: skip
        odd = {"health": {"interval": "1s"}, "infer": {"interval": "1s", "inputs": [1000]}, "golden": golden}
        made["targets"] += [
            {"name": "odd", "url": self.model.url, "protocol": "mlflow", "probes": odd, "labels": {"team": "risk"}},
            {
                "name": "mortal",
                "url": f"{self.mortal.url}/health",
                "protocol": "http",
                "auth": {"bearer": "s3cr3t-token"},
                "probes": {"health": {"interval": "500ms", "timeout": "500ms", "retry": {"attempts": 1}}},
            },
        ]
        made["training"] = [{"job": "finetune", "file": {"path": str(self.folder / "train.log")}, "preset": "plain"}]
        return made

    def die(self) -> None:
        """The server is gone."""
        self.mortal.__exit__(None, None, None)

    def revive(self) -> None:
        """It is back where it was."""
        self.mortal = Fake(lambda _: (200, "ok"), self.mortal.port)

    async def begin_again(self) -> None:
        """The exporter, which has ended, anew at its address."""
        ended = self.exporter
        self.exporter = Daemon(self.folder, ended.config_path.read_text(), port=ended.port, ready=False)
        await ready(self.exporter)

    def refuse(self) -> None:
        """It answers, and nothing good."""
        self.mortal.answer = lambda _: (500, "CUDA error: an illegal memory access")


@asynccontextmanager
async def built() -> AsyncIterator[House]:
    """The house, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="model-exporter-house-"))
    house = House(folder)
    try:
        async with Stage() as stage:
            house.exporter = Daemon(folder, house.config(stage), ready=False)
            try:
                await ready(house.exporter)
                stage.start()
                yield house
            finally:
                house.exporter.process.kill()
    finally:
        house.model.end()
        house.die()
        shutil.rmtree(folder)


async def ready(exporter: Daemon) -> None:
    """Wait for it without holding up the fake servers, which live on this loop."""
    await asyncio.to_thread(exporter.wait_ready)
