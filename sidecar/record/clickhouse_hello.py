"""The query with which clickhouse-go, and so Grafana, opens a connection, and a response it can decode.

It asks for the server's revision in the response whose encoding depends on it: it decodes this one response as revision
54460, then continues with the revision in it. The embedded engine writes only revision 0, so that is the revision in the
response, which is encoded here by hand.
"""

import re
from collections.abc import Mapping
from typing import Final

_HELLO: Final = re.compile(r"SELECT displayName\(\), version\(\), revision\(\), timezone\(\)( FORMAT Native)?\s*")
_REVISION_WITH_COLUMN_FLAGS: Final = 54454
"""From this protocol revision on a block has an info part, and each column a byte for its serialization."""

_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_PLAIN_COLUMN: Final = b"\x00"


def is_hello(plain: str, settings: Mapping[str, str]) -> bool:
    """Whether the plain form of a query is that query, from a driver that expects the response in that encoding."""
    revision = settings.get("client_protocol_version", "")
    is_new = revision.isdecimal() and int(revision) >= _REVISION_WITH_COLUMN_FLAGS
    return is_new and settings.get("default_format") == "Native" and _HELLO.fullmatch(plain) is not None


def hello(version: str, timezone: str) -> bytes:
    """The response, as one block in ClickHouse's Native format."""
    columns = (
        ("displayName()", "String", _text("sidecar")),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", (0).to_bytes(4, "little")),
        ("timezone()", "String", _text(timezone)),
    )
    body = b"".join(_text(name) + _text(kind) + _PLAIN_COLUMN + value for name, kind, value in columns)
    return _BLOCK_INFO + bytes((len(columns), 1)) + body


def _text(text: str) -> bytes:
    """A string after its length; lengths here are below 128, for which the variable-length integer is one byte."""
    content = text.encode()[:127]
    return bytes((len(content),)) + content
