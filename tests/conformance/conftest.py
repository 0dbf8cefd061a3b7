"""The fixture server of the conformance suite, and a sidecar in front of it."""

from collections.abc import Iterator

import pytest

from tests.conformance import peers, suite
from tests.e2e.conftest import Installation


@pytest.fixture(scope="session", autouse=True)
def needed() -> None:
    """Without the suite's program there is nothing to test here."""
    if not suite.is_installed():
        pytest.skip("the conformance suite is not installed here; scripts/test-tools installs it where npm is allowed")


@pytest.fixture(scope="session")
def fixture_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the fixture server listens."""
    with peers.fixture_server(tmp_path_factory.mktemp("fixture")) as port:
        yield port


@pytest.fixture(scope="session")
def installation(fixture_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A whole sidecar in front of the fixture server."""
    with peers.sidecar_before(fixture_port, tmp_path_factory.mktemp("sidecar")) as made:
        yield made


@pytest.fixture(scope="session")
def everything_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the TypeScript server listens."""
    with peers.everything_server(tmp_path_factory.mktemp("everything")) as port:
        yield port


@pytest.fixture(scope="session")
def before_everything(everything_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A whole sidecar in front of the TypeScript server."""
    with peers.sidecar_before(everything_port, tmp_path_factory.mktemp("before")) as made:
        yield made
