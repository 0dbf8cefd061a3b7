import pytest

from sidecar.review.origin import OwnOrigin


async def nothing(*_: object) -> None:
    """An application that does nothing."""


@pytest.fixture
def door() -> OwnOrigin:
    """The check of a page that is reached under a name of its own."""
    return OwnOrigin(nothing, "https://mcp.ourco.example/sidecar", ("node-a",))


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8501"},
        {"host": "[::1]:8501"},
        {"host": "localhost:8501", "origin": "http://localhost:8501"},
        {"host": "node-a:8501", "origin": "http://node-a:8501"},
        {"host": "10.0.0.5:8501", "origin": "http://10.0.0.5:8501"},
        {"host": "mcp.ourco.example", "origin": "https://mcp.ourco.example"},
        {"host": "127.0.0.1:8501", "origin": "https://mcp.ourco.example"},
        {"host": "MCP.OurCo.example", "origin": "https://mcp.ourco.EXAMPLE"},
    ],
)
def test_the_page_itself_is_let_in(door: OwnOrigin, headers: dict[str, str]) -> None:
    """Under its address, its name, or behind a proxy that ends TLS, the page works."""
    assert door.is_own([(name.encode(), value.encode()) for name, value in headers.items()])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "evil.example:8501")],
        [("host", "127.0.0.1.evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", "http://evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", "http://127.0.0.1:3000")],
        [("host", "127.0.0.1:8501"), ("origin", "http://localhost:8501")],
        [("host", "127.0.0.1:8501"), ("origin", "null")],
        [("host", "127.0.0.1:8501"), ("host", "evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", "http://127.0.0.1:8501"), ("origin", "http://evil.example")],
        [("host", "[::1")],
        [("host", "")],
        [("host", "evil.example@127.0.0.1:8501"), ("origin", "http://evil.example")],
    ],
)
def test_other_pages_and_other_names_are_refused(door: OwnOrigin, headers: list[tuple[str, str]]) -> None:
    """A web page elsewhere, a rebound name, or another program's page on this machine cannot read the record."""
    assert not door.is_own([(name.encode(), value.encode()) for name, value in headers])
