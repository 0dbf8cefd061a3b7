"""Binary content of messages: what of it is text is scanned as text, and the record says how much was not scanned.

MCP sends bytes as base64 in ``data`` of image and audio content and in ``blob`` of resources (2024-11-05 to 2026-07-28).
"""

import base64
import binascii
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import Any, Final

from sidecar.detect.text import Texts

_HEAD_CHARS: Final = 1024
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_PACKED: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How gzip and zlib begin; such bytes are unpacked and read."""
_CONTROLS: Final = frozenset(range(32)) - {9, 10, 12, 13, 27}


def find_blobs(payload: Any) -> Iterator[str]:
    """The base64 texts at the places where the protocol has bytes; nearly always none."""
    if type(payload) is not dict:
        return
    for holder in (payload.get("result"), payload.get("params"), payload):
        if type(holder) is dict:
            yield from _blobs_in(holder)
            for name in ("inputRequests", "inputResponses"):
                entries = holder.get(name)
                if type(entries) is not dict:
                    continue
                for entry in entries.values():
                    is_answer = type(entry) is dict and "params" not in entry
                    yield from find_blobs({"result": entry} if is_answer else entry)


def _blobs_in(holder: dict[str, Any]) -> Iterator[str]:
    for name in ("content", "contents", "messages"):
        blocks = holder.get(name)
        if blocks is None:
            continue
        for block in blocks if type(blocks) is list else (blocks,):
            if type(block) is not dict:
                continue
            if name == "messages":
                yield from _blobs_in({"content": block.get("content")})
                continue
            resource = block.get("resource")
            for value in (block.get("data"), block.get("blob"), resource.get("blob") if type(resource) is dict else None):
                if type(value) is str and value:
                    yield value
            if type(block.get("content")) is list:
                yield from _blobs_in({"content": block["content"]})


def inspect(texts: Texts) -> tuple[list[int], int]:
    """Where in ``texts.joined()`` base64 of text has its first line's end, and how many bytes in base64 are no text."""
    ends: list[int] = []
    unread = 0
    for blob in find_blobs(texts.payload):
        if is_text(blob):
            index = next((at for at, text in enumerate(texts.texts) if text is blob), None)
            if index is not None:
                ends.append(texts.starts()[index] + len(blob.split("\n", 1)[0].rstrip("\r=").encode("utf-8", "replace")))
        else:
            unread += len(blob) * 3 // 4
    return ends, unread


def is_text(blob: str) -> bool:
    """Whether what ``blob`` encodes begins as text does, in UTF-8 or UTF-16, or is packed text may be."""
    head = "".join(blob[:_HEAD_CHARS].split()).rstrip("=").replace("-", "+").replace("_", "/")
    head = head[: len(head) // 4 * 4] if len(blob) > _HEAD_CHARS else head[: len(head) - (len(head) % 4 == 1)]
    try:
        raw = base64.b64decode(head + "=" * (-len(head) % 4), validate=True)
        if raw[:2] in _UTF16 or raw[:2] in _PACKED or _is_wide(raw):
            return True
        said = getincrementaldecoder("utf-8")().decode(raw)
    except (binascii.Error, ValueError):
        return False
    return not any(ord(each) in _CONTROLS for each in said)


def _is_wide(raw: bytes) -> bool:
    """Latin text in UTF-16 without a mark: every second byte is zero."""
    return len(raw) > 3 and max(raw[0::2].count(0), raw[1::2].count(0)) * 2 > len(raw) * 0.9
