"""llama.cpp's own server with a LLaMA made by hand, as xllamacpp carries it: its own API, and OpenAI's."""

from exporter.model.failure import Reason
from exporter.model.observation import Observation, Part
from exporter.model.stream import Outcome
from tests.real.conformance.running import run
from tests.real.conformance.spec import NOT_LISTENING, Place, Spec
from tests.real.fleet import SERVERS

OWN = {"api": "completion", "prompt": "Say OK:", "expect": {"equals": "OK."}}
CHAT = {"prompt": "Say OK", "expect": {"equals": "OK."}}
#: A letter is followed by the next one, for ever.
LETTERS = {"api": "completion", "prompt": "Say a", "max_tokens": 60}


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "make_gguf.py", "tiny.gguf")


def seen(observation: Observation) -> None:
    """Tokens are counted, those of the cache apart, and the server tells where the time went, unless it was cut."""
    stream = observation.stream
    if stream is not None and stream.outcome is Outcome.STOPPED:
        assert observation.tokens is None
        return
    tokens = observation.tokens
    assert tokens is not None
    assert tokens.output in (4, 60)
    assert tokens.input + tokens.cached > 4
    assert set(observation.server_seconds) == {Part.PREFILL, Part.DECODE}
    assert observation.info["served_name"] == "tiny"
    if stream is not None and tokens.output == 4:
        assert (stream.outcome, stream.token_events) == (Outcome.COMPLETE, 3)


SPECS = (
    Spec(
        name="llama-server",
        venv="xllamacpp",
        prepare=prepare,
        command=lambda place: (place.python, SERVERS / "llama_server.py", "tiny.gguf", str(place.port)),
        found="openai",
        protocol="openai",
        server="llama.cpp",
        default=("health", "ready", "metadata"),
        model="tiny",
        # It sleeps after a while without a request, and without this its canary would be passed over.
        target=lambda place: {"wake": True},
        canaries=(
            ("stream", OWN),
            ("infer", OWN),
            ("stream", {**OWN, "cache": "warm"}),
            ("stream", {**LETTERS, "stop_after": 5, "expect": {"text": "bcdef"}}),
            ("infer", {**LETTERS, "expect": {"regex": "^bcdefg.*xyzabc"}}),
            ("stream", CHAT),
            ("infer", CHAT),
        ),
        seen=seen,
        # Without a router any name is answered.
        unknown=None,
        loading=NOT_LISTENING | {Reason.NOT_READY},
        bad={"api": "completion", "body": {"prompt": 7, "stream": True}},
        info=("server", "server_version"),
    ),
)
