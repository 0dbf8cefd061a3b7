"""How found values are shown: masked in previews, replaced by a mark in messages."""

import base64
from typing import Final

from sidecar.detect.families import DETECTORS
from sidecar.events import Span

_SHOWN: Final[dict[str, int]] = {}
for _each in DETECTORS:
    _SHOWN[_each.kind] = min(_each.shown, _SHOWN.get(_each.kind, _each.shown))


def preview(span: Span) -> str:
    """The value masked: the public prefix where its kind has one, its length, how it was read (``AKIA…(20) in base64``)."""
    value = span.value
    return f"{value[: _SHOWN.get(span.kind, 0)]}…({len(value)})" + (f" in {span.via}" if span.via else "")


def mark(span: Span) -> str:
    """What stands in a message in place of the value: its kind in brackets; in place of bytes, that in base64."""
    leaf, text = span.leaf, f"[{span.kind}]"
    is_bytes = leaf.path[-1:] == ("blob",) or (leaf.path[-1:] == ("data",) and "content" in leaf.path[-3:])
    # A client that expects base64 there would refuse all of the result.
    is_whole = span.start == 0 and span.end == len(leaf.text) and "base64" in span.via
    return base64.b64encode(text.encode()).decode() if is_bytes and is_whole else text
