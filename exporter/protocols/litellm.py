"""LiteLLM's proxy: one OpenAI API in front of many providers' models.

Source: LiteLLM's proxy documentation (health, model listing). Its `/health` calls every model behind it, which costs:
it is never asked. Liveliness and readiness are asked without a model, and want no key; the listing wants one.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from exporter.model.job import Kind
from exporter.protocols.family import Plain
from exporter.protocols.identity import ServerMetadata
from exporter.protocols.openai import OpenAi
from exporter.protocols.openai_request import Ask, AskStream
from exporter.settings import Settings


class LiteLlmOptions(Settings):
    """Keys of a target or module that only this protocol knows."""

    done: Literal["auto", "required", "optional"] = Field(
        default="auto", description="Whether a stream must end with [DONE]. auto: it must, as LiteLLM promises."
    )


class LiteLlm(OpenAi):
    """LiteLLM's proxy."""

    name: ClassVar[str] = "litellm"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: ServerMetadata,
        Kind.INFER: Ask,
        Kind.STREAM: AskStream,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    options: ClassVar[type[Settings]] = LiteLlmOptions
    tells_load: ClassVar[bool] = False

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.given = "litellm"

    @classmethod
    def kinds_at(cls, host: str) -> tuple[Kind, ...]:
        """The default ones, wherever it stands."""
        return cls.default_kinds
