"""Whether an answer came in time: what a probe's `expect` says of seconds, held against what was measured. Pure."""

from exporter.model.failure import Failure, Reason, joined
from exporter.model.job import Within
from exporter.model.observation import Measurement
from exporter.model.stream import StreamSummary


def in_time(
    failure: Failure | None, within: Within | None, measured: Measurement, stream: StreamSummary | None
) -> Failure | None:
    """The failure of an attempt once time is looked at too.

    An answer that is right and late is a sign of load; of one that is wrong, lateness is one more complaint. Failures
    of any other kind stay as they are: there was no whole answer that could be late.
    """
    if within is None or (failure is not None and failure.reason is not Reason.EXPECTATION):
        return failure
    complaints = []
    first = min(stream.ttft.values(), default=None) if stream is not None else None
    if within.ttft is not None and first is not None and first > within.ttft:
        complaints.append(f"the first token took {first:.3g} s, expected at most {within.ttft:g} s")
    if within.duration is not None and measured.duration is not None and measured.duration > within.duration:
        complaints.append(f"the answer took {measured.duration:.3g} s, expected at most {within.duration:g} s")
    if not complaints:
        return failure
    if failure is None:
        return Failure(Reason.EXPECTATION, joined(complaints), http_status=measured.http_status, busy=True)
    failure.detail = joined([failure.detail, *complaints])
    return failure
