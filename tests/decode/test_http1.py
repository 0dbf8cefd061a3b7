"""Heads the plain transport takes: each is read as a full HTTP implementation reads it, and nothing else is taken."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar import limits
from sidecar.decode.http1 import Unusual, head_bytes, request_head
from tests.fuzz.targets import read_head

ORDINARY = b"POST /mcp HTTP/1.1\r\nHost: a:1\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"


def test_an_ordinary_head() -> None:
    """Method, path, headers and sizes are as the client wrote them."""
    head = request_head(ORDINARY + b"true")
    assert head is not None
    assert (head.method, head.path, head.body_bytes) == ("POST", "/mcp", 4)
    assert head.size == len(ORDINARY)
    assert head.headers == {"host": "a:1", "content-type": "application/json", "content-length": "4"}
    assert head_bytes("POST /mcp HTTP/1.1", head.fields) == ORDINARY


@pytest.mark.parametrize("length", [1, 20, len(ORDINARY) - 1])
def test_half_a_head_waits(length: int) -> None:
    """Nothing is decided before the empty line is there."""
    assert request_head(ORDINARY[:length]) is None


@pytest.mark.parametrize(
    "change",
    [
        (b"POST", b"PATCH"),
        (b"POST", b"CONNECT"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"/mcp", b"http://a:1/mcp"),
        (b"/mcp", b"/m cp"),
        (b"\r\nHost: a:1", b""),
        (b"Host: a:1", b"Host: a:1\r\nHost: b:1"),
        (b"Host: a:1", b"Host : a:1"),
        (b"Host: a:1", b"Host: a:1\n X: folded"),
        (b"Host: a:1", b"Host: a:1\r\n folded"),
        (b"Host: a:1", b"Host: a\x00"),
        (b"Content-Length: 4", b"Content-Length: 4\r\nContent-Length: 5"),
        (b"Content-Length: 4", b"Content-Length: 4, 4"),
        (b"Content-Length: 4", b"Content-Length: +4"),
        (b"Content-Length: 4", b"Content-Length: 0x4"),
        (b"Content-Length: 4", "Content-Length: ٤".encode()),
        (b"Content-Length: 4", b"Content-Length: \xb2"),
        (b"Content-Length: 4", b"Content-Length:"),
        (b"Content-Length: 4", b"Content-Length: 99999999999999999999"),
        (b"Content-Length: 4", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 4", b"Content-Length: 4\r\nTransfer-Encoding: identity"),
        (b"Host: a:1", b"Host: a:1\r\nExpect: 100-continue"),
        (b"Host: a:1", b"Host: a:1\r\nConnection: Upgrade\r\nUpgrade: h2c"),
        (b"Host: a:1", b"Host: a:1\r\nConnection: close, x-secret"),
        (b"Host: a:1", b"Host: a:1\r\n: nameless"),
        (b"POST", b"\x16\x03\x01"),
        (b"POST", b"\r\nPOST"),
        (b"\r\n", b"\n"),
    ],
)
def test_whatever_is_unusual_is_left_to_others(change: tuple[bytes, bytes]) -> None:
    """Another version, framing, target or layout than the plain one is never interpreted here."""
    with pytest.raises(Unusual):
        request_head(ORDINARY.replace(*change))


def test_a_head_without_end_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless headers are not held here."""
    monkeypatch.setattr(limits, "HEADER_BYTES_MAX", 1000)
    with pytest.raises(Unusual):
        request_head(ORDINARY[:-2] + b"x: " + b"y" * 1000)


PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b": ", b"\x00", b"\x0b", b"\xff", b"0", b"4", b",", b"x", b"\r\n\r\n"),
        *(b"POST", b"GET", b" /", b" HTTP/1.1", b"Host", b"Host: a", b"Content-Length", b"Transfer-Encoding: chunked"),
        *(b"content-length: 4", b"connection: close", b"Connection: keep-alive", b"X-Y_z: v \x80"),
    ]
)


@given(st.one_of(st.lists(PIECES, max_size=25).map(b"".join), st.binary(max_size=200)), st.integers(0, len(ORDINARY)))
@example(b"", 0)
def test_what_is_taken_is_what_h11_reads(inserted: bytes, at: int) -> None:
    """Whatever bytes stand anywhere in a head: if it is taken, a strict reader takes it too, for the same request."""
    read_head(ORDINARY[:at] + inserted + ORDINARY[at:])
