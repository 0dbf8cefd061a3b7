"""Secrets that the settings name: found exactly as they are, and in the forms in which programs pass them on.

Their text exists in memory only: it is compiled into a database of its own, which is never written anywhere.
"""

import base64
import html
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, quote_plus

import hyperscan

from sidecar.detect.scanner import Scanner
from sidecar.limits import HITS_PER_DETECTOR_MAX

_PREFIX_BYTES: Final = 64
"""Bytes of a long value that are searched for; the rest is compared where they were found."""
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")


class Registered:
    """Finds these values; false when there are none. Thread-safe."""

    def __init__(self, values: Sequence[str]) -> None:
        forms = {form: edges for value in values for form, edges in forms_of(value)}
        self._forms = tuple(forms.items())
        self._scanner: Scanner | None = None
        if forms:
            prefilters = ["".join(f"\\x{byte:02x}" for byte in form[:_PREFIX_BYTES]).encode() for form in forms]
            database = hyperscan.Database()
            database.compile(
                expressions=prefilters, ids=list(range(len(prefilters))), elements=len(prefilters), flags=[0] * len(prefilters)
            )
            self._scanner = Scanner(database)

    def __bool__(self) -> bool:
        return self._scanner is not None

    def find(self, data: bytes) -> list[tuple[int, int]]:
        """Where in ``data`` the values stand, as bytes from and to, in no order."""
        if self._scanner is None:
            return []
        hits: list[tuple[int, int]] = []
        self._scanner.scan(data, _note, hits)
        return [self._whole(data, index, end) for index, end in hits if self._is_there(data, index, end)]

    def _is_there(self, data: bytes, index: int, end: int) -> bool:
        form, _ = self._forms[index]
        return data.startswith(form, end - min(len(form), _PREFIX_BYTES))

    def _whole(self, data: bytes, index: int, end: int) -> tuple[int, int]:
        """With the signs at either edge that hold the value's first and last bits among a neighbour's, and padding."""
        form, (is_shared_before, is_shared_after) = self._forms[index]
        start = end - min(len(form), _PREFIX_BYTES)
        stop = start + len(form)
        start -= is_shared_before and start > 0 and data[start - 1] in _BASE64
        stop += is_shared_after and stop < len(data) and data[stop] in _BASE64
        return start, stop


def _note(index: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    """Hyperscan's callback; it must return nothing, or the scan ends."""
    if len(hits) < HITS_PER_DETECTOR_MAX:
        hits.append((index, end))


def forms_of(value: str) -> Iterator[tuple[bytes, tuple[bool, bool]]]:
    """The value and what it looks like once encoded. With each: whether the sign before and after belongs to it in part."""
    whole = (False, False)
    raw = value.encode()
    yield raw, whole
    once = [json.dumps(value, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)]
    escaped = {*once, *(each.replace("/", "\\/") for each in once), *(json.dumps(each)[1:-1] for each in once)}
    escaped |= {html.escape(value), html.escape(value, quote=False)}
    for safe in ("", "/"):
        parts = quote(raw, safe=safe)
        escaped |= {parts, "".join(_small_escapes(parts))}
    escaped |= {quote_plus(raw), raw.hex(), raw.hex().upper()}
    yield from ((each.encode(), whole) for each in escaped)
    for before in range(3):
        yield from _in_base64(raw, before)


def _small_escapes(text: str) -> Iterator[str]:
    """The percent escapes of a URL with small letters, as some programs write them."""
    head, *rest = text.split("%")
    yield head
    yield from (f"%{each[:2].lower()}{each[2:]}" for each in rest)


def _in_base64(raw: bytes, before: int) -> Iterator[tuple[bytes, tuple[bool, bool]]]:
    """What does not depend on the ``before`` bytes ahead of the value, nor on those behind it, in both alphabets."""
    encoded = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
    is_shared_after = (before + len(raw)) % 3 != 0
    sure = encoded[(0, 2, 3)[before] : -1 if is_shared_after else None]
    for each in {sure, sure.replace(b"+", b"-").replace(b"/", b"_")}:
        yield each, (before > 0, is_shared_after)
