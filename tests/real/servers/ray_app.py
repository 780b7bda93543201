"""A Ray Serve application below /flowers, and ways to misbehave: ray_app.py PORT."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import ray
import switch
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse

#: Seconds after which the proxy gives a request up.
PATIENCE = 30


@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=2, max_queued_requests=1)
class Flowers:
    """Knows irises, and says the same words to everyone who asks below /words."""

    def __init__(self) -> None:
        switch.load()

    async def __call__(self, request: Request) -> Any:
        asked = await request.json()
        if request.url.path.endswith("/words"):
            return StreamingResponse(self._words(), media_type="text/event-stream")
        await _wait_while("hang")
        return {"classes": [switch.classify(row) for row in asked["rows"]]}

    async def _words(self) -> AsyncIterator[str]:
        for place, word in enumerate(switch.WORDS):
            await _wait_while("hang")
            await asyncio.sleep(0.02)
            if place == 2 and switch.on("break"):
                raise RuntimeError("broken on purpose")
            yield f"data: {word}\n\n"


async def _wait_while(word: str) -> None:
    while switch.on(word):
        await asyncio.sleep(0.05)


def begin() -> None:
    """Start a cluster of one; on a busy machine that takes longer than Ray waits for itself."""
    for attempt in range(3):
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
            return
        except Exception as error:
            ray.shutdown()
            print(f"attempt {attempt}: {error}", file=sys.stderr)
    sys.exit("Ray does not start")


if __name__ == "__main__":
    begin()
    serve.start(http_options=serve.HTTPOptions(host="127.0.0.1", port=int(sys.argv[1]), request_timeout_s=PATIENCE))
    time.sleep(1)  # the proxy listens and has no route yet, for those who look from outside
    serve.run(Flowers.bind(), name="flowers", route_prefix="/flowers", blocking=True)
