"""PyTriton with a classifier, and ways to misbehave: pytriton_iris.py HTTP_PORT GRPC_PORT METRICS_PORT."""

import os
import sys
import sysconfig
from typing import Any

import numpy
import switch
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch
def classify(x: Any) -> dict[str, Any]:
    """The kind of each flower."""
    switch.wait_while("hang")
    return {"class": numpy.array([[switch.classify(row)] for row in x], dtype=numpy.int64)}


def main(http: int, grpc: int, metrics: int) -> None:
    """Serve until the process ends."""
    # The server's Python backend must find this Python's library, not the one of the system.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http,
        grpc_address="127.0.0.1",
        grpc_port=grpc,
        metrics_port=metrics,
        metrics_address="127.0.0.1",
    )
    with Triton(config=config) as triton:
        switch.wait_while("loading")
        triton.bind(
            model_name="iris",
            infer_func=classify,
            inputs=[Tensor(name="x", dtype=numpy.float32, shape=(4,))],
            outputs=[Tensor(name="class", dtype=numpy.int64, shape=(1,))],
            config=ModelConfig(max_batch_size=4),
        )
        triton.serve()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
