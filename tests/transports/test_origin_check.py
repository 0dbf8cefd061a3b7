"""Who may speak to a listener."""

import pytest

from sidecar.settings import Server
from sidecar.transports.origin_check import OriginCheck

LOCAL = OriginCheck(
    Server(name="a", listen="127.0.0.1:9001", upstream="http://u", hosts=("crm.internal",), origins=("https://app.example",))
)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9001", "localhost:9001", "LOCALHOST", "[::1]:9001", "crm.internal", "crm.internal:9001"]
)
def test_its_own_names_open_the_door(host: str) -> None:
    """A client may use any name of the listener."""
    assert LOCAL.objection(host, "", "127.0.0.1") == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:9001", "", "localhost.evil:9001"])
def test_other_names_do_not(host: str) -> None:
    """A page whose name was bound anew to this address is turned away, and the operator reads how to allow a name."""
    assert "hosts" in LOCAL.objection(host, "", "127.0.0.1")


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [("http://localhost:6274", True), ("https://app.example", True), ("https://evil.example", False), ("null", False)],
)
def test_web_pages_need_leave(origin: str, is_allowed: bool) -> None:
    """Pages of this machine and those the settings name may call; others may not."""
    assert (LOCAL.objection("localhost:9001", origin, "127.0.0.1") == "") is is_allowed


def test_a_listener_on_every_address_answers_to_the_one_that_was_asked() -> None:
    """In a pod the listener is reached by its address, which needs no settings."""
    everywhere = OriginCheck(Server(name="a", listen="0.0.0.0:9001", upstream="http://u"))
    assert everywhere.objection("10.1.2.3:9001", "", "10.1.2.3") == ""
    assert everywhere.objection("evil.example:9001", "", "10.1.2.3")
    assert everywhere.objection("10.1.2.3:9001", "http://localhost:3000", "10.1.2.3")
