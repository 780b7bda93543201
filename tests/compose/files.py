"""The files of deploy/compose, as the containers will see them."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


class Mount(NamedTuple):
    """A file or folder of the repository in a container."""

    source: Path
    target: str
    mode: str


def mounts(service: str) -> list[Mount]:
    """Those of a service that come from the repository; the rest are volumes of their own."""
    parts = [text.split(":") for text in SERVICES[service].get("volumes", [])]
    return [Mount((FOLDER / part[0]).resolve(), part[1], part[2]) for part in parts if part[0].startswith(".")]


def there(service: str, path: str) -> Path:
    """Where a path in a service's container is in the repository."""
    for mount in mounts(service):
        if path == mount.target or path.startswith(f"{mount.target}/"):
            return Path(f"{mount.source}{path.removeprefix(mount.target)}")
    raise LookupError(f"{service} has nothing at {path}")


def read(service: str, path: str) -> Any:
    """A YAML file in a service's container."""
    return yaml.safe_load(there(service, path).read_text())
