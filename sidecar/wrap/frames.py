"""The protocol between a wrap process and the proxy's judge socket: length-prefixed frames over a Unix socket.

    frame    length u32 | kind u8 | payload                                                   (little-endian)
    HELLO    version, wrap, server and way, each ended by a zero byte, then notes; answered by HELLO: empty, or the refusal
    LINES    count u32 | length u32 of each | the lines, with their ends
    LONG     head length u32 | head | tail: the first and last bytes of a line over the limit
    END      why the server's output ended, as text
    VERDICT  for each line: flags u8, lengths u32 of onward, back and notes | onward | back | notes

``onward`` goes to the peer the line was meant for, ``back`` to the one it came from; ``PASS`` stands for the line itself, so
that large ones are not sent twice. ``notes`` hold what a restarted proxy has to know: ``call id (36 bytes) | length u32 |
JSON``, or length 0 once the call is done.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence

VERSION = b"1"
HELLO, LINES, LONG, END, VERDICT = range(1, 6)
PASS = 1
HEAD = struct.Struct("<IB")
ITEM = struct.Struct("<BIII")
COUNT = struct.Struct("<I")
NOTE_KEY_BYTES = 36

IN, OUT = "in", "out"
"""The directions of a line: from the client to the server, and back."""

Verdict = tuple[bool, memoryview, memoryview, memoryview]


def frame(kind: int, payload: bytes) -> bytes:
    """One frame, whole."""
    return HEAD.pack(len(payload), kind) + payload


def hello(wrap: str, server: str, way: str, notes: bytes) -> bytes:
    """The first frame of a connection."""
    return frame(HELLO, b"\0".join((VERSION, wrap.encode(), server.encode(), way.encode(), notes)))


def lines_head(lines: Sequence[bytes]) -> bytes:
    """A LINES frame up to the lines themselves, which follow as they are."""
    lengths = [len(line) for line in lines]
    index = struct.pack(f"<I{len(lengths)}I", len(lengths), *lengths)
    return HEAD.pack(len(index) + sum(lengths), LINES) + index


def lines_in(payload: memoryview) -> Iterator[bytes]:
    """The lines of a LINES frame."""
    (count,) = COUNT.unpack_from(payload)
    at = 4 + 4 * count
    for length in struct.unpack_from(f"<{count}I", payload, 4):
        yield bytes(payload[at : at + length])
        at += length


def verdict(*, is_passed: bool, onward: bytes = b"", back: bytes = b"", notes: bytes = b"") -> bytes:
    """The verdict for one line."""
    return ITEM.pack(PASS if is_passed else 0, len(onward), len(back), len(notes)) + onward + back + notes


def verdicts_in(payload: memoryview) -> Iterator[Verdict]:
    """For each line: whether it passes unchanged, what goes onward instead, what goes back, and notes."""
    at = 0
    while at < len(payload):
        flags, onward, back, notes = ITEM.unpack_from(payload, at)
        first = at + ITEM.size
        second = first + onward
        third = second + back
        at = third + notes
        yield bool(flags & PASS), payload[first:second], payload[second:third], payload[third:at]


def note(key: bytes, content: bytes) -> bytes:
    """One note; empty content deletes it."""
    return key.ljust(NOTE_KEY_BYTES)[:NOTE_KEY_BYTES] + COUNT.pack(len(content)) + content


def notes_in(payload: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """Key and content of each note."""
    at = 0
    while at < len(payload):
        key = bytes(payload[at : at + NOTE_KEY_BYTES])
        (length,) = COUNT.unpack_from(payload, at + NOTE_KEY_BYTES)
        start = at + NOTE_KEY_BYTES + COUNT.size
        at = start + length
        yield key, bytes(payload[start:at])


def send(sock: socket.socket, parts: Iterable[bytes]) -> None:
    """Send a frame given in parts; small parts in one write."""
    waiting = b""
    for part in parts:
        if len(waiting) + len(part) <= 1 << 16:
            waiting += part
            continue
        if waiting:
            sock.sendall(waiting)
            waiting = b""
        sock.sendall(part)
    if waiting:
        sock.sendall(waiting)


def receive(sock: socket.socket) -> tuple[int, memoryview]:
    """The next frame: its kind and payload.

    Raises:
        OSError: the other side is gone.
    """
    data = sock.recv(1 << 16)
    while len(data) < HEAD.size:
        more = sock.recv(1 << 16)
        if not data and not more:
            raise ConnectionError("the proxy closed the connection")
        data += more
    length, kind = HEAD.unpack_from(data)
    if len(data) == HEAD.size + length:
        return kind, memoryview(data)[HEAD.size :]
    whole = bytearray(length)
    at = len(data) - HEAD.size
    whole[:at] = data[HEAD.size :]
    view = memoryview(whole)
    while at < length:
        count = sock.recv_into(view[at:])
        if not count:
            raise ConnectionError("the proxy closed the connection")
        at += count
    return kind, view


def user_of(sock: socket.socket) -> int:
    """The user id of the process on the other side, as the kernel reports it."""
    if hasattr(socket, "SO_PEERCRED"):
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", data)[1])
    # LOCAL_PEERCRED of macOS and the BSDs: struct xucred begins with a version and the user.
    return int(struct.unpack_from("=II", sock.getsockopt(0, 1, 76))[1])


def is_ours(sock: socket.socket) -> bool:
    """Whether both sides are processes of one user; nothing is exchanged with others."""
    return user_of(sock) == os.getuid()
