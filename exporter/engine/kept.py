"""What is kept of what an attempt brought back: not the whole answer, and no credential."""

from collections.abc import Callable
from dataclasses import replace

from exporter.engine.attempt import settled
from exporter.model import sample
from exporter.model.failure import Reason
from exporter.model.observation import Observation
from exporter.model.sample import Sample
from exporter.model.stream import Outcome


def sampled(seen: Observation) -> Sample | None:
    """What later answers are held against. None where the answer is not whole: it broke off, or we cut it."""
    if seen.output is None or (seen.failure is not None and seen.failure.reason is not Reason.EXPECTATION):
        return None
    cut = seen.stream is not None and seen.stream.outcome is Outcome.STOPPED
    return None if cut else sample.take(seen.output)


def kept(seen: Observation, redact: Callable[[str], str]) -> Observation:
    """What is kept of it: not the whole answer, and no credential that a server echoed where labels come from."""
    if seen.failure is not None:
        settled(seen.failure, redact)
    found = seen.detected
    if not (seen.answer or seen.info or found or seen.models or seen.output):
        return seen
    return replace(
        seen,
        answer=redact(seen.answer),
        info={key: redact(value) for key, value in seen.info.items()},
        detected=found and replace(found, server=redact(found.server), why=redact(found.why)),
        models=seen.models and tuple(map(redact, seen.models)),
        output=None,
    )
