"""llama-cpp-python's server with a LLaMA made by hand: OpenAI routes, no /health, a role-only first chunk, no usage."""

from exporter.model.stream import Outcome
from tests.real.conformance.running import run
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import SERVERS

CHAT = {"prompt": "Say OK", "max_tokens": 16, "expect": {"equals": "OK."}}


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "make_gguf.py", "tiny.gguf")


def seen(observation) -> None:
    stream = observation.stream
    if stream is not None:
        assert stream.outcome is Outcome.COMPLETE
        assert stream.token_events == 3


SPECS = (
    Spec(
        name="llamacpp",
        venv="llamacpp",
        prepare=prepare,
        command=lambda place: (
            *(place.python, "-m", "llama_cpp.server", "--model", "tiny.gguf", "--model_alias", "tiny"),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ),
        found="openai",
        protocol="openai",
        server="llama-cpp-python",
        default=("health", "ready", "metadata"),
        model="tiny",
        canaries=(("stream", CHAT), ("infer", CHAT)),
        seen=seen,
        # Any name is answered, but only one is listed.
        unknown=None,
        bad={"body": {"messages": "text", "stream": True}},
        info=("server",),
    ),
)
