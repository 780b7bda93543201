"""`deploy` as a user runs it, on one server of the conformance tests."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.real.conformance.running import Running
from tests.real.rollouts.two import Done
from tests.support.daemon import command


class Site:
    """A config with one target and the environment `one`."""

    def __init__(self, running: Running, folder: Path, target: Mapping[str, Any], deploy: Mapping[str, Any]) -> None:
        self.running = running
        self.state = folder / "deploys.jsonl"
        self.config = folder / "models.yml"
        whole = {"name": "t", "url": running.url, "labels": {"env": "one"}, **target}
        environments = {"one": {"select": {"env": "one"}}}
        self.config.write_text(json.dumps({"targets": [whole], "environments": environments, "deploy": deploy}))

    def deploy(self, *more: str) -> Done:
        """Run the command to its end."""
        arguments = [*command(), "deploy", "--config", str(self.config), "--state", str(self.state), "--json", *more]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=180)
        return Done(done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr)
