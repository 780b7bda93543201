"""Ways of bringing a model to a server: one file for each API. Which one a target has is a matter of its protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.rollout.caller import Caller

#: What a server was seen to have: plain values, as they are recorded.
Seen = Mapping[str, Any]


class Cannot(Exception):
    """The server, or what is configured, has no way to do what was asked. Nothing was touched; the message helps."""


class Stays(Exception):
    """A change that no call takes back. The message says what to do instead."""


class Never(Exception):
    """The server will not have what was asked for, however long one waits. The message says why."""


class Moving(Exception):
    """The server is still at work: what there is to take back shows when it is done."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call that changes something. `name` is what its record is known by, `route` is below the caller's address;
    `note` says for people what the call's address does not.
    """

    name: str
    caller: Caller
    method: str
    route: str
    body: Mapping[str, Any] | Sequence[Any] | None = None
    media: str = "application/json"
    note: str = ""

    @property
    def shown(self) -> str:
        """The call for people, without query and body: either may hold what only the server shall see."""
        return self.caller.named(self.method, self.route)


class Way(Protocol):
    """One model on one server: a deployment looks, plans, makes the steps and checks, a rollback goes back."""

    #: Whether the target's metadata tell the version that was asked for, so that the gate can hold it against that.
    tells_version: bool

    async def look(self) -> Seen:
        """What is there now. Changes nothing. Raises `Failure`."""

    def plan(self, seen: Seen) -> Sequence[Step]:
        """The steps from what was seen to what is wanted; none when all is there. Raises `Cannot`."""

    async def check(self) -> str:
        """What is still missing by the server's own account, "" when nothing is. Raises `Failure` and `Never`."""

    def back(self, before: Seen, now: Seen, made: Sequence[str]) -> Sequence[Step]:
        """The steps back from `now` to `before`, as far as the steps named in `made` led away from it; none when there
        is nothing (more) to take back. Raises `Stays` and `Moving`.
        """


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deployment brings. `version` is "" where the server decides; `identity` is the deployment's own."""

    model: str
    version: str
    identity: str
