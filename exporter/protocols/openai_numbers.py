"""Answers of OpenAI-compatible servers that are numbers: embeddings, and rankings of texts. Pure.

Source: OpenAI's API reference (embeddings); `/v1/rerank` of Jina and Cohere, as vLLM, SGLang and KServe have it.
"""

from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.model.observation import Observation, Output
from exporter.model.stream import Tokens
from exporter.protocols import answer, rankings, vectors
from exporter.protocols.rankings import RankExpect
from exporter.protocols.reading import count
from exporter.protocols.vectors import VectorExpect

#: Bytes of an answer above which judging it is work for a thread: each number is looked at.
LARGE = 32 * 1024


def judge_embeddings(body: bytes, expect: VectorExpect, texts: int | None) -> Observation:
    """What there is to report of vectors. `texts` is how many were sent, None where a body of one's own was.

    Raises `Failure`: malformed (NaN among it), empty, error_event.
    """
    value = vectors.parse_numbers(body)
    answer.refuse_error(value)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) and "embedding" in item for item in data):
        raise Failure(Reason.MALFORMED, f"the answer is not a list of embeddings: {answer.message(body)}")
    found = vectors.read_vectors([item["embedding"] for item in _in_order(data)])
    if texts is not None and len(found) != texts:
        raise Failure(Reason.MALFORMED, f"{len(found)} vectors came for {texts} texts")
    complaint = vectors.check_vectors(expect, found)
    return Observation(
        failure=Failure(Reason.EXPECTATION, complaint) if complaint else None,
        tokens=_read(value),
        facts={"dimension": float(len(found[0]))},
        output=Output(value, vectors=found),
    )


def judge_ranking(body: bytes, expect: RankExpect, texts: int | None) -> Observation:
    """What there is to report of a ranking; as for embeddings. SGLang's is a bare list."""
    value = vectors.parse_numbers(body)
    answer.refuse_error(value)
    results = value
    if isinstance(value, dict):
        results = value.get("results", value.get("data"))
    scores = rankings.read_scores(results, texts)
    complaint = rankings.check_ranking(expect, scores)
    failure = Failure(Reason.EXPECTATION, complaint) if complaint else None
    output = Output(value, essence=[scores[place] for place in sorted(scores)])
    return Observation(failure=failure, tokens=_read(value), output=output)


def _in_order(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Vectors in the order of their texts: a batch may come back in any."""
    if not any("index" in item for item in data):
        return data
    places = [count(item.get("index")) for item in data]
    if sorted(place for place in places if place is not None) != list(range(len(data))):
        raise Failure(Reason.MALFORMED, "the vectors are not numbered from 0, each once")
    return sorted(data, key=lambda item: count(item["index"]) or 0)


def _read(value: Any) -> Tokens | None:
    """What was read; nothing is written."""
    usage = value.get("usage") if isinstance(value, dict) else None
    if not isinstance(usage, dict):
        return None
    read = count(usage.get("prompt_tokens", usage.get("total_tokens")))
    return None if read is None else Tokens(input=read)
