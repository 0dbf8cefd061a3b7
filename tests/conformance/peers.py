"""The servers and the client that the conformance suite is run against, and the sidecars in front of them."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.suite import ROOT, Compared, compare, of_client, of_server
from tests.e2e.conftest import Installation, Program, is_open, until
from tests.ports import free_port

EVERYTHING = ROOT / ".tools" / "npm" / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
CLIENT = f"{sys.executable} -m tests.conformance.client"
THROUGH = f"{sys.executable} -m tests.conformance.through"

# What a sidecar on loopback makes good: server-everything answers to any Host, the sidecar in front of it does not
# (sidecar/transports/origin_check.py). The only difference that is meant.
GUARDED = tuple(
    f"dns-rebinding-protection: ('localhost-host-rebinding-rejected', 'DNSRebindingRejected', '{status}') only {way}"
    for status, way in (("FAILURE", "directly"), ("SUCCESS", "through the sidecar"))
)


@contextmanager
def fixture_server(folder: Path) -> Iterator[int]:
    """The port of our own server, which offers everything the suite asks for."""
    port = free_port()
    command = [sys.executable, "-m", "tests.conformance.fixture_server", "--port", str(port)]
    with _running(Program(command, folder / "fixture.log", PYTHONPATH=str(ROOT)), port):
        yield port


@contextmanager
def everything_server(folder: Path) -> Iterator[int]:
    """The port of a TypeScript server with features of its own: few of the suite's names, but every message of the protocol."""
    port = free_port()
    with _running(Program(["node", str(EVERYTHING), "streamableHttp"], folder / "everything.log", PORT=str(port)), port):
        yield port


@contextmanager
def sidecar_before(port: int, folder: Path) -> Iterator[Installation]:
    """A whole sidecar in front of a server, with the starter policies and the record."""
    made = Installation(folder, port)
    try:
        made.start_collect()
        made.start_proxy()
        yield made
    finally:
        made.stop()


@contextmanager
def _running(program: Program, port: int) -> Iterator[None]:
    try:
        until(lambda: is_open(port) or program.process.poll() is not None, "the server to listen")
        assert program.process.poll() is None, program.output
        yield
    finally:
        program.stop(signal.SIGKILL)


def compare_server(port: int, through: Installation, revision: str) -> Compared:
    """What the suite says of a server, directly and through the sidecar, in all scenarios of a revision."""
    url = f"http://127.0.0.1:{port}/mcp"
    return compare(
        lambda scenario: of_server(url, revision, scenario), lambda scenario: of_server(through.url, revision, scenario)
    )


def compare_client(mode: str, revision: str, scenario: str) -> Compared:
    """What the suite says of our client in one scenario, directly and through a sidecar in one mode."""
    return compare(
        lambda name: of_client(CLIENT, revision, name), lambda name: of_client(f"{THROUGH} {mode}", revision, name), scenario
    )
