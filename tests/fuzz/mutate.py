"""Changes to bytes that keep much of their structure: what a hostile peer would do to a message, not what noise does."""

import random
from collections.abc import Callable, Sequence
from typing import Final

TOKENS: Final[tuple[bytes, ...]] = (
    *(
        each.encode()
        for each in '{ } [ ] " : , \\ / \\" \\\\ \\n \\u0000 \\ud800 \\udc00 \\u0041 null true 0 -0 1e400 1.0 NaN'.split()
    ),
    *(
        b"-Infinity",
        b"1" * 25,
        b'"id":1,',
        b'"id":"1"',
        b'"id":null',
        b'"method":"x",',
        b'"result":{}',
        b'"error":{}',
        b'"jsonrpc"',
    ),
    *(b'"params":{', b'"name":"get"', b'"ID":1', b'"a":1,"a":2', b'"__proto__":', b"[" * 140, b"]" * 140, b"[[[", b"]]]"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xff", b"\xc2"),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b" ", b"\t", b" " * 70, b"\x7f", b"\xc2\xa0"),
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"\r\r",
        b"\n\r",
        b"data:",
        b"data: ",
        b"data",
        b"event: endpoint",
        b"event:",
    ),
    *(b"event: message", b"id: 1", b"id:", b"id: \x00", b"retry: 1", b": x", b":", b"datax: "),
    *(b"POST", b"GET /", b" HTTP/1.1", b"Host: a", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close"),
)

Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def _insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice(TOKENS)


def _overwrite(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    token = rng.choice(TOKENS)
    data[at : at + len(token)] = token


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.choice((1, 1, 2, 4, 9, 30))]


def _repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    piece = data[at : at + rng.choice((1, 3, 10, 40))]
    data[at:at] = piece


def _splice(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = rng.choice(seeds) if seeds else b""
    start = rng.randint(0, len(other))
    at = rng.randint(0, len(data))
    data[at:at] = other[start : start + rng.choice((5, 20, 80))]


def _escape(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Write one character as JSON's escape of it, which says the same."""
    places = [at for at in range(len(data)) if 48 <= data[at] < 123]
    if places:
        at = rng.choice(places)
        data[at : at + 1] = b"\\u%04x" % data[at]


def _swap(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Move a piece elsewhere."""
    at = rng.randint(0, len(data))
    piece = data[at : at + rng.choice((1, 5, 20))]
    del data[at : at + len(piece)]
    to = rng.randint(0, len(data))
    data[to:to] = piece


CHANGES: Final[tuple[Change, ...]] = (_insert, _insert, _overwrite, _flip, _cut, _repeat, _splice, _escape, _escape, _swap)
ENCODINGS: Final = ("utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-8-sig", "utf-7")


def mutated(data: bytes, rng: random.Random, seeds: Sequence[bytes], bytes_max: int = 4096) -> bytes:
    """``data`` with one to six changes, and seldom in another encoding."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice(CHANGES)(rng, changed, seeds)
    if rng.random() < 0.01:
        changed = bytearray(bytes(changed).decode("utf-8", "replace").encode(rng.choice(ENCODINGS), "replace"))
    return bytes(changed[:bytes_max])
