import pytest

from tests.metrics.world import World


@pytest.fixture
def world() -> World:
    return World()
