"""transformers serve with a tiny random LLaMA: OpenAI routes, streams that end without [DONE], one pinned model."""

from exporter.model.failure import Reason
from tests.real.conformance.running import run
from tests.real.conformance.spec import Place, Spec
from tests.real.fleet import SERVERS

CHAT = {"prompt": "Say OK.", "max_tokens": 16}


def prepare(place: Place) -> None:
    run(place, place.python, SERVERS / "make_llama.py", place.folder / "llama", env=offline(place))


def offline(place: Place) -> dict[str, str]:
    """Nothing is looked for on a hub; what it caches is its own."""
    home = place.folder / "hub"
    (home / "hub").mkdir(parents=True, exist_ok=True)
    return {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


SPECS = (
    Spec(
        name="transformers",
        venv="torchstack",
        prepare=prepare,
        command=lambda place: (
            *(place.bin / "transformers", "serve", place.folder / "llama", "--device", "cpu"),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ),
        env=offline,
        found="openai",
        protocol="openai",
        server="transformers",
        default=("health", "metadata"),
        # It answers to the folder it was given, and to no other name.
        canaries=(("stream", CHAT), ("infer", CHAT)),
        unknown=("infer", Reason.MODEL_NOT_FOUND),
        bad={"body": {"messages": "text", "stream": True}},
        info=("server",),
        patience=300,
    ),
)
