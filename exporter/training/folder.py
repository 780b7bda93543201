"""The log files in a folder, each of them a job."""

import glob
import os
import re
import stat
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from exporter.model.target import MAX_LABEL_BYTES
from exporter.training.follow import Job
from exporter.training.sources.file import File

#: Seconds between two looks into the folder.
INTERVAL = 5.0
#: Files that are looked at in one go, whatever else a pattern matches.
_MOST = 20_000
#: Endings of log files that say nothing of the job.
_ENDING = re.compile(r"\.(log|txt|out|err|json|jsonl|ndjson)$", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Folder:
    """Jobs that are found: one for each file that `pattern` (of Python's glob, `**` included) matches and that was
    written to within `forget` seconds, at most `limit`. `like` is what they share; its name and path mean nothing.
    """

    pattern: str
    like: Job
    job_from: Literal["filename", "folder"] = "filename"
    forget: float = 3600.0
    limit: int = 100

    @property
    def key(self) -> tuple[str, str]:
        """Which files, and how they are named: what is known of them holds while this is the same."""
        return (self.pattern, self.job_from)

    def look(self, known: Mapping[str, float], now: float) -> dict[str, float]:
        """Path and time of the last write of each file that is a job now; one that is gone is one until it is forgotten
        too. Blocks. `known` is what was found before, `now` a Unix time.
        """
        found = dict(known)
        for path in islice(glob.iglob(self.pattern, recursive=True), _MOST):  # noqa: PTH207 - it may be absolute
            try:
                status = Path(path).stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                found[path] = status.st_mtime
        return {path: at for path, at in found.items() if now - at < self.forget}

    def jobs(self, found: Mapping[str, float], followed: Set[str]) -> tuple[list[Job], int]:
        """The jobs of what was found, those written to last first, and how many were left out because there are too
        many. Of two files with one name, the one that is `followed` stays.
        """
        named: dict[str, str] = {}
        for path in sorted(found, key=lambda path: (path not in followed, -found[path], path)):
            if name := self.name_of(path):  # what lies at the root is in no folder that has a name
                named.setdefault(name, path)
        kept = sorted(named, key=lambda name: -found[named[name]])[: self.limit]
        return [self._job(name, named[name]) for name in kept], len(named) - len(kept)

    def name_of(self, path: str) -> str:
        """The name of a file's job."""
        part = os.path.basename(path) if self.job_from == "filename" else os.path.basename(os.path.dirname(path))
        name = _UNPRINTABLE.sub("\ufffd", part.encode(errors="replace").decode())
        if self.job_from == "filename":
            name = _ENDING.sub("", name) or name
        return name.encode()[:MAX_LABEL_BYTES].decode(errors="ignore")

    def _job(self, name: str, path: str) -> Job:
        source = self.like.source
        assert isinstance(source, File)  # noqa: S101 - a folder holds files
        return replace(self.like, name=name, source=replace(source, path=path))
