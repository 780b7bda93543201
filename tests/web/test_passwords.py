"""Passwords, with hashes of the lowest price bcrypt has."""

import asyncio
import base64
import threading
import time
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from exporter.web import passwords
from exporter.web.passwords import Crowded, Passwords, matcher


def basic(name: str, password: str | bytes) -> str:
    said = password.encode() if isinstance(password, str) else password
    return "Basic " + base64.b64encode(name.encode() + b":" + said).decode()


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost)).decode()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, str]]:
    """Everything that is held against a hash, and nothing that is known already."""
    seen: list[tuple[bytes, str]] = []
    real = matcher()

    def watched() -> Callable[[bytes, str], bool]:
        def compare(password: bytes, hash_: str) -> bool:
            assert threading.current_thread() is not threading.main_thread()
            seen.append((password, hash_))
            return real(password, hash_)

        return compare

    monkeypatch.setattr(passwords, "matcher", watched)
    return seen


@pytest.fixture
async def door() -> Any:
    made = Passwords()
    made.users = {"alice": hashed("open sesame"), "zoë": hashed("ключ:с двоеточием"), "long": hashed("x" * 80)}
    yield made
    made.close()


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (basic("alice", "open sesame"), True),
        (basic("zoë", "ключ:с двоеточием"), True),
        (basic("long", "x" * 80), True),
        (basic("alice", "open sesame").replace("Basic", "bAsIc"), True),
        (basic("alice", "open"), False),
        (basic("alice", ""), False),
        (basic("alice", b"\xff\x00"), False),
        (basic("Alice", "open sesame"), False),
        (basic("zoë", "open sesame"), False),
        (basic("", ""), False),
        (basic("nobody", "open sesame"), False),
        (None, False),
        ("", False),
        ("Basic", False),
        ("Basic YWxpY2U=", False),
        ("Basic !!!!", False),
        ("Basic \u00e9", False),
        ("Bearer open sesame", False),
        ("Basic /w==", False),
        ("Basic " + "A" * 8000, False),
    ],
)
async def test_who_is_admitted(door: Passwords, header: str | None, admitted: bool) -> None:
    assert await door.admit(header) is admitted
    assert await door.admit(header) is admitted  # from memory


async def test_a_password_is_compared_once_off_the_loop(door: Passwords, compared: list[Any]) -> None:
    for _ in range(3):
        assert await door.admit(basic("alice", "open sesame"))
        assert not await door.admit(basic("alice", "wrong"))
    assert len(compared) == 2


async def test_those_who_ask_at_once_wait_for_one_comparison(door: Passwords, compared: list[Any]) -> None:
    asked = await asyncio.gather(*(door.admit(basic("alice", "open sesame")) for _ in range(50)))
    assert asked == [True] * 50
    assert len(compared) == 1


async def test_what_is_kept_belongs_to_this_user_this_password_and_this_hash(
    door: Passwords, compared: list[Any]
) -> None:
    assert await door.admit(basic("alice", "open sesame"))
    door.users = {**door.users, "bob": door.users["alice"]}
    assert await door.admit(basic("alice", "open sesame"))
    assert len(compared) == 1, "a change of others asked for the password again"
    door.users = {**door.users, "alice": hashed("another")}
    assert not await door.admit(basic("alice", "open sesame"))
    door.users = {}
    assert not await door.admit(basic("alice", "open sesame"))


async def test_guesses_do_not_push_out_who_may_ask(
    door: Passwords, compared: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "KEPT", 3)
    assert await door.admit(basic("alice", "open sesame"))
    for number in range(10):
        assert not await door.admit(basic("alice", f"guess {number}"))
    before = len(compared)
    assert await door.admit(basic("alice", "open sesame"))
    assert len(compared) == before
    assert len(door._wrong) == 3


async def test_a_name_nobody_has_costs_what_a_name_costs(compared: list[Any]) -> None:
    door = Passwords()
    door.users = {"cheap": hashed("a"), "dear": hashed("b", 7)}
    assert not await door.admit(basic("dear", "guess"))
    assert not await door.admit(basic("nobody", "guess"))
    (_, known), (_, unknown) = compared
    compare = matcher()

    def cpu(hash_: str) -> float:
        began = time.thread_time()
        compare(b"guess", hash_)
        return time.thread_time() - began

    spent = [(cpu(known), cpu(unknown)) for _ in range(9)]
    known_took, unknown_took = (min(one) for one in zip(*spent, strict=True))
    assert 0.9 < unknown_took / known_took < 1.1
    door.close()


async def test_no_stand_in_is_anybodys_password() -> None:
    door = Passwords()
    door.users = {"alice": hashed("a")}
    for password in ("", "a", "." * 53):
        assert not await door.admit(basic("nobody", password))
    door.close()


async def test_a_name_nobody_has_is_refused_whatever_the_stand_in_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "matcher", lambda: lambda password, hash_: True)
    door = Passwords()
    door.users = {"alice": hashed("a")}
    assert await door.admit(basic("alice", "anything"))
    assert not await door.admit(basic("nobody", "anything"))
    door.close()


async def test_too_many_guesses_are_told_to_come_again_and_stall_nothing(
    door: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await door.admit(basic("alice", "open sesame"))
    monkeypatch.setattr(passwords, "WAITING", 5)
    busy = threading.Event()

    def slow() -> Callable[[bytes, str], bool]:
        return lambda password, hash_: busy.wait(10) and False

    monkeypatch.setattr(passwords, "matcher", slow)
    guesses = [asyncio.ensure_future(door.admit(basic("alice", f"guess {number}"))) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Crowded):
        await door.admit(basic("alice", "one more"))
    assert await door.admit(basic("alice", "open sesame")), "who is known waits for nobody"
    busy.set()
    assert await asyncio.gather(*guesses) == [False] * 5
    assert not door._looking


async def test_no_password_is_kept_as_it_is(door: Passwords) -> None:
    await door.admit(basic("alice", "open sesame"))
    await door.admit(basic("alice", "guess"))
    kept = repr(list(door._right) + list(door._wrong))
    assert "sesame" not in kept
    assert "guess" not in kept
