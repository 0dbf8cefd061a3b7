"""The question with which clickhouse-go, and so Grafana, opens a connection, and an answer it can decode.

It asks for the server's revision in the very answer whose encoding depends on it: it decodes this one answer as revision
54460, then goes on at the revision it was told. The embedded engine writes revision 0 and no other, so that is what it
is told, in an answer written here by hand.
"""

import re
from collections.abc import Mapping
from typing import Final

_HELLO: Final = re.compile(r"SELECT displayName\(\), version\(\), revision\(\), timezone\(\)( FORMAT Native)?\s*")
_REVISION_WITH_COLUMN_FLAGS: Final = 54454
"""From this protocol revision on a block has an info part, and each column a byte that names its serialization."""

_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_PLAIN_COLUMN: Final = b"\x00"


def is_hello(plain: str, settings: Mapping[str, str]) -> bool:
    """Whether the plain form of a query is that question, asked by a driver that expects the answer in that encoding."""
    revision = settings.get("client_protocol_version", "")
    is_new = revision.isdecimal() and int(revision) >= _REVISION_WITH_COLUMN_FLAGS
    return is_new and settings.get("default_format") == "Native" and _HELLO.fullmatch(plain) is not None


def hello(version: str, timezone: str) -> bytes:
    """The answer, as one block in ClickHouse's Native format."""
    columns = (
        ("displayName()", "String", _text("sidecar")),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", (0).to_bytes(4, "little")),
        ("timezone()", "String", _text(timezone)),
    )
    body = b"".join(_text(name) + _text(kind) + _PLAIN_COLUMN + value for name, kind, value in columns)
    return _BLOCK_INFO + bytes((len(columns), 1)) + body


def _text(text: str) -> bytes:
    """A string with its length before it; lengths here stay below 128, where the variable length is one byte."""
    content = text.encode()[:127]
    return bytes((len(content),)) + content
