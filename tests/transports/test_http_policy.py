"""What a head carries past the sidecar, or back to it."""

import pytest

from sidecar.settings import Server
from sidecar.state.exchange import Exchange, Request
from sidecar.transports.http_policy import here

SERVER = Server(name="crm", listen="127.0.0.1:9001", upstream="https://crm.example")


def redirected(location: str) -> str:
    """The address a client reads where its server wrote this one."""
    return here(Exchange(SERVER, Request("POST", "/mcp", {"host": "localhost:9001"}, b"", "127.0.0.1", 0.0, 0.0)), location)


@pytest.mark.parametrize(
    "location",
    [
        "https://crm.example/mcp/?a=1",
        "https://crm.example:443/mcp/?a=1",
        "HTTPS://CRM.example/mcp/?a=1",
        "http://crm.example/mcp/?a=1",
        "//crm.example/mcp/?a=1",
    ],
)
def test_a_redirect_to_the_server_itself_stays_at_the_sidecar(location: str) -> None:
    """However a server writes its own address, the client that follows it is judged on."""
    assert redirected(location) == "http://localhost:9001/mcp/?a=1"


@pytest.mark.parametrize(
    "location", ["/mcp/", "https://other.example/mcp", "https://crm.example:8443/x", "https://crm.example.evil.example/", "//["]
)
def test_any_other_redirect_is_the_servers_own(location: str) -> None:
    """What leads elsewhere, or is no address, is passed on as it came."""
    assert redirected(location) == location
