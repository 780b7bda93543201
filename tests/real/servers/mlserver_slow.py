"""An MLServer runtime whose model loads for as long as the switch says so, and fails when it says that. It is copied
into the repository beside switch.py.
"""

import asyncio

import switch
from mlserver_sklearn import SKLearnModel


class SlowModel(SKLearnModel):
    """As the runtime it stands on."""

    async def load(self) -> bool:
        """Wait without holding up the server."""
        while switch.on("loading"):
            await asyncio.sleep(0.05)
        if switch.on("fail"):
            raise RuntimeError("cannot be loaded on purpose")
        return bool(await super().load())
