"""Requests to OpenAI-compatible servers: their settings, their bodies, and what some servers refuse of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from exporter.contracts import Problem
from exporter.protocols import language
from exporter.protocols.expect import Timely
from exporter.protocols.isolation import TAG
from exporter.protocols.language import DEFAULT_PROMPT, AnswerExpect, Conversation, TokenWaits
from exporter.protocols.rankings import RankExpect
from exporter.protocols.vectors import VectorExpect
from exporter.settings import Count, Text, read_text

#: The route of each API.
ROUTES: Mapping[str, str] = MappingProxyType(
    {
        "chat": "/v1/chat/completions",
        "completions": "/v1/completions",
        "embeddings": "/v1/embeddings",
        "rerank": "/v1/rerank",
        "responses": "/v1/responses",
        "completion": "/completion",
        "generate": "/generate",
    }
)
#: Whose own API it is that is not OpenAI's.
OWN: Mapping[str, str] = MappingProxyType({"completion": "llama.cpp", "generate": "sglang"})

#: The APIs of OpenAI that answer a prompt, and all that do.
_SPOKEN = ("chat", "completions", "responses")
_WRITTEN = (*_SPOKEN, *OWN)
#: The APIs that a key goes with.
_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prompt": _WRITTEN,
        "messages": ("chat", "responses"),
        "max_tokens": _WRITTEN,
        "temperature": _WRITTEN,
        "seed": ("chat", "completions", "completion"),
        "cache": _WRITTEN,
        "tag": (*_SPOKEN, "embeddings"),
        "priority": (*_SPOKEN, "generate"),
        "input": ("embeddings",),
        "dimensions": ("embeddings",),
        "encoding_format": ("embeddings",),
        "query": ("rerank",),
        "texts": ("rerank",),
    }
)
#: The same for what may be expected of the answer.
_EXPECT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(AnswerExpect.model_fields, _WRITTEN)
    | dict.fromkeys(VectorExpect.model_fields, ("embeddings",))
    | dict.fromkeys(RankExpect.model_fields, ("rerank",))
    | dict.fromkeys(Timely.model_fields, ())  # with every one
)


def _texts(value: Any, info: ValidationInfo) -> Any:
    return value if isinstance(value, list) else [read_text(value, info)]


#: Texts: one, `{file: PATH}`, or a list of them.
Texts = Annotated[list[str], Field(min_length=1), BeforeValidator(_texts, json_schema_input_type=Text | list[str])]

_WITH_USAGE = {"include_usage": True}

#: `user` as the name of a key; and as a role, where an error quotes the request.
_NAMES_USER = re.compile(r"""["'`]user\\?["'`]""")
_ROLE = re.compile(r"""role\W{1,8}user""")

_API = (
    "Which of the server's APIs is asked: OpenAI's, or completion, which is llama.cpp's own /completion, or generate, "
    "which is SGLang's own /generate."
)


class Expect(AnswerExpect, VectorExpect, RankExpect):
    """What must hold of the answer: of a text, of vectors, or of a ranking, as the API has it."""


class Speech(Conversation):
    """One request to a language model."""

    temperature: float | None = Field(
        default=0.0, ge=0, description="Sampling temperature. Left out where the server refuses it; null: never sent."
    )
    seed: int | None = Field(default=None, description="Sampling seed. Default: none is sent.")
    tag: str | None = Field(
        default=TAG,
        min_length=1,
        max_length=256,
        description="What marks the request, as its `user`; left out where the server refuses it. null: nothing.",
    )
    priority: int | None = Field(
        default=None,
        description="The request's place in the server's queue, for servers that know one: later the greater it is "
        "with vLLM, the smaller it is with SGLang. Left out where the server refuses it. Default: none is sent.",
    )

    def sampling(self) -> Any:
        """SGLang has it in a block of its own."""
        if getattr(self, "api", "") == "generate" and self.body is not None:
            return self.body.get("sampling_params") if isinstance(self.body, dict) else None
        return super().sampling()


class Ask(Speech):
    """One request whose answer comes as a whole."""

    api: Literal["chat", "completions", "embeddings", "rerank", "responses", "completion", "generate"] = Field(
        default="chat", description=_API
    )
    input: Texts = Field(
        default=[DEFAULT_PROMPT],
        description=f'Text, {{file: PATH}} or list of texts to embed, with api embeddings. Default: "{DEFAULT_PROMPT}"',
    )
    dimensions: Count | None = Field(
        default=None, description="Numbers the vectors shall be cut to, with api embeddings. Default: none is sent."
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="How vectors shall be written, with api embeddings. Default: none is sent."
    )
    query: Text | None = Field(default=None, description="What the texts are ranked by, with api rerank.")
    texts: list[str] | None = Field(default=None, min_length=1, description="Texts to rank, with api rerank.")
    expect: Expect = Field(default=Expect(), description="What must hold of the answer.")

    @property
    def steady(self) -> bool:
        """Vectors and rankings are computed; what is written is, where nothing is left to chance."""
        return self.api in ("embeddings", "rerank") or super().steady

    @property
    def varies(self) -> bool:
        """Only what is written follows from a prompt."""
        return self.api in _WRITTEN and super().varies


class AskStream(TokenWaits, Speech):
    """One request whose answer is read token by token."""

    api: Literal["chat", "completions", "responses", "completion", "generate"] = Field(default="chat", description=_API)


def problems(settings: Ask | AskStream, server: str) -> Sequence[Problem]:
    """What is contradictory or missing. `server` is the one that the config names, or `auto`."""
    found = language.contradictions(settings)
    owner = OWN.get(settings.api)
    if owner and server not in (owner, "auto", "generic"):
        found.append((("api",), f"found {settings.api} beside server {server}; it goes with {owner}"))
    if isinstance(settings, AskStream) and settings.body is not None and not _streams(settings.body):
        found.append((("body",), "the body of a stream probe needs stream: true"))
    found += [((key,), text) for key, text in _strangers(settings, settings.api, _KEYS)]
    found += [(("expect", key), text) for key, text in _strangers(settings.expect, settings.api, _EXPECT)]
    if isinstance(settings, Ask) and settings.body is None:
        found += _amiss(settings)
    return found


def _streams(body: Any) -> bool:
    return isinstance(body, dict) and body.get("stream") is True


def _strangers(block: Any, api: str, known: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    """Keys that were given and go with another API."""
    for name, field in type(block).model_fields.items():
        apis = known.get(name)
        if apis and api not in apis and name in block.model_fields_set and getattr(block, name) is not None:
            yield field.alias or name, f"found beside api {api}; it goes with {' or '.join(apis)}"


def _amiss(settings: Ask) -> Sequence[Problem]:
    """What the request's own numbers say against it."""
    if settings.api == "rerank":
        missing = [key for key in ("query", "texts") if getattr(settings, key) is None]
        if missing:
            return [((key,), "missing; api rerank needs query and texts") for key in missing]
        last = len(settings.texts or ()) - 1
        named = {"order": max(settings.expect.order or [0]), "scores": len(settings.expect.scores or [0]) - 1}
        return [
            (("expect", key), f"speaks of text {place}; the last one is {last}")
            for key, place in named.items()
            if place > last
        ]
    if settings.api == "embeddings" and settings.expect.cosine is not None:
        known, embedded = len(settings.expect.cosine.to), len(settings.input)
        if known > embedded:
            return [(("expect", "cosine", "to"), f"found {known} vectors; allowed: as many as texts, {embedded}")]
    return []


def payload(settings: Ask | AskStream, model: str, *, stream: bool, without: Iterable[str]) -> Any:
    """The request's body. `without` names keys this server refused before."""
    if settings.body is not None:
        return settings.body
    request: dict[str, Any] = {"model": model} if model and settings.api != "generate" else {}
    request |= _asked(settings) if isinstance(settings, Ask) and settings.api not in _WRITTEN else _spoken(settings)
    if settings.api == "responses":
        request["stream"] = stream  # transformers serve streams unless it is told not to; usage comes unasked
    elif stream:
        request |= {"stream": True} if settings.api in OWN else {"stream": True, "stream_options": _WITH_USAGE}
    if settings.tag is not None and settings.api in _KEYS["tag"]:
        request["user"] = settings.tag
    for key in without:
        value = request.pop(key, None)
        if key == "max_tokens" and value is not None:
            request["max_completion_tokens"] = value
    return request


def _spoken(settings: Ask | AskStream) -> dict[str, Any]:
    request: dict[str, Any]
    match settings.api:
        case "completions":
            request = {"prompt": settings.words(), "max_tokens": settings.max_tokens}
        case "responses":
            said = settings.words() if settings.messages is None else settings.spoken(settings.opening())
            # Kept for thirty days unless it is said otherwise.
            request = {"input": said, "max_output_tokens": settings.max_tokens, "store": False}
        case "completion":
            # Of a prompt that is new each time the first words are still the same.
            cached = not settings.varies
            request = {"prompt": settings.words(), "n_predict": settings.max_tokens, "cache_prompt": cached}
        case "generate":
            sampling = _given({"max_new_tokens": settings.max_tokens, "temperature": settings.temperature})
            return _given({"text": settings.words(), "sampling_params": sampling, "priority": settings.priority})
        case _:
            request = {"messages": settings.spoken(settings.opening()), "max_tokens": settings.max_tokens}
    return request | _given({key: getattr(settings, key) for key in ("temperature", "seed", "priority")})


def _given(keys: dict[str, Any]) -> dict[str, Any]:
    """Without those that have no value."""
    return {key: value for key, value in keys.items() if value is not None}


def _asked(settings: Ask) -> dict[str, Any]:
    if settings.api == "rerank":
        return {"query": settings.query, "documents": settings.texts}
    request: dict[str, Any] = {"input": settings.input}
    for key in ("dimensions", "encoding_format"):
        if (value := getattr(settings, key)) is not None:
            request[key] = value
    return request


def refused(status: int, body: bytes, request: Any, *, own: bool) -> str | None:
    """The key that a server says it does not take and that can be left out or put otherwise; None when it says none.

    `own`: the body is ours, not the operator's, which is never changed.
    """
    if not own or status not in (400, 422):
        return None
    text = body.decode("utf-8", "replace")
    if "stream_options" in request and "stream_options" in text:
        return "stream_options"
    if "max_tokens" in request and "max_completion_tokens" in text:
        return "max_tokens"
    named = next((key for key in ("temperature", "store", "priority") if key in request and key in text), None)
    return "user" if named is None and "user" in request and _NAMES_USER.search(_ROLE.sub("", text)) else named
