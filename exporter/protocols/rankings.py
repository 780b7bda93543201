"""Rankings of texts by a query (`/rerank`): how answers hold them, and checks on them. Nothing here knows a server."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from exporter.model.failure import Failure, Reason, joined
from exporter.protocols.numbers import Range, finite, instead
from exporter.settings import Count, Settings, problem


class RankExpect(Settings):
    """What must hold of a ranking. Texts are called by their place in the request, from 0."""

    order: list[Annotated[int, Field(ge=0)]] | None = Field(
        default=None, min_length=1, description="Texts from best to worst; those it does not name come after."
    )
    top: Count | None = Field(
        default=None, description="How many of the best must be as in `order`. Default: all that it names."
    )
    scores: list[Range] | None = Field(
        default=None, min_length=1, description="Range {min, max} of the score of each text, in their order."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.order is not None and len(set(self.order)) < len(self.order):
            raise problem("order", "found the same text twice in order")
        if self.top is not None and (self.order is None or self.top > len(self.order)):
            raise problem("order", "found top {found}; allowed: at most as many as order names", found=self.top)
        return self


def read_scores(results: Any, texts: int | None = None) -> dict[int, float]:
    """Scores by the place of their text, from a list of objects with `index` and `score` (or `relevance_score`).

    `texts` is how many were sent. Raises `Failure`: `empty` for none, `malformed` for anything else.
    """
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise Failure(Reason.MALFORMED, "the ranking is not a list of objects")
    scores: dict[int, float] = {}
    for item in results:
        place, score = item.get("index"), item.get("relevance_score", item.get("score"))
        if not isinstance(place, int) or isinstance(place, bool) or place < 0 or place >= (texts or math.inf):
            raise Failure(Reason.MALFORMED, "a ranked text has an index that no text has")
        if place in scores:
            raise Failure(Reason.MALFORMED, f"text {place} is ranked twice")
        if not finite(score):
            raise Failure(Reason.MALFORMED, f"the score of text {place} is {instead(score)}")
        scores[place] = float(score)
    if not scores:
        raise Failure(Reason.EMPTY, "the answer ranks no text")
    return scores


def check_ranking(expect: RankExpect, scores: Mapping[int, float]) -> str | None:
    """What does not hold of scores by text (see `read_scores`), in words. Texts with equal scores are in any order."""
    found = [*islice(_check_order(expect, scores), 1), *_check_scores(expect, scores)]
    return joined(found) if found else None


def _check_order(expect: RankExpect, scores: Mapping[int, float]) -> Iterator[str]:
    order = (expect.order or [])[: expect.top]
    missing = next((place for place in order if place not in scores), None)
    if missing is not None:
        yield f"text {missing} is not ranked"
        return
    for better, worse in pairwise(order):
        if scores[better] < scores[worse]:
            yield f"text {worse} ({scores[worse]:.4g}) is ranked above text {better} ({scores[better]:.4g})"
    rest = [place for place in scores if place not in order]
    if order and rest:
        best = max(rest, key=lambda place: scores[place])
        if scores[best] > scores[order[-1]]:
            yield f"text {best} ({scores[best]:.4g}) is ranked above text {order[-1]} ({scores[order[-1]]:.4g})"


def _check_scores(expect: RankExpect, scores: Mapping[int, float]) -> Iterator[str]:
    for place, range_ in enumerate(expect.scores or ()):
        if place not in scores:
            yield f"text {place} is not ranked"
        elif not range_.holds(scores[place]):
            yield f"the score of text {place} is {scores[place]:.4g}, expected {range_}"
