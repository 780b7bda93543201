"""A BentoML service: a classifier, a stream of words, and ways to misbehave: bentoml serve bento_service:Flowers."""

import asyncio
from collections.abc import AsyncGenerator

import bentoml
import switch


@bentoml.service(traffic={"timeout": 30})
class Flowers:
    """Knows irises, and says the same words to everyone."""

    def __init__(self) -> None:
        switch.load()

    def __is_ready__(self) -> bool:
        return not switch.on("unready")

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[int]:
        """The kind of each flower."""
        switch.wait_while("hang")
        return [switch.classify(row) for row in rows]

    @bentoml.api
    async def words(self, prompt: str = "Say OK.") -> AsyncGenerator[str, None]:
        """A few words, one after the other."""
        for place, word in enumerate(switch.WORDS):
            while switch.on("hang"):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.02)
            if place == 2 and switch.on("break"):
                raise RuntimeError("broken on purpose")
            yield word
