"""What the command line decides of a daemon."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.model.job import Job

DEFAULT_PORT = 10838


@dataclass(frozen=True, slots=True)
class Options:
    """What a daemon is to do. Durations in seconds; `shard` is (index from 0, count)."""

    config: tuple[Path, ...] = ()
    targets: tuple[str, ...] = ()
    listen: tuple[tuple[str, int], ...] = (("", DEFAULT_PORT),)
    web_config: Path | None = None
    reload_interval: float = 10.0
    shutdown_grace: float = 5.0
    external_url: str = ""
    route_prefix: str = ""
    shard: tuple[int, int] | None = None
    #: Whether targets are left alone in the maintenance windows of the config.
    windows: bool = True
    #: Whether records go to the sinks of the config.
    sinks: bool = True
    #: Whether the training logs of the config are followed.
    training: bool = True
    #: Which of all jobs are done.
    wanted: Callable[[Job], bool] = lambda job: True
    #: Whether targets tell their version too that the config does not ask for it.
    versions: bool = False
    #: Watch these targets of the config alone; None: all.
    only: frozenset[str] | None = None
