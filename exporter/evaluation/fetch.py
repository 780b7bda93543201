"""Gets data sets: from a file, or over HTTP; the same text is read as examples once."""

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from exporter.contracts import Headers
from exporter.evaluation import dataset
from exporter.evaluation.dataset import BadDataset, Dataset
from exporter.evaluation.scorers import scorer_of
from exporter.model.endpoint import Tls
from exporter.model.evaluation import Evaluation, Source
from exporter.model.failure import Failure
from exporter.transport import secrets

#: Seconds a data set may take to come.
PATIENCE = 60.0
#: Data sets that are kept between runs.
_KEPT = 16


class Called(Protocol):
    """The answer to a call."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def body(self) -> bytes: ...


class Calls(Protocol):
    """The client for what is no measurement: `transport.calls`."""

    async def call(
        self, method: str, url: str, *, headers: dict[str, str], timeout: float, max_body: int, tls: Tls,
        follow_redirects: bool,
    ) -> Called: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Text:
    """What came, and what a server said by which it can be asked whether that is still so."""

    data: bytes
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    dataset: Dataset
    etag: str
    modified: str


class Fetcher:
    """Gives data sets as they are now. What came over HTTP is sent for again only when it changed."""

    def __init__(self, calls: Callable[[], Calls]) -> None:
        self._calls = calls
        self._kept: dict[Hashable, _Kept] = {}

    async def fetch(self, name: Hashable, evaluation: Evaluation) -> Dataset:
        """The data set of the evaluation that is called `name`. Raises `BadDataset`."""
        source = evaluation.source
        key = (name, source)
        kept = self._kept.pop(key, None)
        text = await self._sent(source, kept) if source.url else _Text(await asyncio.to_thread(_read, source))
        if text is not None:
            if kept is not None and kept.dataset.digest == await _digest(text.data):
                known = kept.dataset
            else:
                args = text.data, source.name, source.form, scorer_of(evaluation.scoring), evaluation.question
                known = await asyncio.to_thread(dataset.read, *args)
            kept = _Kept(known, text.etag, text.modified)
        assert kept is not None  # noqa: S101 - a server that was not asked whether it changed sends it
        self._kept[key] = kept
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return kept.dataset

    def keep(self, names: set[Hashable]) -> None:
        """Let go of all but these."""
        for key in [key for key in self._kept if isinstance(key, tuple) and key[0] not in names]:
            del self._kept[key]

    async def _sent(self, source: Source, kept: _Kept | None) -> _Text | None:
        """What a server sends; None where that is what is kept."""
        try:
            headers = {name: secrets.read(value) for name, value in source.headers}
            if kept is not None and kept.etag:
                headers["If-None-Match"] = kept.etag
            elif kept is not None and kept.modified:
                headers["If-Modified-Since"] = kept.modified
            answer = await self._calls().call(
                "GET", source.url, headers=headers, timeout=PATIENCE, max_body=source.limit, tls=source.tls,
                follow_redirects=False,
            )  # fmt: skip
        except Failure as failure:
            raise BadDataset([f"{source.name}: {failure}"]) from None
        if answer.status == 304 and kept is not None:
            return None
        if answer.status != 200:
            raise BadDataset([f"{source.name}: HTTP {answer.status}"])
        return _Text(answer.body, answer.headers.get("etag"), answer.headers.get("last-modified"))


async def _digest(data: bytes) -> str:
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())


def read_file(evaluation: Evaluation) -> Dataset | None:
    """The data set of an evaluation now, None of one that would have to be sent for. Raises `BadDataset`."""
    source = evaluation.source
    if source.url:
        return None
    return dataset.read(_read(source), source.name, source.form, scorer_of(evaluation.scoring), evaluation.question)


def _read(source: Source) -> bytes:
    """The bytes of a regular file, without waiting for anybody."""
    try:
        descriptor = os.open(source.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadDataset([f"{source.name}: not a regular file"])
            data = file.read(source.limit + 1)
    except OSError as error:
        raise BadDataset([f"{source.name}: cannot be read: {error.strerror}"]) from None
    if len(data) > source.limit:
        raise BadDataset([f"{source.name}: longer than max_size, {source.limit} bytes"])
    return data
