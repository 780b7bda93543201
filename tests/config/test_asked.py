"""What `/probe` asks again and again is made once, under one config."""

from pathlib import Path

import pytest

from exporter.config import loader
from exporter.config.asked import Asked
from tests.support.daemon import Daemon
from tests.support.fake import Fake

MODULES = {"m": {"protocol": "http", "probes": {"health": {}}}}


def asked() -> Asked:
    return Asked(loader.load_values({"targets": [], "modules": MODULES}, name="test").file)


def test_jobs_are_made_once() -> None:
    one = asked()
    (first,) = one.jobs("m", "http://h:1", "", "")
    assert one.jobs("m", "http://h:1", "", "")[0] is first
    assert one.jobs("m", "http://h:2", "", "")[0] is not first
    assert asked().jobs("m", "http://h:1", "", "")[0] is not first


def test_nobody_can_change_what_others_get() -> None:
    one = asked()
    one.jobs("m", "http://h:1", "", "").clear()
    assert one.jobs("m", "http://h:1", "", "")


def test_errors_are_said_each_time() -> None:
    one = asked()
    for _ in range(2):
        with pytest.raises(LookupError, match="unknown module"):
            one.jobs("nope", "http://h:1", "", "")


@pytest.mark.slow
def test_a_reload_is_a_new_config(tmp_path: Path) -> None:
    with Fake(lambda request: (200, "yes")) as fake:
        config = {"targets": [], "on_demand": {"allow": ["127.0.0.0/8"]}}

        def module(text: str) -> object:
            return {**config, "modules": {"m": {"protocol": "http", "probes": {"health": {"expect": {"text": text}}}}}}

        with Daemon(tmp_path, module("yes"), args=["--reload-interval", "0"]) as daemon:
            path = f"/probe?target={fake.url}&module=m"
            assert "\nprobe_success 1" in daemon.get(path).body
            daemon.write(module("no"))
            assert daemon.get("/-/reload", method="POST", timeout=30).status == 200
            assert "\nprobe_success 0" in daemon.get(path).body
