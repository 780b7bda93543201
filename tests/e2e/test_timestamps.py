"""Whose stamps a run's times are made of is told wherever a run is."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, command
from tests.support.fake import Fake
from tests.support.stamping import stamping
from tests.support.web import until

pytestmark = pytest.mark.slow


def test_a_daemon_tells_and_counts(tmp_path: Path) -> None:
    health = {"interval": "200ms"}
    with Fake(lambda _: (503, "no") if "bad" in _.path else (200, "ok")) as fake:
        config = {
            "limits": {"per_host": 10},
            "targets": [
                {"name": "plain", "url": f"{fake.url}/ok", "protocol": "http", "probes": {"health": health}},
                {"name": "own", "url": f"{fake.url}/ok", "timestamps": "kernel", "protocol": "http",
                 "probes": {"health": health}},
                {"name": "kept", "url": f"{fake.url}/ok", "timestamps": "kernel", "connection": "keep_alive",
                 "protocol": "http", "probes": {"health": health}},
                {"name": "failing", "url": f"{fake.url}/bad", "timestamps": "kernel", "protocol": "http",
                 "probes": {"health": {**health, "retry": {"attempts": 1}}}},
                {"name": "secure", "url": f"https://127.0.0.1:{fake.port}/ok", "timestamps": "kernel",
                 "protocol": "http", "probes": {"health": health}},
            ],
        }  # fmt: skip

        def told(name: str) -> dict[str, object]:
            found = json.loads(daemon.get(f"/api/v1/targets/{name}").body)["probes"][0]
            assert isinstance(found, dict)
            return found

        with Daemon(tmp_path, config) as daemon:
            names = ("plain", "own", "kept", "failing", "secure")
            until("three runs of each", lambda: all(int(str(told(name)["runs"])) >= 3 for name in names), within=60)
            stamps = {name: told(name)["stamps"] for name in names}
            assert stamps == {
                "plain": "loop", "own": "kernel", "kept": "kernel", "failing": "kernel", "secure": "loop"
            }  # fmt: skip
            transcript = told("failing")["last_failure_transcript"]
            assert isinstance(transcript, list)
            assert "  timestamps: kernel" in transcript
            pages = {name: daemon.get(f"/target?name={name}").body for name in ("plain", "own", "secure")}
            assert ["<dt>timestamps</dt>" in page for page in pages.values()] == [False, True, True]
            assert "<dd>kernel</dd>" in pages["own"]
            scrape = daemon.scrape()
            used = scrape.value("model_exporter_kernel_stamps_total", result="used")
            assert used is not None
            assert used >= 9
            results = {sample.labels["result"] for sample in scrape.all("model_exporter_kernel_stamps_total")}
            assert results == {"used", "missing", "clock_moved", "out_of_order"}
            assert daemon.terminate() == 0


@pytest.mark.parametrize("whose", ["loop", "kernel"])
def test_probe_tells(whose: str) -> None:
    with stamping(), Fake(lambda _: (200, "ok")) as fake:
        asked = [*command(), "probe", fake.url, "--protocol", "http", "--timestamps", whose]
        shown = subprocess.run([*asked, "--json"], capture_output=True, text=True, check=True, timeout=60).stdout
        assert json.loads(shown)["probes"][0]["runs"][0]["stamps"] == whose
        words = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout
        assert ("timestamps: kernel" in words) is (whose == "kernel")
