"""What a listing of models below `/v1` says of its server: OpenAI's, KServe's and TensorFlow Serving's forms. Pure."""

from exporter.contracts import Response
from exporter.protocols import openai_answer, openai_evidence
from exporter.protocols.evidence import INFO, V2, Clue, Question, json_of
from exporter.protocols.openai_evidence import Sign

#: What an OpenAI-compatible server is asked that lists no model: it cannot say that one is ready.
_WITHOUT_READY = ("health", "metadata")


def of_models(response: Response) -> Clue | None:
    """`GET /v1/models`. Of an OpenAI API it names the server as far as the listing does."""
    if response.status == 500:  # transformers serve, where it cannot list what it has
        return Clue(then=Question("/openapi.json", _of_openapi))
    value = json_of(response)
    if not isinstance(value, dict):
        return None
    data = value.get("data")
    if openai_answer.is_listing(data):
        server = openai_evidence.of_listing(response.headers, data)
        return Clue(server, "openai", probes=() if data else _WITHOUT_READY)
    names = value.get("models")
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return Clue("kserve", "kserve_v1", then=V2)
    if value.get("error") == "Malformed request: GET /v1/models":
        return Clue("tf_serving", "tf_serving", then=V2)  # OpenVINO Model Server speaks this too, and tells in V2
    return None


def of_model(response: Response) -> Clue | None:
    """`GET /v1/models/MODEL`."""
    value = json_of(response)
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("model_version_status"), list):
        return Clue("tf_serving", "tf_serving", then=V2)
    if isinstance(value.get("name"), str) and isinstance(value.get("ready"), bool):
        return Clue("kserve", "kserve_v1", then=V2)
    return None


def signs_behind(clue: Clue) -> tuple[tuple[str, Sign], ...]:
    """What may tell the server of an OpenAI API, after its listing told no more than `clue`."""
    if clue.server == "vllm":
        return openai_evidence.OF_VLLM
    if clue.server:
        return ()
    signs = (openai_evidence.OF_ANY, openai_evidence.OF_NO_LISTING)
    first, last = signs if not clue.probes else reversed(signs)
    return (*first, *last)


def of_server(server: str, clue: Clue, *, below_v1: bool) -> Clue:
    """The finding for the server behind an OpenAI API that answered with `clue`.

    A server with an API of its own is watched by that, once it shows it (a gateway may hide all but the OpenAI API);
    not where the url ends in `/v1`: then the OpenAI API is what is meant.
    """
    probes = _WITHOUT_READY if server in ("litserve", "transformers") else clue.probes
    match server:
        case "litellm":
            return Clue("litellm", "litellm")
        case "infinity" if below_v1:  # its only API, at a prefix it was given
            return Clue("infinity", "infinity")
        case "ollama" if not below_v1:
            return Clue("ollama", "openai", probes, then=Question("/api/version", _of_ollama))
        case "tgi" if not below_v1:
            return Clue("tgi", "openai", probes, then=INFO)
    return Clue(server, "openai", probes)


def _of_openapi(response: Response) -> Clue | None:
    """`GET /openapi.json`, of a server that has no listing."""
    sign = dict(openai_evidence.OF_NO_LISTING)["/openapi.json"]
    server = sign(response) if response.status == 200 else ""
    return Clue(server, "openai", _WITHOUT_READY) if server else None


def _of_ollama(response: Response) -> Clue | None:
    """`GET /api/version`, after a listing that Ollama may have written."""
    value = json_of(response)
    version = value.get("version") if isinstance(value, dict) else None
    return Clue("ollama", "ollama") if isinstance(version, str) else None
