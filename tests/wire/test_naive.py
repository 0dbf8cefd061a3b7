"""The fixture has teeth: a proxy that parses and writes out again, as people write it first, does not pass."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conformance import peers, suite
from tests.e2e.conftest import Installation
from tests.wire import matrix
from tests.wire.naive import NaiveProxy
from tests.wire.server import WireServer

NOTICED = {
    "python-modern": "event-1-mib-less-1 event-1000-kib-unicode sse-gzip sse-cr sse-lf-crlf-cr".split(),
    "ts1": (
        "json-number-1e400 json-number-minus-1e400 json-number-nan json-number-infinity event-of-number-1e400 "
        "schema-huge-number sse-gzip sse-gzip-flushed sse-lf-crlf-cr status-400-error "
        "status-404-error status-429-retry-after status-500-json"
    ).split(),
}
"""Shapes whose outcome changes for an application, by its client."""

_PATIENCE = 0.15
"""Some of them never end through the re-encoder."""


@pytest.fixture(scope="module")
def naive(wire: WireServer) -> Iterator[NaiveProxy]:
    """The naive proxy in front of the fixture."""
    proxy = NaiveProxy(wire.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("client", NOTICED)
def test_an_application_notices_a_re_encoder_and_not_the_sidecar(
    wire: WireServer, naive: NaiveProxy, front: Installation, client: str
) -> None:
    """Numbers, sizes, codings, line ends and error texts change through a re-encoder; through the sidecar none of them does."""
    names = NOTICED[client]
    if client == "ts1" and not matrix.has_npm():
        pytest.skip("the npm packages of the TypeScript clients are not installed; scripts/test-tools installs them")
    direct, through = (matrix.run(client, port, names) for port in (wire.port, front.port))
    assert through == direct
    encoded = matrix.run(client, naive.port, names, _PATIENCE)
    assert [name for name in names if encoded[name] != direct[name]] == names


def test_bytes_change_through_a_re_encoder(wire: WireServer, naive: NaiveProxy) -> None:
    """Hundreds of shapes leave a re-encoder with other bytes than they came with."""
    names = [name for name in matrix.shapes_for("raw") if name.startswith(("json-", "event-of-"))]
    direct, through = (matrix.run("raw", port, names) for port in (wire.port, naive.port))
    assert len([name for name in names if direct[name] != through[name]]) >= 240


def test_a_conformance_suite_notices_nothing_of_it(tmp_path: Path) -> None:
    """Every check passes through the re-encoder too, so conformance alone does not say that nobody notices a proxy."""
    if not suite.is_installed():
        pytest.skip("the conformance suite is not installed here; scripts/test-tools installs it where npm is allowed")
    with peers.fixture_server(tmp_path) as port:
        proxy = NaiveProxy(port)
        try:
            ways = [partial(suite.of_server, f"http://127.0.0.1:{each}/mcp", "2025-11-25") for each in (port, proxy.port)]
            compared = suite.compare(ways[0], ways[1])
        finally:
            proxy.close()
    passed, checks = suite.total(compared.direct)
    assert passed == checks > 50
    assert not compared.differences()
