"""Servers that hand any body to the model as it is, JSON or not: TorchServe, SageMaker containers."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from exporter.contracts import Problem
from exporter.model.job import Kind
from exporter.protocols import stopping
from exporter.protocols.application import Application, Call
from exporter.protocols.expect import TextStreamExpect
from exporter.protocols.family import encode
from exporter.protocols.unmarked import Waiting


class Payload(Call):
    """One request to the model."""

    body: Any = Field(default=None, description="Request body: text is sent as it is, anything else as JSON.")
    content_type: str | None = Field(
        default=None,
        pattern=r"^[!-~][ -~]*$",
        description="Content type of the body. Default: application/json, or text/plain for text.",
    )


class PayloadStream(Waiting, Payload):
    """One request to the model, whose answer is read as it comes."""

    expect: TextStreamExpect = Field(default=TextStreamExpect(), description="What must hold of the answer.")


class Opaque(Application):
    """Base of these protocols."""

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A canary without its request."""
        if kind.canary and self.settings.body is None:
            return ((("body",), "missing; needs what this model takes"),)
        return stopping.problems(self.settings)

    def message(self) -> tuple[Sequence[tuple[str, str]], bytes]:
        """Headers and body of a canary."""
        body, kind = self.settings.body, self.settings.content_type
        if isinstance(body, str):
            return [("Content-Type", kind or "text/plain; charset=utf-8")], body.encode("utf-8", "replace")
        return [("Content-Type", kind or "application/json")], encode(body)
