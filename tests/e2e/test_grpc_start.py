"""grpcio takes a while to import: that is nobody's failure, and no part of what is measured."""

import sys
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.grpc_fake import GrpcFake

pytestmark = pytest.mark.slow

CHECK = "/grpc.health.v1.Health/Check"
#: Imports grpc.aio for longer than a run may take.
SLOW = """
import sys, time
from importlib.abc import MetaPathFinder

class Slow(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "grpc.aio":
            time.sleep(1.5)

sys.meta_path.insert(0, Slow())
"""


def slowly(folder: Path) -> dict[str, str]:
    """The environment of a Python in which that is so."""
    (folder / "sitecustomize.py").write_text(SLOW)
    return {"PYTHONPATH": ":".join([str(folder), *filter(None, sys.path)])}


def test_runs_wait_for_grpcio_and_are_told_right(tmp_path: Path) -> None:
    health = {"health": {"interval": "200ms", "timeout": "600ms"}}
    with GrpcFake({CHECK: lambda call: b"\x08\x01"}) as fake:
        config = {
            "targets": [
                {"name": "a", "url": f"grpc://127.0.0.1:{fake.port}", "protocol": "grpc_health", "probes": health}
            ]
        }
        with Daemon(tmp_path, config, env=slowly(tmp_path)) as daemon:
            daemon.until_state("a", "healthy", within=30)
            scrape = daemon.scrape()
            assert not [one for one in scrape.all("model_probe_failures_total", target="a") if one.value]


def test_a_first_probe_on_demand_waits_for_grpcio(tmp_path: Path) -> None:
    health = {"health": {"interval": "1s", "timeout": "600ms"}}
    with GrpcFake({CHECK: lambda call: b"\x08\x01"}) as fake:
        config = {
            "modules": {"m": {"protocol": "grpc_health", "probes": health}},
            "targets": [],
            "on_demand": {"allow": ["127.0.0.0/8"]},
        }
        with Daemon(tmp_path, config, env=slowly(tmp_path)) as daemon:
            heard = daemon.get(f"/probe?target=grpc://127.0.0.1:{fake.port}&module=m", timeout=30)
            assert "\nprobe_success 1" in heard.body, heard.body
