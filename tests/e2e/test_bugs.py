"""A bug of ours in any protocol is told as ours, and harms nobody else: the whole daemon, in this process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from exporter import app, protocols
from exporter.model.failure import Reason
from exporter.model.state import State
from tests.support.fake import Fake

pytestmark = pytest.mark.slow

BUGGY = "buggy"
#: Canaries, by what they cannot do without.
CANARIES: dict[str, dict[str, Any]] = {
    "http": {"infer": {"body": {"a": 1}}},
    "openai": {"infer": {"prompt": "hello"}, "stream": {"prompt": "hello"}},
    "anthropic": {"stream": {"prompt": "hello"}},
    "ollama": {"stream": {"prompt": "hello"}},
    "open_inference": {"infer": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}},
    "mlflow": {"infer": {"inputs": [[1]]}},
}


def break_everything(patch: pytest.MonkeyPatch) -> None:
    """Every method of every protocol that a probe calls raises, for the model `buggy`."""
    for name in protocols.NAMES:
        made = protocols.load(name)
        for kind in made.kinds:
            asked = getattr(made, kind)

            async def ask(self: Any, exchange: Any, asked: Any = asked) -> Any:
                if self.model == BUGGY:
                    raise ZeroDivisionError("a bug")
                return await asked(self, exchange)

            patch.setattr(made, kind, ask)


async def test_a_bug_in_any_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_everything(monkeypatch)
    often = {"interval": "200ms"}
    with Fake(lambda request: (200, "ok")) as fake:
        targets = [{"name": "well", "url": fake.url, "protocol": "http", "probes": {"health": often}}]
        for name in protocols.NAMES:
            made = protocols.load(name)
            kinds = {kind.value: often for kind in made.default_kinds} | {
                kind: {**keys, **often} for kind, keys in CANARIES.get(name, {}).items()
            }
            target = {"name": name, "url": fake.url, "protocol": name, "model": BUGGY}
            targets.append(target if name == "auto" else {**target, "probes": kinds})
        path = tmp_path / "models.yml"
        path.write_text(json.dumps({"defaults": often, "targets": targets}))
        daemon = app.Daemon(app.Options(config=(path,), listen=(), reload_interval=0.0, shutdown_grace=0.0))
        await daemon.start()
        try:
            records = daemon.ledger.targets

            def all_ran() -> bool:
                broken = [probe for name in protocols.NAMES for probe in records[name].probes.values()]
                return all(probe.runs > 1 for probe in broken) and records["well"].probes["health"].runs > 2

            async with asyncio.timeout(60):
                while not all_ran():
                    await asyncio.sleep(0.05)
            for name in protocols.NAMES:
                for probe in records[name].probes.values():
                    assert {reason for _, reason in probe.failures} == {Reason.INTERNAL}, (name, probe.job.probe)
                assert records[name].state is State.UNKNOWN, "our own bug says nothing about a server"
            well = records["well"].probes["health"]
            assert (records["well"].state, well.successes) == (State.HEALTHY, well.runs)
            assert daemon.ledger.own.internal_errors["runner"] >= 2 * len(protocols.NAMES)
        finally:
            await daemon.stop()
