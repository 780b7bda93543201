"""Writes models for Triton's Python backend, and puts the backend together: triton_repository.py FOLDER.

Run by the Python that has nvidia-pytriton, which ships the server with stubs for several Pythons. FOLDER gets
`models` and `backends`.

`iris` classifies flowers (at most two requests wait for it), `words` says the same words to everyone in any number of
answers, `late` is as `iris` and loads for as long as the switch says so.
"""

import importlib.util
import sys
from pathlib import Path

_IRIS = """\
backend: "python"
max_batch_size: 4
input [{ name: "x", data_type: TYPE_FP32, dims: [ 4 ] }]
output [{ name: "class", data_type: TYPE_INT64, dims: [ 1 ] }]
instance_group [{ kind: KIND_CPU, count: 1 }]
dynamic_batching { default_queue_policy { max_queue_size: 2 } }
"""

_WORDS = """\
backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: True }
input [{ name: "text_input", data_type: TYPE_STRING, dims: [ 1 ] }]
output [{ name: "text_output", data_type: TYPE_STRING, dims: [ 1 ] }]
instance_group [{ kind: KIND_CPU, count: 1 }]
"""

_CLASSIFY = """\
import numpy
import switch
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        if args["model_name"] == "late":
            switch.wait_while("loading")

    def execute(self, requests):
        switch.wait_while("hang")
        answers = []
        for request in requests:
            rows = backend.get_input_tensor_by_name(request, "x").as_numpy()
            classes = numpy.array([[switch.classify(row)] for row in rows], dtype=numpy.int64)
            answers.append(backend.InferenceResponse([backend.Tensor("class", classes)]))
        return answers
"""

_SAY = """\
import time

import numpy
import switch
import triton_python_backend_utils as backend


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for word in switch.WORDS:
                switch.wait_while("hang")
                time.sleep(0.02)
                if switch.on("break"):
                    error = backend.TritonError("broken on purpose")
                    sender.send(backend.InferenceResponse(error=error))
                    break
                said = backend.Tensor("text_output", numpy.array([word], dtype=object))
                sender.send(backend.InferenceResponse([said]))
            sender.send(flags=backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

_MODELS = {"iris": (_IRIS, _CLASSIFY), "late": (_IRIS, _CLASSIFY), "words": (_WORDS, _SAY)}


def main(folder: Path) -> None:
    """Write everything to a new folder."""
    switch = Path(__file__).with_name("switch.py").read_text()
    for name, (config, code) in _MODELS.items():
        version = folder / "models" / name / "1"
        version.mkdir(parents=True)
        (version.parent / "config.pbtxt").write_text(config)
        (version / "model.py").write_text(code)
        (version / "switch.py").write_text(switch)
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    for part in _backend_parts():
        (backend / part.name).symlink_to(part)


def _backend_parts() -> list[Path]:
    """What the server looks for: the backend's own files, and the stub for this Python."""
    spec = importlib.util.find_spec("pytriton")
    assert spec is not None
    assert spec.origin is not None
    shipped = Path(spec.origin).parent / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stubs = shipped / "python_backend_stubs" / version
    return [*(shipped / "backends" / "python").iterdir(), *stubs.iterdir()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
