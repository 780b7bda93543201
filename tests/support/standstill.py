"""A machine may stand still for a second or two. All that was to be in time is late then, and what a test says is said
of the machine: one that fails is run again, and the end of the output tells which. All else fails at once.
"""

import threading
from collections.abc import Iterator
from time import perf_counter

import pytest
from _pytest.runner import runtestprotocol

#: Seconds between two looks at the clock, and how late one is of which nobody can say that this process was only busy.
LOOK, LATE = 0.05, 0.25
TRIES = 3
_TOLD = "stood still"


class _Watch:
    """Looks at the clock all the time."""

    def __init__(self) -> None:
        self._stood, self._last = 0.0, perf_counter()
        self._one = threading.Lock()
        threading.Thread(target=self._run, name="standstill", daemon=True).start()

    def stood(self) -> float:
        """The seconds for which this process did not get to run so far, until this very moment."""
        with self._one:
            now = perf_counter()
            if (late := now - self._last - LOOK) > LATE:
                self._stood += late
            self._last = now
            return self._stood

    def _run(self) -> None:
        never = threading.Event()
        while not never.wait(LOOK):
            self.stood()


_watch = _Watch()


def stood() -> float:
    """Seconds for which this process did not get to run so far: for what is measured once for several tests."""
    return _watch.stood


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test, and again while it fails on a machine that stood still."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    stood = 0.0
    for _ in range(TRIES):
        before = _watch.stood()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        now = _watch.stood()
        if now == before or not any(report.failed for report in reports):
            break
        stood += now - before
    if stood:
        reports[-1].user_properties.append((_TOLD, stood))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which tests were run again."""
    for name, stood in _ran_again(terminalreporter):
        terminalreporter.write_line(f"run again, as this machine stood still for {stood:.1f} s: {name}")


def _ran_again(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, float]]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == _TOLD:
                    yield report.nodeid, float(value)
