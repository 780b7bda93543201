"""KServe's python server with a classifier, and ways to misbehave: kserve_iris.py --http_port PORT --grpc_port PORT."""

import argparse
import asyncio
import uuid
from typing import Any

import kserve
import switch
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse


class Flowers(kserve.Model):
    """Knows irises, over protocol V1 and V2."""

    def __init__(self) -> None:
        super().__init__("iris")
        self.ready = True

    async def healthy(self) -> bool:
        """Whether it takes requests."""
        return not switch.on("unready")

    def get_input_types(self) -> list[dict[str, Any]]:
        """What model metadata tells of the input."""
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """What model metadata tells of the output."""
        return [{"name": "class", "datatype": "INT64", "shape": [-1]}]

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """The kind of each flower."""
        while switch.on("hang"):
            await asyncio.sleep(0.05)
        if not isinstance(payload, InferRequest):
            return {"predictions": [switch.classify(row) for row in payload["instances"]]}
        classes = [switch.classify(row) for row in payload.inputs[0].as_numpy()]
        output = InferOutput("class", [len(classes)], "INT64", classes)
        return InferResponse(payload.id or uuid.uuid4().hex, self.name, [output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.parse_known_args()
    switch.wait_while("loading")
    kserve.ModelServer().start([Flowers()])
