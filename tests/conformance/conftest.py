"""The fixture server of the conformance suite, and a sidecar in front of it with the starter policies and the record on."""

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.conformance import suite
from tests.e2e.conftest import Installation, Program, free_port, is_open, until


@pytest.fixture(scope="session")
def fixture_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the fixture server listens."""
    if not suite.is_installed():
        pytest.skip("the conformance suite is not installed here; scripts/test-tools installs it where npm is allowed")
    port, log = free_port(), tmp_path_factory.mktemp("server") / "server.log"
    command = [sys.executable, "-m", "tests.conformance.fixture_server", "--port", str(port)]
    program = Program(command, log, PYTHONPATH=str(suite.ROOT))
    until(lambda: is_open(port) or program.process.poll() is not None, "the fixture server")
    assert program.process.poll() is None, program.output
    yield port
    program.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def installation(fixture_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A whole sidecar in front of the fixture server."""
    made = Installation(tmp_path_factory.mktemp("sidecar"), fixture_port)
    made.start_collect()
    made.start_proxy()
    yield made
    made.stop()
