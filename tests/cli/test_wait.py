"""`model-exporter wait` where a canary does not run: it says why it waits."""

import json
from pathlib import Path

import yaml

from exporter import app, once
from exporter.cli.wait import _tell
from tests.fakes.llama_cpp import LlamaCpp


async def test_a_model_that_sleeps_holds_it_up_with_a_hint(tmp_path: Path, capsys) -> None:
    path = tmp_path / "models.yml"
    async with LlamaCpp() as server:
        server.sleeping = True
        target = {
            "name": "t", "url": server.url, "protocol": "openai", "model": server.model,
            "probes": {"health": {"interval": "1s"}, "stream": {"interval": "1s"}},
        }  # fmt: skip
        path.write_text(yaml.safe_dump({"targets": [target]}))
        told = []
        for seconds in (1.0, 10.0):  # a machine with much to do may not ask the canary within the first
            verdict = await once.wait(
                app.Options(config=(path,)),
                timeout=seconds,
                on_update=told.append,
            )
            if verdict.blocking[0].detail:
                break
        assert server.woken == 0
    (blocking,) = json.loads(json.dumps(verdict.as_json()))["blocking"]
    assert blocking.pop("detail").startswith("stream does not run: its model sleeps")
    assert blocking == {
        "target": "t", "state": "healthy", "reason": "asleep", "have": 0, "want": 3, "version": None,
        "hint": "wake: true",
    }  # fmt: skip
    assert told
    _tell(verdict, 1.0)
    said = " ".join(capsys.readouterr().out.split())
    assert "0/3 asleep stream does not run: its model sleeps or is not loaded" in said
    assert "(try `wake: true`)" in said
