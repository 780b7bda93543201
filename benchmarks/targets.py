"""What is promised, and what would be better still: the targets of docs/performance.md, each once."""

from typing import NamedTuple


class Target(NamedTuple):
    """A bound and a further one, and how a number of its kind is written. `least`: no less, else no more than that."""

    bound: float
    stretch: float
    form: str
    least: bool = False

    def held(self, value: float) -> bool:
        """Whether the bound holds."""
        return value >= self.bound if self.least else value <= self.bound

    def outdone(self, value: float) -> bool:
        """Whether the further one holds, too."""
        return value >= self.stretch if self.least else value <= self.stretch

    def write(self, bound: float) -> str:
        """A bound in words."""
        return ("at least " if self.least else "") + self.form.format(bound)


#: CPU of a probe on a new connection, as a multiple of what blackbox_exporter and cloudprober take.
FRESH = Target(0.35, 0.28, "{:.2f} x")
FRESH_CLOUDPROBER = Target(0.70, 0.50, "{:.2f} x")
#: The same without uvloop, and on kept connections.
PLAIN = Target(0.70, 0.60, "{:.2f} x")
KEPT = Target(0.20, 0.14, "{:.2f} x")
#: On one core at 3,000 probes a second, or 5,000: milliseconds by which gaps are off, 99 of 100.
MISSED = Target(0, 0, "{:.0f} missed")
GAPS = Target(10, 10, "p99 {:.3g} ms")
#: A scrape: how many times cheaper than `generate_latest`, and milliseconds that the loop waits.
CHEAPER = Target(25, 50, "{:.0f} x", least=True)
STALL = Target(5, 2, "stall {:.3g} ms")
#: Milliseconds between reported and true time to the first byte.
ERROR_P50 = Target(0.25, 0.25, "p50 {:.3g} ms")
ERROR_P99 = Target(3, 1, "p99 {:.3g} ms")
#: MiB of one target on the base install, KiB of each further one.
ONE = Target(60, 52, "{:.3g} MiB")
FURTHER = Target(12, 8, "{:.3g} KiB")
#: Seconds from exec to the first probe: of one target on the base install, of 10,000.
FIRST = Target(1, 0.5, "{:.3g} s")
FIRST_OF_MANY = Target(5, 2, "{:.3g} s")
#: Percent of a core that 10,000 healthy targets take which are asked every 15 s.
IDLE = Target(15, 10, "{:.3g} % of a core")
