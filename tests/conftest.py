"""What the tests of all rooms share."""

import logging
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import ports, programs
from tests.support.standstill import pytest_runtest_protocol, pytest_terminal_summary  # noqa: F401 - they are hooks

# A slow machine proves nothing about a property.
settings.register_profile("whole", deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: What `make check` runs: a look at each property; `make test` looks longer.
settings.register_profile("quick", settings.get_profile("whole"), max_examples=20)
settings.load_profile("whole")

# Whoever runs the tests in the background may ignore Ctrl-C, and processes inherit that: ours are to hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_log_levels() -> Iterator[None]:
    """A command that is run in the process of the tests sets how much is logged: not for the tests after it."""
    loggers = [logging.getLogger(name) for name in ("", "aiohttp.access", "botocore")]
    levels = [logger.level for logger in loggers]
    raising = logging.raiseExceptions
    yield
    logging.raiseExceptions = raising
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def need() -> Callable[[str, str], str]:
    """`need("promtool", "apt-get install prometheus")`: its path, or the test is skipped (under CI: fails)."""
    return programs.need


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A free loopback port at each call."""
    return ports.free_port
