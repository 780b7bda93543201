"""What no garbage collection looks at: to look at all that ten thousand targets are stalls the loop for a quarter of a
second. And what of memory that is free again goes back to the system.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

#: What part of the jobs may have been replaced, and how many however few there are, before all is looked at again.
PART, FEW = 0.1, 100
#: New objects before those are looked at; how often before those that were left, too; how often that before all.
STEPS = (700, 2, 100_000)
#: Runs after which what is young is looked at, however many objects went meanwhile.
RUNS = 64
#: Seconds after which all is looked at once more: the runs leave nothing for it, as far as anybody knows.
HOUR = 3600.0
#: What glibc calls the number of its heaps (malloc.h).
_ARENA_MAX = -8
#: Seconds between two looks at the memory taken, and how much more makes it worth giving back.
LOOK, GROWN = 20.0, 1.05


@contextmanager
def rarely() -> Iterator[None]:
    """Look for garbage less often while hundreds of modules are loaded, which stay: a fifth of the time that takes was
    spent on looking. Not never: classes with slots are made twice, and the first ones would take a MiB.
    """
    usual = gc.get_threshold()
    gc.set_threshold(10_000, 1, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def never() -> Iterator[None]:
    """Look for no garbage while a large tree is made, of which all is needed or all is dropped soon."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            gc.enable()


def in_small_steps() -> None:
    """From now on look through what is young in steps of a millisecond (`Kept.ran` takes most of them), and through all
    of it hardly ever: of thousands of runs a second nothing is left that only a collection would end, and while targets
    gather their first records all would be looked at every few seconds, for an eighth of a second with 6,000 of them.
    """
    gc.set_threshold(*STEPS)


def one_heap() -> None:
    """Let threads share one heap, where the C library is glibc. Before there are any. By itself it makes one for each,
    and the end of these is never given back: what one large answer took, once for every thread that ever read one.
    """
    _libc("mallopt")(_ARENA_MAX, 1)


async def give_back() -> None:
    """For good: look how much memory is taken, and where it is a part more than after the last time give back what is
    free, in a thread. Not at once, by bounds of glibc's: while large answers come, each would be read into memory that
    has to be had from the system anew, which takes several milliseconds for 10 MB.
    """
    trim, least = _libc("malloc_trim"), _taken()
    while True:
        await asyncio.sleep(LOOK)
        if _taken() > GROWN * least:
            await asyncio.to_thread(trim, 0)
            least = _taken()
        least = min(least, _taken())


def _libc(name: str) -> Callable[..., int]:
    """A function of the C library; where it has none of that name, one that does nothing."""
    try:
        import ctypes

        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (ImportError, OSError, AttributeError):
        return lambda *_: 0
    return found


def _taken() -> int:
    """Pages of memory that this process has; 0 where nothing tells."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0


class Kept:
    """The objects of a config in force. What is replaced becomes garbage, with nobody else who collects it; all is
    looked at again once that is a good part: after many targets changed, and not after one of many.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        #: Jobs that have gone since all was looked at.
        self.replaced = 0
        self._runs = 0
        self._clock = clock
        self._all_at = clock() + HOUR

    def ran(self) -> None:
        """A run ended. What it left stands in the place of what an earlier one had left, so that objects are as many as
        before and nothing is looked at by itself, until there are a hundred thousand young ones and it takes 50 ms.
        """
        self._runs += 1
        if self._runs >= RUNS and gc.isenabled():
            self._runs = 0
            if (now := self._clock()) < self._all_at:
                gc.collect(1)
            else:
                self._all_at = now + HOUR
                gc.collect()

    def take(self, jobs: int) -> None:
        """Collect what is garbage now, and keep the rest, which holds so many jobs."""
        self.replaced += 1  # what was under way at that moment was kept, too
        if self.replaced > max(FEW, jobs * PART):
            gc.unfreeze()
            self.replaced = 0
        gc.collect()
        gc.freeze()
