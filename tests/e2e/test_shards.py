"""Two processes with one config share its targets."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.fake import Fake

pytestmark = pytest.mark.slow

TARGETS = {f"t{number}" for number in range(40)}


def test_each_target_is_watched_by_one_of_them(tmp_path: Path) -> None:
    with Fake(lambda request: (200, "ok")) as fake, ExitStack() as stack:
        config = {"targets": [{"name": name, "url": fake.url, "protocol": "http"} for name in sorted(TARGETS)]}
        shards = [
            stack.enter_context(Daemon(tmp_path, config, args=["--shard", f"{index}/2"], name=f"shard{index}"))
            for index in range(2)
        ]
        parts = [{one.labels["target"] for one in shard.scrape().all("model_probe_verified")} for shard in shards]
        counted = [shard.scrape().value("model_exporter_targets", source="config") for shard in shards]
    assert parts[0] | parts[1] == TARGETS
    assert not parts[0] & parts[1]
    assert counted == [len(part) for part in parts]
    assert min(counted) > len(TARGETS) / 4
