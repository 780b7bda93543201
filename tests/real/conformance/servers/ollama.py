"""Ollama with a LLaMA made by hand, by its own API and by the one it has from Anthropic."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from exporter.model.failure import Reason
from exporter.model.observation import Observation, Part
from exporter.model.stream import Outcome
from tests.real.conformance.running import run
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import SERVERS

MODEL = "tiny"
EXPECT = {"expect": {"equals": "OK."}}


def variables(place: Place, port: int) -> Mapping[str, str]:
    """Where it listens, and that all it keeps stays in its folder."""
    return {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(place.folder / "models"),
        "HOME": str(place.folder),
    }


def prepare(place: Place) -> None:
    """Only a server that runs takes in a model: for this, one runs on another port."""
    run(place, place.python, SERVERS / "make_gguf.py", "tiny.gguf")
    (place.folder / "Modelfile").write_text('FROM ./tiny.gguf\nTEMPLATE "{{ .Prompt }}:"\n')
    port = place.other()
    env = variables(place, port)
    command: tuple[str | Path, ...] = (place.bin / "ollama", "serve")
    with (
        (place.folder / "prepare.log").open("w") as log,
        subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=log) as server,
    ):
        try:
            _await(f"http://127.0.0.1:{port}/api/version")
            run(place, place.bin / "ollama", "create", MODEL, "--file", "Modelfile", env=env)
        finally:
            server.terminate()


def _await(url: str) -> None:
    until = time.perf_counter() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            assert time.perf_counter() < until, f"nothing answers at {url}"
            time.sleep(0.1)


def accounted(observation: Observation) -> None:
    """What was written, and not cut, comes with where its time went."""
    cut = observation.stream is not None and observation.stream.outcome is Outcome.STOPPED
    if observation.answer and not cut:
        assert set(observation.server_seconds) == {Part.PREFILL, Part.DECODE}
    assert all(0 <= took < 60 for took in observation.server_seconds.values())


SPECS = (
    Spec(
        name="ollama",
        venv="ollama",
        prepare=prepare,
        command=lambda place: (place.bin / "ollama", "serve"),
        env=lambda place: variables(place, place.port),
        found="ollama",
        protocol="ollama",
        server="ollama",
        default=("health", "ready", "metadata"),
        model=MODEL,
        # Nothing is loaded at its start, and without this no canary would run.
        target=lambda place: {"wake": True},
        canaries=(
            ("stream", EXPECT),
            ("infer", EXPECT),
            ("infer", {"api": "chat", **EXPECT}),
            ("infer", {"api": "embed", "expect": {"dimension": 64}}),
            ("infer", {"cache": "warm", **EXPECT}),
            ("stream", {"stop_after": 1, "expect": {"text": "O"}}),
        ),
        seen=accounted,
        unknown=("ready", Reason.MODEL_NOT_FOUND),
        # Its answer to an option of another type is 500.
        bad={"options": {"temperature": "hot"}},
        info=("server", "server_version", "model_version", "platform"),
    ),
    Spec(
        name="ollama-anthropic",
        venv="ollama",
        prepare=prepare,
        command=lambda place: (place.bin / "ollama", "serve"),
        env=lambda place: variables(place, place.port),
        found=None,
        protocol="anthropic",
        default=("ready",),
        model=MODEL,
        canaries=(("stream", EXPECT), ("infer", EXPECT)),
        unknown=("stream", Reason.MODEL_NOT_FOUND),
        bad={"body": {"model": MODEL, "stream": True}},
        starting="ready",
    ),
)
