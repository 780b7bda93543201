"""The table, as lines of text."""

from collections.abc import Sequence
from statistics import median

from tests.hostile.rounds import Line
from tests.hostile.schedule import Whole


def show(lines: Sequence[Line], whole: Whole) -> int:
    """Print it. 0 when every row holds, else 1."""
    for line in lines:
        if "internal" in line.verdicts or not line.verdicts <= line.row.expected:
            line.wrong.append(f"expected {', '.join(sorted(line.row.expected))}")
    print(f"{'':38}{'':15}{'':17}{'seconds':^29}{'':9}{'MB':^14}{'left'}")
    print(
        f"{'behaviour':38}{'protocol':15}{'verdict':17}{'alone':>8}{'20':>7}{'all':>7}{'of':>7}{'alone':>16}{'20':>7}"
        f"{'open':>6}"
    )
    for line in lines:
        seconds = "".join(f"{line.seconds.get(name, float('nan')):7.3f}" for name in ("alone", "twenty", "all"))
        memory = "".join(f"{line.memory.get(name, float('nan')):7.1f}" for name in ("alone", "twenty"))
        verdict = "/".join(sorted(line.verdicts))
        wrong = f"  <- {'; '.join(dict.fromkeys(line.wrong))}" if line.wrong else ""
        print(
            f"{line.row.name:38}{line.row.protocol:15}{verdict:17} {seconds}{line.row.timeout:7.1f}         {memory}"
            f"{line.left:6}{wrong}"
        )
    bad = sum(bool(line.wrong) for line in lines)
    fast = [line.seconds["alone"] for line in lines if line.row.fast and "alone" in line.seconds]
    slow = [line.seconds["alone"] - line.row.timeout for line in lines if not line.row.fast]
    print()
    if fast and slow:
        print(f"faults seen at once: median {median(fast) * 1000:.0f} ms, slowest {max(fast) * 1000:.0f} ms")
        print(f"over the deadline: at most {max(0.0, max(slow)) * 1000:.0f} ms, the way through /probe included")
    for name, number in whole.numbers.items():
        print(f"{name}: {number}")
    for line in lines:
        if line.wrong:  # once more, at the end: of long output the end is what is read, or what is left
            said, wrong = "/".join(sorted(line.verdicts)), "; ".join(dict.fromkeys(line.wrong))
            print(f"DOES NOT HOLD: {line.row.key}, told to be {said}: {wrong}")
        for once in line.unsteady:
            print(f"UNSTEADY: {line.row.key}, {once} among the others, and not when asked again")
    for wrong in dict.fromkeys(whole.wrong):
        print(f"DOES NOT HOLD: {wrong}")
    print(f"{len(lines) - bad} of {len(lines)} rows hold")
    return 1 if bad or whole.wrong else 0
