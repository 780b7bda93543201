"""What is wrong with the logs that are to be followed, beyond their values one by one."""

from collections.abc import Iterator, Sequence

from exporter.config import check_service
from exporter.config.problems import Finding, Path, exactly_one
from exporter.config.training import SOURCES, Training, TrainingFile, sources_of

#: Jobs that the config may name one by one.
MAX_JOBS = 1000
#: Keys that say which file, and which pod: one of them.
_FILES, _PODS = ("path", "glob"), ("pod", "selector")
#: Keys of `file` that go with glob alone.
_OF_GLOB = ("forget", "limit")
#: Keys that say how lines are read, of which a tracking server has none.
_OF_LINES = ("preset", "regex", "ends")


def training(blocks: Sequence[Training]) -> Iterator[Finding]:
    """Sources, names, and what does not go together."""
    if len(blocks) > MAX_JOBS:
        yield Finding(("training",), f"found {len(blocks)} entries, above the limit of {MAX_JOBS}; use file with glob")
        return
    names: dict[str, int] = {}
    globs: dict[tuple[str, str | None], int] = {}
    for index, block in enumerate(blocks):
        path: Path = ("training", index)
        if block.job is not None and (other := names.setdefault(block.job, index)) != index:
            message = f"duplicate job {block.job[:100]!r}, first at {{0}}; give each a name of its own"
            yield Finding((*path, "job"), message, others=(("training", other),))
        given = sources_of(block)
        if wrong := exactly_one(given, SOURCES):
            yield Finding(path, wrong)
            continue
        glob = block.file.glob if block.file is not None else None
        if glob is not None and (other := globs.setdefault((glob, block.job_from), index)) != index:
            message = "another entry has the same glob, the one at {0}"
            yield Finding((*path, "file", "glob"), message, others=(("training", other),))
        yield from _named(path, block)
        if block.file is not None:
            yield from _file((*path, "file"), block.file, block.stall_after)
        yield from _judged(path, block)
        for source in (block.http, block.mlflow):
            if source is not None:
                yield from check_service.service((*path, given[0]), source)


def _named(path: Path, block: Training) -> Iterator[Finding]:
    """What the job is called, and which pod it is."""
    several = block.file is not None and block.file.glob is not None
    if several and block.job is not None:
        yield Finding((*path, "job"), "each file of a glob is a job of its own; allowed: job_from", key=True)
    elif several and block.job_from is None:
        yield Finding(path, "with file.glob the key job_from is missing; allowed: filename, folder")
    elif not several and block.job_from is not None:
        yield Finding((*path, "job_from"), "goes with file.glob alone; allowed: job", key=True)
    elif not several and block.job is None:
        yield Finding(path, "the key job is missing")
    pod = block.kubernetes
    if pod is not None and (wrong := exactly_one([key for key in _PODS if getattr(pod, key) is not None], _PODS)):
        yield Finding((*path, "kubernetes"), wrong)


def _file(path: Path, file: TrainingFile, stall_after: float) -> Iterator[Finding]:
    if wrong := exactly_one([key for key in _FILES if getattr(file, key) is not None], _FILES):
        yield Finding(path, wrong)
    for key in _OF_GLOB:
        if file.glob is None and key in file.model_fields_set:
            yield Finding((*path, key), "goes with glob alone", key=True)
    if file.glob is not None and stall_after >= file.forget:
        text = "not above stall_after: a stalled job is forgotten before it is told"
        yield Finding((*path, "forget") if "forget" in file.model_fields_set else path, text, warning=True)


def _judged(path: Path, block: Training) -> Iterator[Finding]:
    """How lines are read and values judged."""
    if block.mlflow is not None:
        for key in _OF_LINES:
            if getattr(block, key) is not None:
                yield Finding((*path, key), "a tracking server has no lines; leave it out", key=True)
    elif block.preset is not None and block.regex is not None:
        yield Finding((*path, "regex"), "in conflict with preset; needs one of them", key=True)
    if block.diverged is not None and block.names is not None and block.diverged.name not in block.names:
        place = (*path, "diverged", "name") if "name" in block.diverged.model_fields_set else (*path, "diverged")
        yield Finding(place, f"names leaves out {block.diverged.name[:100]!r}, so it is never seen")
