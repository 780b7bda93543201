"""Requests for vectors and rankings, as `infinity` and `tei` take them: their keys, and what contradicts itself."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field

from exporter.contracts import Problem
from exporter.protocols.expect import Timely
from exporter.protocols.family import Canary
from exporter.protocols.language import DEFAULT_PROMPT
from exporter.protocols.openai_request import Texts
from exporter.protocols.rankings import RankExpect
from exporter.protocols.vectors import VectorExpect
from exporter.settings import Text

#: A ranking to propose.
RANKING: Mapping[str, Any] = MappingProxyType(
    {"query": "What is tea?", "texts": ["Rust eats iron.", "Tea is a drink made of leaves."]}
)


class MeaningExpect(Timely, RankExpect, VectorExpect):
    """What must hold of vectors, or of a ranking."""


class AskMeaning(Canary):
    """One request for vectors, or for a ranking."""

    input: Texts = Field(
        default=[DEFAULT_PROMPT],
        description=f'Text, {{file: PATH}} or list of texts to put into vectors. Default: "{DEFAULT_PROMPT}"',
    )
    query: Text | None = Field(default=None, description="What the texts are ranked by, with api rerank.")
    texts: list[str] | None = Field(default=None, min_length=1, description="Texts to rank, with api rerank.")
    expect: MeaningExpect = Field(default=MeaningExpect(), description="What must hold of the answer.")

    @property
    def steady(self) -> bool:
        """A model computes."""
        return True

    @property
    def count(self) -> int | None:
        """How many vectors or scores must come back; None where a body of one's own is sent."""
        return None if self.body is not None else len(self.texts or self.input)


def contradictions(asked: AskMeaning, api: str, checks: Iterable[str]) -> list[Problem]:
    """What is missing or contradictory. `checks` are the keys of `expect` the api has."""
    wanted = ("query", "texts") if api == "rerank" else ("input",)
    keys: tuple[str, ...] = ("input", "query", "texts")
    given = [key for key in keys if key in asked.model_fields_set and getattr(asked, key) is not None]
    found: list[Problem]
    if asked.body is not None:
        found = [((key,), "found beside body; needs one of them") for key in given]
    else:
        strange = [key for key in given if key not in wanted]
        missing = [key for key in wanted if key not in given and api == "rerank"]
        found = [((key,), f"found beside api {api}; it takes {' and '.join(wanted)}") for key in strange]
        found += [((key,), "missing; api rerank needs query and texts") for key in missing]
    beside = sorted(asked.expect.model_fields_set.difference(checks, Timely.model_fields))
    what = "found beside api {}, whose answers have no such thing".format
    return [*found, *((("expect", key.removesuffix("_")), what(api)) for key in beside)]
