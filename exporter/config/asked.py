"""The jobs of `/probe` requests: scrapers ask the same again and again, and making jobs takes a millisecond or more."""

from functools import lru_cache, partial

from exporter.config.models import File
from exporter.config.on_demand import jobs_for_module
from exporter.model.job import Job

#: Requests that are remembered.
_MOST = 1000


class Asked:
    """Those of one config, made once for each module, url, model and probe that are asked for."""

    def __init__(self, file: File) -> None:
        self._made = lru_cache(maxsize=_MOST)(partial(jobs_for_module, file))

    def jobs(self, module: str, url: str, model: str, probe: str) -> list[Job]:
        """As `on_demand.jobs_for_module`, whose errors are not remembered."""
        return list(self._made(module, url, model, probe))
