"""docs/tour.md as a newcomer walks it: every command of the page, in order, to the first alert that fires.

Ports are the page's own, so the walk has a network of its own where the system gives one.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.walk import Shell, blocks, stays
from tests.support.ports import taken
from tests.support.programs import absent, need

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "tour.md"
PORTS = (10838, 10839, 9090)
_INSIDE = "MODEL_EXPORTER_TESTS_OWN_NETWORK"


def test_the_walk_to_a_first_alert(tmp_path: Path) -> None:
    need("prometheus", "apt-get install prometheus")
    if _INSIDE not in os.environ and own_network():
        inside = f"ip link set lo up && exec {sys.executable} -m pytest -q -p no:cacheprovider -m real {__file__}"
        made = subprocess.run(
            ["unshare", "-n", "sh", "-c", inside], env={**os.environ, _INSIDE: "1"}, capture_output=True, text=True
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return
    if held := [port for port in PORTS if taken(port)]:
        absent(f"free ports {held}", "something on this machine listens there")
    walk(tmp_path)


def own_network() -> bool:
    """Whether this user may have a network of its own, with a loopback."""
    try:
        made = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return made.returncode == 0


def walk(folder: Path) -> None:
    server = ""
    with Shell(folder) as shell:
        for block in blocks(PAGE):
            block = block.replace("http://127.0.0.1:8000", server or "http://127.0.0.1:8000")
            if stays(block):
                shell.leave(block)
            elif "model_probe_state" in block:
                found = shell.repeat(block, 'state="zombie"', within=40)
                assert found.count("\n") == 1
                server = re.findall(r"assistant +(http\S+)", shell.said(0))[0]
            elif "ALERTS" in block:
                found = shell.repeat(block, "ModelZombie", within=150)
                assert '"target":"zombie"' in found
            else:
                shell.run(block)
        target = (folder / "models.yml").read_text()
        assert "stream:" in target
        shell.repeat("curl -s http://127.0.0.1:10839/api/v1/targets", '"healthy"', within=30)
