"""Ways that stand in for servers, and callers for fakes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.model.endpoint import Auth, Endpoint
from exporter.model.state import State
from exporter.rollout.caller import Caller, Identity
from exporter.rollout.group import Group, Seat
from exporter.rollout.record import Record
from exporter.rollout.standing import Standing
from exporter.rollout.verdict import GateVerdict
from exporter.rollout.ways import Wanted
from exporter.transport import Transport
from exporter.url import parse

OPEN = GateVerdict((Standing("t", State.HEALTHY, None, "", 3, 3, good=True),))
SHUT = GateVerdict((Standing("t", State.ZOMBIE, "timeout", "no answer", 1, 3),))


def wanted(version: str = "", model: str = "iris") -> Wanted:
    """What is deployed."""
    return Wanted(model, version, "20261125-120000-abcd")


@asynccontextmanager
async def calling(url: str, auth: Auth | None = None, **more: Any) -> AsyncIterator[Caller]:
    """A caller of the server at a url."""
    address = parse(url)
    endpoint = Endpoint(address.scheme, address.host, address.port, address.path, address.query, **more)
    transport = Transport(user_agent="test")
    identity = Identity(transport)
    try:
        yield Caller(transport, identity, endpoint, auth)
    finally:
        identity.close()
        await transport.close()


def group(
    name: str, *ways: Any, verdict: GateVerdict = OPEN, waited: Callable[[float], None] = lambda seconds: None
) -> Group:
    """An environment with a seat for each way, and a gate that says `verdict`."""
    seats = [Seat(name, f"{name}-{number}", "", way) for number, way in enumerate(ways)]

    async def found() -> Sequence[Seat]:
        return seats

    async def gate(there: Sequence[Seat], seconds: float, on_update: Callable[[GateVerdict], None]) -> GateVerdict:
        waited(seconds)
        on_update(SHUT)
        return verdict

    return Group(name, found, gate)


def record(folder: Path) -> Record:
    """A record that has begun, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    made = Record(folder / "deploys.jsonl", "one")
    made.begin("iris", "", [["a"]])
    return made
