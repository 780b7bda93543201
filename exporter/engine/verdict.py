"""The verdict on a target: what its probes hold, joined, looked up in the table, with the reason that decided. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from exporter.engine.load import over
from exporter.engine.table import SILENT, UNKNOWN_LOAD, By, Case, Ruling, Signs, Standing, decide
from exporter.engine.track import Track
from exporter.model.failure import Evidence, Reason
from exporter.model.job import Kind, Scope
from exporter.model.state import State, Verdict

#: Worst first. None and absent say nothing and are not here.
ORDER = (
    Evidence.DEAD, Evidence.SLOW, Evidence.BROKEN, Evidence.REFUSED, Evidence.WRONG, Evidence.LOADING, Evidence.BUSY,
    Evidence.OK,
)  # fmt: skip
_RANK = {evidence: rank for rank, evidence in enumerate(ORDER)}
_NOT_BAD = frozenset({Evidence.OK, Evidence.BUSY, Evidence.LOADING})
_BEFORE_ALL = float("-inf")
#: Verdicts that no evidence speaks against, made once.
_PLAIN = {(state, verified): Verdict(state, verified=verified) for state in State for verified in (False, True)}


def worst(tracks: Iterable[Track]) -> Evidence:
    """The worst evidence of some probes; NONE when none of them says anything."""
    found, rank = Evidence.NONE, len(ORDER)
    for track in tracks:
        each = _RANK.get(track.evidence, rank)
        if each < rank:
            found, rank = track.evidence, each
    return found


def standing(track: Track, cheap_since: float) -> Standing:
    """Of one canary, when the cheap evidence it would contradict holds since `cheap_since`."""
    speaks = not track.expired and track.evidence is not Evidence.NONE and track.at >= cheap_since
    if track.skipped_at is not None and track.skipped_at >= cheap_since and not (speaks and track.insists):
        return Standing.SKIPPED
    if track.expired:
        return Standing.EXPIRED
    return Standing.CURRENT if speaks else Standing.PENDING


def join(canaries: Sequence[Track], cheap_since: float) -> tuple[Evidence, Standing]:
    """All canaries as one: a current failure speaks at once, ok needs all that were not passed over."""
    if not canaries:
        return Evidence.NONE, Standing.ABSENT
    standings = [standing(track, cheap_since) for track in canaries]
    spoken = worst(track for track, each in zip(canaries, standings, strict=True) if each is Standing.CURRENT)
    if spoken is Evidence.OK or spoken is Evidence.NONE:
        for silent in (Standing.PENDING, Standing.EXPIRED):
            if silent in standings:
                return Evidence.NONE, silent
        if spoken is Evidence.NONE:
            return Evidence.NONE, Standing.SKIPPED
    return spoken, Standing.CURRENT


def judge(
    cheap: Sequence[Track],
    canaries: Sequence[Track],
    others: Sequence[Track],
    previous: Verdict,
    *,
    starting: bool = False,
    maintenance: bool = False,
) -> Verdict:
    """The verdict on a target. `others` are its metadata and evaluations, which can only demote.

    `starting`: within the target's `startup` time and not yet healthy once; what cannot be reached is then loading.
    `maintenance`: it is left alone, and its state stays.
    """
    k = worst(cheap)
    since, ok_at, says_loading = _BEFORE_ALL, _BEFORE_ALL, False
    for track in cheap:
        if track.evidence is k and track.since > since:
            since = track.since
        if track.ok_at > ok_at:
            ok_at = track.ok_at
        says_loading = says_loading or track.evidence is Evidence.LOADING
    since = since if k is not Evidence.NONE else _BEFORE_ALL
    c, stands = join(canaries, since)
    verified = stands is Standing.CURRENT
    deciding = [track for track in canaries if track.evidence is c and standing(track, since) is Standing.CURRENT]
    ruling = decide(
        Case(
            k,
            c,
            stands,
            confirmed=any(ok_at >= track.ended for track in deciding),
            says_loading=says_loading,
            model_loading=says_loading and any(_model_loading(track) for track in cheap),
            load=_signs(deciding),
            maintenance=maintenance,
        )
    )
    if ruling.state is None:
        # Held until a canary or a cheap run ends. Without a current canary it rests on none.
        verdict = previous if verified or not previous.verified else replace(previous, verified=False)
    elif ruling.by is By.NOBODY:
        verdict = _PLAIN[ruling.state, verified]
    else:
        verdict = _because(ruling, k, cheap, deciding, verified=verified, starting=starting)
    return _corrected(verdict, others) if others else verdict


def _model_loading(track: Track) -> bool:
    job = track.job
    return track.evidence is Evidence.LOADING and job.kind is Kind.READY and job.scope is Scope.MODEL


def _signs(tracks: Sequence[Track]) -> Signs:
    """Of one server, whichever canary they were read beside."""
    read = [track.signs for track in tracks if track.signs is not UNKNOWN_LOAD]
    if len(read) < 2:
        return read[0] if read else UNKNOWN_LOAD
    return Signs(*(any(getattr(each, name) for each in read) for name in ("queue", "progress", "over")))


def _because(
    ruling: Ruling, k: Evidence, cheap: Sequence[Track], deciding: Sequence[Track], *, verified: bool, starting: bool
) -> Verdict:
    state = ruling.state or State.UNKNOWN
    if ruling.by is By.LOAD:
        decider = next(track for track in deciding if track.signs.over)
        detail = over(decider.load, decider.job.target.saturated_at)
        return Verdict(state, Reason.OVERLOADED, detail, decider.job.probe, verified)
    if ruling.by is By.CANARY:
        decider = deciding[0]
    else:
        wanted = k if ruling.by is By.CHEAP else Evidence.LOADING
        decider = next(track for track in cheap if track.evidence is wanted)
        if starting and state is State.ERROR:
            state = State.LOADING
    return Verdict(state, decider.reason, decider.detail, decider.job.probe, verified)


def _corrected(verdict: Verdict, others: Sequence[Track]) -> Verdict:
    """Demote a healthy state, or name the model that is not there where only metadata can."""
    for track in others:
        if track.evidence is Evidence.WRONG and track.reason is Reason.EXPECTATION and verdict.state is State.HEALTHY:
            return Verdict(State.UNHEALTHY, track.reason, track.detail, track.job.probe, verdict.verified)
        if (
            track.reason is Reason.MODEL_NOT_FOUND
            and verdict.state is State.UNHEALTHY
            and verdict.reason is Reason.HTTP_STATUS
        ):
            return replace(verdict, reason=track.reason, detail=track.detail, probe=track.job.probe)
    return verdict


def disagreement(cheap: Evidence, canary: Evidence) -> tuple[str, str] | None:
    """How a finished canary run differs from the effective cheap evidence: (cheap, canary), each `ok` or `bad`.

    None when they agree or one of them says nothing. Busy and loading are not bad.
    """
    if cheap in SILENT or canary in SILENT:
        return None
    sides = ("ok" if cheap in _NOT_BAD else "bad", "ok" if canary in _NOT_BAD else "bad")
    return None if sides[0] == sides[1] else sides
