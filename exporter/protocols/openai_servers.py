"""The servers of the OpenAI API told apart: what each offers beside `/v1`, as one table.

A row is used once the server is known, by config or by evidence (openai_evidence.py). SGLang's `/health` generates a
token and LiteLLM's calls every model behind it, so neither stands here, and of an unknown server it is never asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from exporter.protocols import openai_about, openai_load
from exporter.protocols.openai_about import About
from exporter.protocols.openai_load import Source

#: The name of a server nothing more is known of.
GENERIC = "generic"
#: OpenAI, Azure and others that sell answers by the token.
HOSTED = "hosted"

#: What the key `server` may say.
Name = Literal[
    "auto", "generic", "hosted", "litellm", "litserve", "llama.cpp", "llama-cpp-python", "nim", "ollama", "sglang",
    "tgi", "transformers", "vllm",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """One family of servers. A route that is `""` is not offered: the listing of models takes its place.

    Routes that begin with `/v1/` stand below the API's path, all others beside it.
    """

    name: str
    health: str = ""
    ready: str = ""
    #: Whether 503 of `ready` says that the model is still loading, in whatever words.
    loading: bool = False
    #: Where each model has a route of its own, `/NAME` below this one.
    models: str = ""
    #: Whether the listing, where there is one, is of what it serves.
    lists: bool = True
    #: Whether the model must be listed to be ready; else `ready` is all there is to ask.
    listed: bool = True
    #: Whether streams end with `[DONE]`; None: once one was seen to.
    done: bool | None = None
    about: tuple[About, ...] = ()
    #: Where it tells its load, best first.
    load: tuple[Source, ...] = ()


SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        server.name: server
        for server in (
            Server(GENERIC),
            Server(HOSTED, models="/v1/models"),
            Server(
                "litellm",
                health="/health/liveliness",
                ready="/health/readiness",
                done=True,
                about=openai_about.LITELLM,
            ),
            Server(
                "litserve",
                health="/health",
                ready="/health",
                lists=False,
                listed=False,
                done=True,
                about=openai_about.LITSERVE,
            ),
            Server("llama.cpp", health="/health", done=True, about=openai_about.LLAMA_CPP, load=openai_load.LLAMA_CPP),
            Server("llama-cpp-python", done=True),
            Server(
                "nim",
                health="/v1/health/live",
                ready="/v1/health/ready",
                loading=True,
                listed=False,
                done=True,
                about=openai_about.NIM,
                load=openai_load.NIM,
            ),
            Server("ollama", health="/api/version", done=True, about=openai_about.OLLAMA),
            Server("sglang", done=True, about=openai_about.SGLANG, load=openai_load.SGLANG),
            Server("tgi", health="/health", done=True, about=openai_about.TGI),
            Server(
                "transformers",
                health="/health",
                ready="/health",
                lists=False,
                listed=False,
                done=False,
            ),
            Server("vllm", health="/health", done=True, about=openai_about.VLLM, load=openai_load.VLLM),
        )
    }
)
