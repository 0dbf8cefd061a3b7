"""The conformance suite says of a server behind the sidecar exactly what it says of the server itself."""

import pytest

from tests.conformance.peers import GUARDED, compare_server
from tests.conformance.suite import REVISIONS, Compared, failures, total
from tests.e2e.conftest import Installation, until

# What the suite checks of a server that offers everything it asks for.
CHECKS = {"2025-03-26": 3, "2025-06-18": 56, "2025-11-25": 84, "2026-07-28": 152}


@pytest.fixture(scope="module", params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    """The protocol revisions in use, one after another."""
    return str(request.param)


@pytest.fixture(scope="module")
def compared(installation: Installation, fixture_port: int, revision: str) -> Compared:
    """What the suite says of the fixture server, both ways."""
    return compare_server(fixture_port, installation, revision)


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


def test_what_a_typescript_server_fails_it_fails_the_same(
    everything_port: int, before_everything: Installation, revision: str
) -> None:
    """Errors, refusals and what a server does not know pass through unchanged; only its missing guard is made good."""
    compared = compare_server(everything_port, before_everything, revision)
    assert compared.differences() == (list(GUARDED) if revision == "2025-11-25" else [])
