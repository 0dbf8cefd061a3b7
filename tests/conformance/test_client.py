"""The conformance suite says of a client behind the sidecar exactly what it says of the client itself."""

import pytest

from tests.conformance.peers import compare_client
from tests.conformance.suite import failures, total

# One scenario of each kind; `python -m tests.conformance` runs them all (see docs/conformance.md).
SCENARIOS = [
    ("reverse", "2025-06-18", "tools_call"),
    ("reverse", "2025-11-25", "elicitation-sep1034-client-defaults"),  # a request of the server's within a call's stream
    ("reverse", "2025-11-25", "sse-retry"),  # a stream that is taken up again
    ("reverse", "2026-07-28", "request-metadata"),  # the revision is agreed upon in two attempts
    ("reverse", "2026-07-28", "sep-2322-client-request-state"),  # calls in several rounds
    ("reverse", "2026-07-28", "http-custom-headers"),  # arguments that travel in headers too
    ("reverse", "2026-07-28", "http-invalid-tool-headers"),  # tools a client must leave out
    ("forward", "2025-03-26", "auth/2025-03-26-oauth-metadata-backcompat"),  # the server is its own authorization server
    ("forward", "2025-11-25", "sse-retry"),
    ("forward", "2025-11-25", "auth/pre-registration"),
    ("forward", "2026-07-28", "auth/scope-step-up"),  # a call needs more than the session has
    ("forward", "2026-07-28", "auth/authorization-server-migration"),
    ("forward", "2026-07-28", "auth/iss-wrong-issuer"),  # a login the client must break off
]


@pytest.mark.parametrize(("mode", "revision", "scenario"), SCENARIOS, ids=["-".join(each) for each in SCENARIOS])
def test_a_client_does_the_same_through_the_sidecar(mode: str, revision: str, scenario: str) -> None:
    """The suite's own server sees the client do the same, and do it right, with a sidecar between them."""
    compared = compare_client(mode, revision, scenario)
    assert not compared.differences()
    assert not failures(compared.through)
    assert total(compared.through)[0] > 0
