"""Where the log of a training job comes from: one file each, and what every one of them tells.

A source is a frozen value, so that a reload can tell whether it is still the same; `events` opens it. It is read as it
is asked, and holds little: what is not read yet stays where it is, and what is too much is left out and counted.
"""

from collections.abc import AsyncGenerator
from typing import ClassVar, NamedTuple, Protocol

from exporter.model.training import Outcome, Reading
from exporter.transport import Transport


class Text(NamedTuple):
    """The next bytes of the log. `at` is a Unix time by which they had been written."""

    data: bytes
    at: float


class Values(NamedTuple):
    """What a tracking server told, which has no lines. `at` is the Unix time it was logged at."""

    reading: Reading
    at: float


class Gap(NamedTuple):
    """What was read of an unfinished line does not go on; `lines` were left out because they were too many."""

    lines: int = 0


class Anew(NamedTuple):
    """The log begins anew. `sure`: the job does too; a file that was cut may only have been rotated."""

    sure: bool


class Pause(NamedTuple):
    """There is nothing to read, and why. `reconnects`: a connection is gone, and will be made anew."""

    why: str
    reconnects: bool


class Open(NamedTuple):
    """There is something to read from now on: the file is there, the server answers."""


class Ended(NamedTuple):
    """The job has ended, as an exit status or a tracking server says. It may begin again."""

    outcome: Outcome


Event = Text | Values | Gap | Anew | Pause | Open | Ended


class Source(Protocol):
    """The log of one job."""

    #: Whether what is not read yet is pressed upon us by a peer that has better things to do than to wait.
    pressing: ClassVar[bool]

    @property
    def shown(self) -> str:
        """What it is, for people: never a credential or the query of a url."""

    def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """What comes; its end, where it has one, is that of the log. Whoever asked for it closes the generator.
        Whatever a file or a server does is told as an event; nothing but cancellation is raised.
        """
