"""The protocol that docs/add-a-protocol.md shows works as the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.observation import Observation
from exporter.protocols.family import Plain
from tests.protocols.scripted import FakeExchange

PAGE = Path(__file__).parents[2] / "docs" / "add-a-protocol.md"


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "scorer"}
    exec(compile(code, PAGE.name, "exec"), names)
    return names


def scorer(shown: dict[str, Any], settings: Any) -> Any:
    return shown["Scorer"](model="", path="/v1", query="", settings=settings, options=Plain())


async def test_it_asks_and_reads(shown: dict[str, Any]) -> None:
    exchange = FakeExchange({
        "GET /v1/alive": (200, b'{"alive": true}', {}),
        "POST /v1/score": (200, b'{"score": 0.5}', {}),
    })  # fmt: skip
    assert await scorer(shown, Plain()).health(exchange) == Observation()
    assert await scorer(shown, shown["Score"](text="x")).infer(exchange) == Observation()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b'{"alive": 1}', {}), Reason.NOT_READY),
        ((500, b"", {}), Reason.HTTP_STATUS),
        ((200, b"x", {}), Reason.MALFORMED),
    ],
)
async def test_it_says_what_is_wrong(shown: dict[str, Any], answer: Any, reason: Reason) -> None:
    with pytest.raises(Failure) as caught:
        await scorer(shown, Plain()).health(FakeExchange({"GET /v1/alive": answer}))
    assert caught.value.reason is reason
