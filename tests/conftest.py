"""What the tests of all rooms share."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.support import ports, programs

#: What `make check` runs: a look at each property; `make test` looks longer.
settings.register_profile("quick", max_examples=20)


@pytest.fixture(scope="session")
def need() -> Callable[[str, str], str]:
    """`need("promtool", "apt-get install prometheus")`: its path, or the test is skipped (under CI: fails)."""
    return programs.need


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A free loopback port at each call."""
    return ports.free_port
