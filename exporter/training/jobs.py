"""All training jobs that are followed, each by a component of its own."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from exporter import log
from exporter.ledger import Ledger
from exporter.training.folder import INTERVAL, Folder
from exporter.training.follow import Follower, Job, Pace
from exporter.training.sources.file import File
from exporter.transport import Transport
from exporter.transport.thread import in_thread

logger = logging.getLogger(__name__)

#: Runs a function until it is cancelled, and again when it crashes or ends.
Supervise = Callable[[Callable[[], Awaitable[None]]], "asyncio.Task[None]"]


class Training:
    """Follows what it is given, and what appears in folders. `mine` says whether a job of a name is this exporter's."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        transport: Transport,
        supervise: Supervise,
        mine: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self._ledger = ledger
        self._transport = transport
        self._supervise = supervise
        self._mine = mine
        self._pace = Pace()
        self._named: tuple[Job, ...] = ()
        self._folders: dict[tuple[str, str], tuple[_Watch, asyncio.Task[None]]] = {}
        self._followed: dict[str, tuple[Job, asyncio.Task[None]]] = {}

    def take(self, wanted: Iterable[Job | Folder]) -> None:
        """Follow these and nothing else. A job that reads the same log in the same way keeps place and numbers."""
        wanted = tuple(wanted)
        self._named = tuple(each for each in wanted if isinstance(each, Job))
        folders = {each.key: each for each in wanted if isinstance(each, Folder)}
        for key in self._folders.keys() - folders.keys():
            self._folders.pop(key)[1].cancel()
        for key, folder in folders.items():
            if key in self._folders:
                self._folders[key][0].change(folder)
            else:
                watch = _Watch(folder, self._reconcile)
                self._folders[key] = (watch, self._supervise(watch.run))
        self._reconcile()

    def _reconcile(self) -> None:
        wanted: dict[str, Job] = {}
        for job in (*self._named, *(job for watch, _ in self._folders.values() for job in watch.jobs)):
            if self._mine(job.name):
                wanted.setdefault(job.name, job)  # what the config names comes before what was found
        for name in self._followed.keys() - wanted.keys():
            self._stop(name)
        for name, job in wanted.items():
            known = self._followed.get(name)
            if known is not None and known[0].same_log(job):
                self._ledger.add_training(name, job.rules)
                self._followed[name] = (job, known[1])
                continue
            if known is not None:
                self._stop(name)
            self._start(job)

    def _start(self, job: Job) -> None:
        record = self._ledger.add_training(job.name, job.rules)

        async def run() -> None:
            await Follower(job, record, self._transport, self._pace).run()
            await asyncio.get_running_loop().create_future()  # the log has ended; what it told stays

        self._followed[job.name] = (job, self._supervise(run))
        log.event(logger, logging.INFO, "following training", training=job.name, source=job.source.shown)

    def _stop(self, name: str) -> None:
        _, task = self._followed.pop(name)
        task.cancel()
        self._ledger.remove_training(name)
        log.event(logger, logging.INFO, "training is followed no longer", training=name)


class _Watch:
    """Looks into a folder again and again; `appeared` is called whenever its jobs may be others."""

    def __init__(self, folder: Folder, appeared: Callable[[], None]) -> None:
        self.jobs: list[Job] = []
        self._folder = folder
        self._appeared = appeared
        self._files: Mapping[str, float] = {}
        self._left_out = 0

    def change(self, folder: Folder) -> None:
        """Other settings for the same files."""
        self._folder = folder
        self._name()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # no thread to be had: next time
                look = partial(self._folder.look, self._files, time.time())
                self._files = await in_thread(look, "log folder")
                self._name()
                self._appeared()
            await asyncio.sleep(INTERVAL)

    def _name(self) -> None:
        followed = {job.source.path for job in self.jobs if isinstance(job.source, File)}
        self.jobs, left_out = self._folder.jobs(self._files, followed)
        if left_out and not self._left_out:
            log.event(
                logger, logging.WARNING, "more logs were found than are followed: raise the limit, or narrow the glob",
                glob=self._folder.pattern, followed=len(self.jobs), left_out=left_out,
            )  # fmt: skip
        self._left_out = left_out
