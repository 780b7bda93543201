from collections.abc import Iterator

import pytest

from tests.real.rollouts.two import Two


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    two = Two(tmp_path_factory.mktemp("rollouts"))
    yield two
    two.end()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """The name of the server that a test is about, by which it is chosen."""
    return str(request.param)


@pytest.fixture
def two(server: str, servers: Two) -> Two:
    """Two environments, in neither of which the model is loaded, and no record of any deployment."""
    servers.reset()
    return servers
