"""The rows of the http prober, put to the exporter and to blackbox_exporter alike: one Markdown table of both."""

from collections.abc import Sequence
from pathlib import Path

import aiohttp

from tests.hostile.process import Hostile
from tests.hostile.rounds import Line, Rounds
from tests.hostile.rows import HEALTHY, Row, control
from tests.hostile.subjects import Blackbox, Exporter, for_blackbox


async def run(
    hostile: Hostile, every: Sequence[Row], folder: Path, prefix: Sequence[str], session: aiohttp.ClientSession
) -> int:
    """Ask both, alone and twenty at once, and print. Always 0: what another program holds is no matter of ours."""
    rows = for_blackbox(every)
    healthy = control(hostile)
    found: list[dict[str, Line]] = []
    for subject in (Exporter(folder, hostile, rows, prefix), Blackbox(folder, [*rows, healthy], prefix)):
        try:
            rounds = Rounds(subject, healthy, rows, session)
            await rounds.warm()
            await rounds.alone()
            await rounds.twenty()
            found.append(rounds.lines)
        finally:
            subject.stop()
    print("| behaviour | T, s | model-exporter | alone, s | 20, s | MB | blackbox_exporter | alone, s | 20, s | MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row.name, f"{row.timeout:g}"]
        for lines in found:
            line = lines[row.key]
            cells += [_verdict(line), *(f"{line.seconds[name]:.3f}" for name in ("alone", "twenty"))]
            cells.append(f"{line.memory['twenty']:.0f}")
        print(f"| {' | '.join(cells)} |")
    return 0


def _verdict(line: Line) -> str:
    """Bold where it does not hold: a healthy server that is told to be bad, the reverse, or one told late."""
    good = line.row.expected == {HEALTHY}
    wrong = [] if all((verdict == HEALTHY) == good for verdict in line.verdicts) else ["wrong"]
    wrong += dict.fromkeys(line.wrong)
    verdict = "/".join(sorted(line.verdicts))
    return f"**{verdict}: {', '.join(wrong)}**" if wrong else verdict
