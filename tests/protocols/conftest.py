from collections.abc import Callable
from typing import Any

import pytest

from exporter.model.failure import Failure
from exporter.model.job import Kind
from exporter.model.observation import Observation
from tests.protocols.scripted import FakeExchange, build


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Ask one kind of a protocol against a table of answers; returns the observation, a raised failure included."""

    async def run(name: str, kind: str, answers: Any, own: dict[str, Any] | None = None, **more: Any) -> Observation:
        fake = answers if isinstance(answers, FakeExchange) else FakeExchange(answers)
        protocol = build(name, Kind(kind), own, **more)
        try:
            return await getattr(protocol, kind)(fake)
        except Failure as failure:
            return Observation(failure=failure)

    return run
