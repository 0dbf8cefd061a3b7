"""Every shape of the wire fixture, through every client: the same outcome direct and through the sidecar."""

from typing import Any

import pytest

from tests.e2e.conftest import Installation
from tests.wire import differences, matrix
from tests.wire.server import WireServer

Compared = dict[str, tuple[int, dict[str, tuple[Any, Any]]]]


@pytest.fixture(scope="module")
def compared(wire: WireServer, front: Installation) -> Compared:
    """What differs, by client."""
    clients = [name for name in matrix.CLIENTS if matrix.has_npm() or not name.startswith("ts")]
    return matrix.compare_all((wire.port, front.port), clients)


@pytest.mark.parametrize("client", matrix.CLIENTS)
def test_every_shape_has_the_same_outcome(compared: Compared, client: str) -> None:
    """An application gets the same result or the same error; where it is meant to differ, it gets exactly what is meant."""
    if client not in compared:
        pytest.skip("the npm packages of the TypeScript clients are not installed; scripts/test-tools installs them")
    shown, found = compared[client]
    unmeant = {name: pair for name, pair in found.items() if not matrix.is_meant(client, name, pair[1])}
    assert shown >= 500
    assert not unmeant


def test_every_declared_difference_is_one(compared: Compared) -> None:
    """The list of what differs on purpose holds nothing that is the same, so it cannot hide what breaks later."""
    if not matrix.has_npm():
        pytest.skip("some differences only show with the TypeScript clients")
    found = {name for _, pairs in compared.values() for name in pairs}
    assert differences.names() == found & differences.names()


def test_what_is_answered_is_recorded(compared: Compared, front: Installation) -> None:
    """The proxy in front recorded every call, and did not fail over one of them."""
    output = front.programs["proxy"].output
    assert "could not" not in output and "failed inside" not in output
    assert any(front.data.glob("outbox/**/*"))
