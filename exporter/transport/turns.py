"""Long work on the loop that measures, taken in turns: sixty floods at once cost a turn no more than one does.

What reads a flood does a piece of it and comes back in a later turn of the loop. With many of them that is one piece of
each in every turn, and whoever is measured meanwhile waits for all of them several times over.
"""

import asyncio
from collections import deque
from collections.abc import Callable

#: Seconds of such work in one turn of the loop, as far as it can be foretold.
TURN = 0.002
#: Seconds of a piece that need no queue: more than an ordinary read of a large body costs.
CHEAP = 0.0001


class Turns:
    """A queue for whoever wants to go on. What comes next is expected to cost as much as what went before."""

    __slots__ = ("_going", "_loop", "_waiting")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()
        self._going = False  # the next turn is asked for

    def after(self, cost: float, go_on: Callable[[], object]) -> None:
        """Call `go_on` in a later turn of the running loop, after a piece of work that took `cost` seconds."""
        loop = asyncio.get_running_loop()
        if cost < CHEAP:
            loop.call_soon(go_on)
            return
        if loop is not self._loop:
            self._loop, self._going = loop, False
            self._waiting.clear()
        self._waiting.append((cost, go_on))
        if not self._going:
            self._going = True
            loop.call_soon(self._turn, loop)

    async def pause(self, cost: float) -> None:
        """Let others go on, after a piece of work that took `cost` seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go_on() -> None:
            if not future.done():
                future.set_result(None)

        self.after(cost, go_on)
        await future

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        left, waiting = TURN, self._waiting
        try:
            while waiting and left > 0:
                cost, go_on = waiting.popleft()
                left -= cost
                go_on()
        finally:  # whoever cannot go on must not hold up the others; the loop tells of it
            self._going = bool(waiting)
            if waiting:
                loop.call_soon(self._turn, loop)


#: One for all: it is the loop that is shared.
turns = Turns()
