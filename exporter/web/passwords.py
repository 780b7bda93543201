"""Who a client says it is, held against bcrypt hashes without the event loop noticing, or a client learning, anything.

The hashing is meant to be slow. It is done by one thread that yields to everything else, for a bounded number of
clients at a time, and what it found is kept under a digest of all that was compared.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

#: Answers kept of passwords that are right, and of those that are not: guesses never crowd out those who may ask.
KEPT = 1000
#: Clients whose passwords wait for the thread; further ones are told to come again.
WAITING = 64
#: How far the thread stands back behind the one that measures.
_NICENESS = 10
#: bcrypt looks at so many bytes of a password.
_LONGEST = 72
_LIMIT = 4096


class Crowded(Exception):
    """More passwords are being looked at than will be done soon."""


class Passwords:
    """Looks passwords up. `users` may be replaced at any time; answers about others that stay are kept."""

    def __init__(self) -> None:
        self.users: Mapping[str, str] = {}
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._looking: dict[bytes, asyncio.Future[bool]] = {}
        self._pool: ThreadPoolExecutor | None = None

    async def admit(self, authorization: str | None) -> bool:
        """Whether a header names a user and the right password. Raises Crowded."""
        said = _read(authorization)
        if said is None:
            return False
        name, password = said
        known = self.users.get(name)
        # A name nobody has costs what one of ours does: a hash of the same price is tried, and never fits.
        hashed = known if known is not None else _stand_in(self.users)
        digest = hmac.digest(self._key, b"\0".join((name.encode(), hashed.encode(), password)), hashlib.sha256)
        for kept in (self._right, self._wrong):
            if digest in kept:
                kept.move_to_end(digest)
                return kept is self._right
        looking = self._looking.get(digest)
        if looking is None:
            if len(self._looking) >= WAITING:
                raise Crowded
            looking = asyncio.ensure_future(self._look(digest, password, hashed, known=known is not None))
            self._looking[digest] = looking
        return await asyncio.shield(looking)

    def close(self) -> None:
        """Let the thread go."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _look(self, digest: bytes, password: bytes, hashed: str, *, known: bool) -> bool:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "passwords", initializer=_stand_back)
        try:
            fits = await asyncio.get_running_loop().run_in_executor(self._pool, matcher(), password, hashed)
            right = fits and known
            kept = self._right if right else self._wrong
            kept[digest] = None
            if len(kept) > KEPT:
                kept.popitem(last=False)
            return right
        finally:
            del self._looking[digest]


def matcher() -> Callable[[bytes, str], bool]:
    """What compares a password with a hash, in the same time whether it fits or not. Raises ImportError."""
    from bcrypt import checkpw

    return lambda password, hashed: checkpw(password[:_LONGEST], hashed.encode())


def _read(authorization: str | None) -> tuple[str, bytes] | None:
    """Name and password of an Authorization header (RFC 7617)."""
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "basic" or len(text) > _LIMIT:
        return None
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _stand_in(users: Mapping[str, str]) -> str:
    """A hash of the highest price among those of the users, made of no password."""
    cost = max((hashed.split("$")[2] for hashed in users.values()), default="10")
    return f"$2b${cost}${'.' * 53}"


def _stand_back() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
