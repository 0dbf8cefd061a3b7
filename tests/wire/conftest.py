"""The wire fixture with a real proxy in front of it, and the sidecar without a socket of ``tests.play``."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Installation
from tests.play import play
from tests.wire.server import WireServer

__all__ = ["play"]


@pytest.fixture(scope="session")
def wire() -> Iterator[WireServer]:
    """The fixture's server."""
    server = WireServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def front(wire: WireServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A sidecar in front of it."""
    installation = Installation(tmp_path_factory.mktemp("wire"), wire.port)
    installation.start_proxy()
    yield installation
    installation.stop()
