"""Event streams, cut into events at any chunking and rewritten without touching what no rule changed (WHATWG HTML §9.2).

Events are handled as bytes, so a character split by a chunk is whole again before anything reads it, and an event that is
passed on is the event that came.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

_END: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINES: Final = re.compile(rb"\r\n|\n|\r")
_USUAL_NAMES: Final = (b"message", b"endpoint")
_FIELDS: Final = (b"data", b"event", b"id", b"retry")
_BOM: Final = b"\xef\xbb\xbf"
_PYTHON_BREAK: Final = re.compile(rb"[\x0b\x0c\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9]")
"""Where Python's ``str.splitlines`` ends a line and the standard does not."""

WITHHELD: Final = b": withheld\n\n"
"""A comment in place of an event that is not passed on."""


class EventTooLong(Exception):
    """An event has not ended within the bound."""


_NO_RETRY: Final = re.compile(rb"retry:(?! ?[0-9]+$)")
"""A time to wait that is no number, which clients skip."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a client reads it. ``data`` is its data lines joined by line feeds; ``id`` is None where it has none.

    ``beside`` is what stands in it beside data, cursor and the usual name: comments and fields no client knows.
    """

    data: bytes
    name: str
    id: bytes | None
    beside: bytes = b""

    @property
    def has_id(self) -> bool:
        """Whether it moves the cursor."""
        return self.id is not None


class Splitter:
    """Cuts a stream into raw events, terminator included. ``bytes_max`` bounds what is held for one event.

    The raw events joined are the stream, without the byte order marks before it: clients skip none, one or two of them and
    then read different first lines, so none is passed on. Where a chunk ends inside a CRLF that closes an event, its LF
    opens the next one, as an empty line that no client reads.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()
        self._searched = 0
        self._has_begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that end within this chunk, in order.

        Raises:
            EventTooLong: more than ``bytes_max`` bytes are held and no event ends.
        """
        self._held += chunk
        if not self._has_begun:
            while self._held.startswith(_BOM):
                del self._held[: len(_BOM)]
            if _BOM.startswith(self._held):
                return []
            self._has_begun = True
        found = []
        start = 0
        while match := _END.search(self._held, max(start, self._searched)):
            found.append(bytes(self._held[start : match.end()]))
            start = self._searched = match.end()
        del self._held[:start]
        # A terminator may begin in the last three bytes held and end in the next chunk.
        self._searched = max(0, len(self._held) - 3)
        if len(self._held) > self._bytes_max:
            raise EventTooLong
        return found

    def rest(self) -> bytes:
        """What was held when the stream ended; an event without its end, which no client reads."""
        held = bytes(self._held)
        self._held.clear()
        self._searched = 0
        return held


def parse(raw: bytes) -> Event:
    """One raw event, taken apart."""
    data: list[bytes] = []
    name = ""
    event_id: bytes | None = None
    beside: list[bytes] = []
    for line in _LINES.split(raw):
        field, colon, value = line.partition(b":")
        if colon:
            value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
            if value not in _USUAL_NAMES:
                beside.append(value)
        elif field == b"id" and b"\0" not in value:
            event_id = value
        elif line and not (field == b"retry" and value.isdigit()):
            beside.append(value if not field else line)
    return Event(b"\n".join(data), name, event_id, b"\n".join(beside))


def is_ambiguous(raw: bytes) -> bool:
    """Whether Python clients that break lines where ``str.splitlines`` does read a message here that the standard does not.

    JSON may hold such characters within its texts, and then those clients read no JSON at all, as without us.
    """
    if _PYTHON_BREAK.search(raw) is None:
        return False
    event = parse(raw)
    ours = event.data.decode("utf-8", "replace") if event.name in ("", "message") else ""
    name, data = "", list[str]()
    for line in (*raw.decode("utf-8", "replace").splitlines(), ""):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif not line:
            said = "\n".join(data) if name in ("", "message") else ""
            if said != ours and _is_structure(said):
                return True
            name, data = "", []
    return False


def with_data(raw: bytes, data: bytes) -> bytes:
    """The event with other data: every line that is not data stays as it is, the data becomes one line per line of ``data``."""
    newline = b"\r\n" if b"\r\n" in raw else b"\n"
    kept = [line for line in _LINES.split(raw) if line and line.partition(b":")[0] != b"data"]
    lines = [*kept, *(b"data: " + line for line in data.split(b"\n"))]
    return newline.join(lines) + newline + newline


def bare(raw: bytes) -> bytes:
    """The event without what stands in it beside data, cursor and usual name; nothing under a name no client knows."""
    event = parse(raw)
    if event.name and event.name.encode() not in _USUAL_NAMES:
        return without_message(raw)
    newline = b"\r\n" if b"\r\n" in raw else b"\n"
    kept = [line for line in _LINES.split(raw) if line and line.partition(b":")[0] in _FIELDS and not _NO_RETRY.match(line)]
    return newline.join([*kept, b"", b""]) if kept else WITHHELD


def message_event(data: bytes) -> bytes:
    """A new event that carries one message."""
    return b"event: message\ndata: " + data + b"\n\n"


def without_message(raw: bytes) -> bytes:
    """What to send in place of an event that is withheld: its cursor if it had one, else a comment."""
    event_id = parse(raw).id
    return b"id: " + event_id + b"\ndata:\n\n" if event_id is not None else WITHHELD


def _is_structure(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False
    except RecursionError:
        return True
