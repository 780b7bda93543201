"""The web config while the exporter runs: read at start, and again when it, a certificate or a key changes."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import log
from exporter.config.problems import ConfigError, Problem
from exporter.config.source import digest_of
from exporter.config.watching import changed
from exporter.model.access import Rules
from exporter.model.extras import needs

if TYPE_CHECKING:
    from exporter.config.web_file import LoadedRules

logger = logging.getLogger("exporter")

#: Seconds between two looks at the files.
_INTERVAL = 1.0


class WebFile:
    """`take` puts rules into force and raises OSError, ValueError or ImportError where it cannot; `told` hears how
    each reading after the first went. Without a path nothing happens.
    """

    def __init__(self, path: Path | None, take: Callable[[Rules], None], told: Callable[[bool], None]) -> None:
        self._path = path
        self._take = take
        self._told = told
        self._files: tuple[Path, ...] = () if path is None else (path,)
        self._known = b""

    async def read(self) -> None:
        """Read it for the first time. Raises ConfigError."""
        if self._path is None:
            return
        self._known = await self._digest()
        loaded = await asyncio.to_thread(self._load, self._path)
        if loaded.files != self._files:
            self._files = loaded.files
            self._known = await self._digest()
        for warning in loaded.warnings:
            log.event(logger, logging.WARNING, "web config warning", problem=str(warning))

    async def reread(self) -> list[str]:
        """Read it again; on problems, which are returned, what was in force stays."""
        if self._path is None:
            return []
        try:
            await self.read()
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            for problem in problems:
                log.event(logger, logging.ERROR, "web config not loaded, the old one stays", problem=problem)
            self._told(False)
            return problems
        log.event(logger, logging.INFO, "web config loaded")
        self._told(True)
        return []

    async def run(self) -> None:
        """Until cancelled: each change is read once, when it has stood for a moment."""
        while True:
            await asyncio.sleep(_INTERVAL)
            if await changed(self._digest, lambda: self._known):
                await self.reread()

    def _load(self, path: Path) -> "LoadedRules":
        from exporter.config.web_file import load  # in a thread, and only where there is such a file

        loaded = load(path)
        try:
            self._take(loaded.rules)
        except ImportError:
            problem = f"basic_auth_users {needs('web')}"
            raise ConfigError([Problem(str(path), 1, 1, "", problem)]) from None
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or "not usable"
            raise ConfigError([Problem(str(path), 1, 1, "tls_server_config", f"cannot be used: {what}")]) from None
        return loaded

    async def _digest(self) -> bytes:
        return await asyncio.to_thread(digest_of, self._files)
