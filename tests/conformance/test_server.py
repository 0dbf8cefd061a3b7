"""The conformance suite says of a server behind the sidecar exactly what it says of the server itself."""

import signal
from collections.abc import Iterator

import pytest

from tests.conformance import suite
from tests.conformance.suite import Compared, compare, failures, of_server, total
from tests.e2e.conftest import ROOT, Installation, Program, free_port, is_open, until

# What the suite checks of a server that offers everything it asks for.
CHECKS = {"2025-03-26": 3, "2025-06-18": 56, "2025-11-25": 84, "2026-07-28": 152}
EVERYTHING = ROOT / ".tools" / "npm" / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"


def compared_with(direct_url: str, through_url: str, revision: str) -> Compared:
    """All scenarios of a revision, both ways."""
    return compare(
        lambda scenario: of_server(direct_url, revision, scenario), lambda scenario: of_server(through_url, revision, scenario)
    )


@pytest.fixture(scope="module", params=suite.REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    """The protocol revisions in use, one after another."""
    return str(request.param)


@pytest.fixture(scope="module")
def compared(installation: Installation, fixture_port: int, revision: str) -> Compared:
    """What the suite says of the fixture server, both ways."""
    return compared_with(f"http://127.0.0.1:{fixture_port}/mcp", installation.url, revision)


def test_every_check_is_the_same_through_the_sidecar(compared: Compared) -> None:
    """With starter policies and record on, no check of the suite can tell the sidecar from the server."""
    assert not compared.differences()


def test_the_server_passes_every_check_through_the_sidecar(compared: Compared, revision: str) -> None:
    """The suite finds everything it asks for, and nothing wrong, so that being the same means something."""
    assert not failures(compared.through)
    assert total(compared.through) == (CHECKS[revision], CHECKS[revision])


def test_what_the_suite_did_is_in_the_record(compared: Compared, installation: Installation, revision: str) -> None:
    """The suite was watched: its calls stand in the record under their revision, and no policy touched one of them."""
    assert compared.through
    until(lambda: installation.rows(f"SELECT count() FROM calls WHERE protocol = '{revision}'")[0][0] > 1, "the suite's calls")
    assert installation.rows("SELECT method, tool, rule FROM calls WHERE verdict != 'allow'") == []


@pytest.fixture(scope="module")
def everything_port(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A TypeScript server with features of its own: not one of the suite's names, but every message of the protocol."""
    if not EVERYTHING.is_file():
        pytest.skip("server-everything is not installed here; scripts/test-tools installs it where npm is allowed")
    port, log = free_port(), tmp_path_factory.mktemp("everything") / "everything.log"
    program = Program(["node", str(EVERYTHING), "streamableHttp"], log, PORT=str(port))
    until(lambda: is_open(port), "server-everything")
    yield port
    program.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def before_everything(everything_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A sidecar in front of it."""
    made = Installation(tmp_path_factory.mktemp("before"), everything_port)
    made.start_proxy()
    yield made
    made.stop()


def test_what_a_typescript_server_fails_it_fails_the_same(
    everything_port: int, before_everything: Installation, revision: str
) -> None:
    """Errors, refusals and what a server does not know pass through unchanged; only its missing guard is made good."""
    compared = compared_with(f"http://127.0.0.1:{everything_port}/mcp", before_everything.url, revision)
    rebinding = "dns-rebinding-protection: ('localhost-host-rebinding-rejected', 'DNSRebindingRejected', "
    # This server answers to any Host; the sidecar in front of it does not (see sidecar/intercept/doorway.py).
    guarded = [f"{rebinding}'FAILURE') only directly", f"{rebinding}'SUCCESS') only through the sidecar"]
    assert compared.differences() == (guarded if revision == "2025-11-25" else [])
