"""The addresses behind a name."""

import asyncio
from typing import Any

import pytest

from exporter.discovery import dns
from exporter.discovery.dns import Names
from exporter.model.failure import Failure, Reason


def resolver(*addresses: str) -> Any:
    async def resolve(host: str) -> tuple[str, ...]:
        assert host == "models.svc"
        return addresses

    return resolve


async def test_both_families_in_numerical_order_each_once() -> None:
    found = await Names(
        "models.svc", 64, resolver("10.0.0.10", "fd00::2", "10.0.0.9", "10.0.0.9", "fd00::1%eth0")
    ).find()
    assert found.names == ("10.0.0.9", "10.0.0.10", "fd00::1%eth0", "fd00::2")
    assert (found.over, found.missing) == (0, None)


async def test_the_order_of_an_answer_is_no_news() -> None:
    one = await Names("models.svc", 64, resolver("10.0.0.1", "10.0.0.2")).find()
    assert one == await Names("models.svc", 64, resolver("10.0.0.2", "10.0.0.1")).find()


async def test_addresses_are_bounded() -> None:
    found = await Names("models.svc", 3, resolver(*(f"10.0.0.{number}" for number in range(9)))).find()
    assert (found.names, found.over) == (("10.0.0.0", "10.0.0.1", "10.0.0.2"), 6)


async def test_a_look_up_that_fails_or_does_not_end_is_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(host: str) -> tuple[str, ...]:
        raise Failure(Reason.DNS, "not known")

    async def hangs(host: str) -> tuple[str, ...]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    monkeypatch.setattr(dns, "PATIENCE", 0.01)
    for resolve in (fails, hangs):
        with pytest.raises(Failure) as caught:
            await Names("models.svc", 64, resolve).find()
        assert caught.value.reason is Reason.DNS
