"""Records and sinks made by hand."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from exporter.contracts import Record
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.model.target import Target
from exporter.sinks.spec import Jsonl, Spec

TARGET = Target("assistant", Endpoint("https", "chat.models", 443), "openai", "llama-3", {"team": "chat"})
DOWN = Failure(Reason.CONNECT_REFUSED, "refused")


def record(number: int, kind: str = "result", status: str = "healthy", target: Target = TARGET) -> Record:
    """The record with the id `number`, in 32 digits."""
    return Record(kind, f"{number:032d}", 1_700_000_000.0 + number, target, lambda: {"number": number}, status=status)


def spec(**changes: Any) -> Spec:
    return Spec("test", Jsonl("unused"), **{"flush": 0.0, **changes})


class Scripted:
    """A sink that does what the script says, a step for each try: an error is raised, a callable is awaited, None is
    success; success too when the script is over.
    """

    def __init__(self, *script: Exception | Callable[[], Any] | None) -> None:
        self.script = list(script)
        self.tries: list[tuple[list[int], str]] = []
        self.delivered: list[int] = []
        self.closed = False

    def encode(self, records: Sequence[Record]) -> list[int]:
        return [int(each.id) if each.id.isdigit() else 0 for each in records]

    async def send(self, payload: list[int], key: str) -> None:
        self.tries.append((payload, key))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step()
        self.delivered += payload

    async def close(self) -> None:
        self.closed = True


async def settled(ready: Callable[[], Any]) -> None:
    """Wait until something is true; what is under test decides when, so this is no bound."""
    async with asyncio.timeout(30):
        while not ready():
            await asyncio.sleep(0.002)
