"""Questions to an Ollama server: their settings and their bodies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from exporter.contracts import Problem
from exporter.protocols import language
from exporter.protocols.expect import Timely
from exporter.protocols.language import AnswerExpect, Conversation, TokenWaits
from exporter.protocols.values import ValueExpect
from exporter.protocols.vectors import VectorExpect

_ROUTES: Mapping[str, str] = MappingProxyType({"generate": "/api/generate", "chat": "/api/chat", "embed": "/api/embed"})


class OllamaExpect(AnswerExpect, VectorExpect):
    """What must hold of what the model said, or of a vector."""


class OllamaQuestion(Conversation):
    """One question to a language model."""

    temperature: float | None = Field(default=0.0, ge=0, description="Sampling temperature; null: none is sent.")
    seed: int | None = Field(default=None, description="Sampling seed. Default: none is sent.")
    think: bool | Literal["low", "medium", "high"] | None = Field(
        default=None, description="Whether a thinking model thinks. Default: as the server does."
    )
    options: dict[str, Any] = Field(
        default={},
        description="Further options. Those a model is loaded with (num_gpu, num_batch ...) must be those of its other "
        "users, or Ollama loads it anew each time; num_ctx is found out.",
    )

    def sampling(self) -> Any:
        """The options, which win over the keys beside them."""
        if self.body is not None:
            return self.body.get("options") if isinstance(self.body, dict) else None
        return {"temperature": self.temperature, "seed": self.seed} | self.options


class AskOllama(OllamaQuestion):
    """One question whose answer comes as a whole, or one text to put into a vector."""

    api: Literal["generate", "chat", "embed"] = Field(
        default="generate", description="Which of the server's APIs is asked; embed puts the prompt into a vector."
    )
    expect: OllamaExpect = Field(default=OllamaExpect(), description="What must hold of the answer.")

    @property
    def steady(self) -> bool:
        """A vector is computed; what is written is, where nothing is left to chance."""
        return self.api == "embed" or super().steady

    @property
    def varies(self) -> bool:
        """A vector is of the prompt and of nothing else."""
        return self.api != "embed" and super().varies


class AskOllamaStream(TokenWaits, OllamaQuestion):
    """One question whose answer is read token by token."""

    api: Literal["generate", "chat"] = Field(default="generate", description="Which of the server's APIs is asked.")


def route(settings: AskOllama | AskOllamaStream) -> str:
    """The API route of a question."""
    return settings.path or _ROUTES[settings.api]


def problems(settings: AskOllama | AskOllamaStream, model: str) -> list[Problem]:
    """What is contradictory or missing."""
    found = language.contradictions(settings)
    if not model:
        found.append(((), "needs the model's name: set `model` on the target"))
    if settings.messages is not None and settings.api != "chat":
        found.append((("messages",), f"found beside api {settings.api}; it goes with chat"))
    if settings.cache is not None and settings.api == "embed" and settings.body is None:
        found.append(
            (("cache",), "found beside api embed, whose text is sent as it is; it goes with generate and chat")
        )
    # The server streams unless it is told not to.
    whole = isinstance(settings.body, dict) and settings.body.get("stream") is False
    if settings.body is not None and settings.api != "embed" and whole is isinstance(settings, AskOllamaStream):
        wanted = "cannot have stream: false" if whole else "needs stream: false"
        found.append((("body",), f"the body of this probe {wanted}"))
    strangers = (AnswerExpect if settings.api == "embed" else VectorExpect).model_fields
    always = {*Timely.model_fields, *ValueExpect.model_fields}
    beside = [key for key in strangers if key in settings.expect.model_fields_set - always]
    found += [(("expect", key), f"found beside api {settings.api}") for key in beside]
    return found


def payload(settings: AskOllama | AskOllamaStream, model: str, terms: Mapping[str, Any], *, stream: bool) -> Any:
    """The request's body. `terms` are the keys that leave the model in memory as it is."""
    if settings.body is not None:
        return settings.body
    request: dict[str, Any] = {"model": model, **terms}
    options: dict[str, Any] = request.pop("options", {})
    if settings.api == "embed":
        request["input"] = language.DEFAULT_PROMPT if settings.prompt is None else settings.prompt
    else:
        if settings.api == "chat":
            request["messages"] = settings.spoken(settings.opening())
        else:
            request["prompt"] = settings.words()
        request["stream"] = stream
        options = options | {"num_predict": settings.max_tokens}
        options |= {key: value for key in ("temperature", "seed") if (value := getattr(settings, key)) is not None}
        if settings.think is not None:
            request["think"] = settings.think
    if options := options | settings.options:
        request["options"] = options
    return request
