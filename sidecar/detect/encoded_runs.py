"""Decodes runs of an encoding's alphabet: base64, base32, hex, with gzip, zlib and UTF-16 inside."""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

import re2

from sidecar.limits import HEX_PAIRS_BYTES_MAX

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_BASE32: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_HEX: Final = b"0123456789abcdefABCDEF"
_HEX_LIST: Final = _HEX + b" :,-xX\\"
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_LINE: Final = re.compile(rb"(?:\r?\n|\\+r\\+n|\\+n)[ \t]*([A-Za-z0-9+/_-]+={0,2})")
_LINE_END: Final = re.compile(rb"\\+[rn]|[ \t\r\n]")
_LINE_MIN: Final = 56
"""A line shorter than this was not cut by an encoder; what follows is another text."""
_OPTIONS: Final = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1
_PRINTABLE: Final = re2.compile(rb"[\t\r\n\x20-\x7e]{12}", _OPTIONS)
_PRINTABLE_LONG: Final = re2.compile(rb"[\t\r\n\x20-\x7e]{20,}", _OPTIONS)
"""In pictures and archives chance makes shorter ones, and e-mail addresses of them."""
_BINARY_MIN: Final = 512
"""Shorter than this, the whole is kept, so that one word among a few signs is still seen."""
_UNPRINTABLE: Final = bytes.maketrans(bytes([*range(9), 11, 12, *range(14, 32), *range(127, 256)]), b" " * (9 + 2 + 18 + 129))
_HEX_PAIRS: Final = re.compile(
    rb"(?:(?:0[xX]|\\+x)?[0-9A-Fa-f]{2}(?:[ :-]|, ?)){7,}(?:0[xX]|\\+x)?[0-9A-Fa-f]{2}(?![0-9A-Fa-f])"
)
_ZLIB: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def find_bounds(name: str, data: bytes, end: int, low: int, high: int) -> tuple[int, int]:
    """The run of encoding ``name`` that a prefilter reported at ``end``, within ``data[low:high]``.

    Lines of equal length, and the shorter one after them, are one run (RFC 2045 §6.8).
    """
    alphabet = {"base64": _BASE64, "base32": _BASE32, "hex": _HEX}[name]
    stop = min(end, high)
    if stop > low and data[stop - 1] not in alphabet:
        stop -= 1
    before = data[low:stop]
    if name == "hex" and before[-3:].strip(_HEX):
        start = low + len(before.rstrip(_HEX_LIST))
        pairs = _HEX_PAIRS.search(data, start, min(high, start + HEX_PAIRS_BYTES_MAX))
        return pairs.span() if pairs else (stop, stop)
    start = low + len(before.rstrip(alphabet))
    if name == "hex":
        return start, stop
    length = stop - start
    while name == "base64" and length >= _LINE_MIN and (line := _LINE.match(data, stop, high)) and len(line[1]) <= length:
        stop = line.end()
        if len(line[1]) < length or line[1].endswith(b"="):
            break
    while stop < high and data[stop] == 0x3D:
        stop += 1
    return start, stop


def decode(name: str, run: bytes, bytes_max: int) -> Iterator[tuple[str, bytes, int, bool]]:
    """What ``run`` may decode to: the encodings (``base64>gzip``), the text, how many bytes it grew to, and whether it was cut
    at ``bytes_max``."""
    for raw in _raw(name, run):
        label, inside, is_cut = _inflate(name, raw, bytes_max)
        text = _as_text(inside)
        yield label, text, len(text) if inside is raw else max(len(text), len(inside)), is_cut


def _raw(name: str, run: bytes) -> Iterator[bytes]:
    if name == "hex":
        digits = run.replace(b"0x", b"").replace(b"0X", b"").translate(None, b" :,-xX\\")
        for shift in (0, 1):
            part = digits[shift:]
            raw = binascii.unhexlify(part[: len(part) // 2 * 2])
            if _is_telling(raw):
                yield raw
        return
    if name == "base32":
        for shift in range(8):
            part = run.rstrip(b"=")[shift:]
            raw = base64.b32decode(part[: len(part) // 8 * 8] + _padded_32(part[len(part) // 8 * 8 :]))
            if _is_telling(raw):
                yield raw
        return
    lines = _LINE_END.split(run)
    # A last, shorter line may be a word that follows, so that the text is read without it too.
    ends = (None, -1) if len(lines) > 1 and len(lines[-1]) < len(lines[0]) else (None,)
    for end in ends:
        digits = b"".join(lines[:end]).rstrip(b"=").translate(_STANDARD)
        for shift in range(4):
            part = digits[shift:]
            if len(part) % 4 == 1:
                part = part[:-1]
            raw = binascii.a2b_base64(part + b"=" * (-len(part) % 4))
            if shift == 0 and _is_text(raw):
                yield raw
                break
            if _is_telling(raw):
                yield raw


def _padded_32(rest: bytes) -> bytes:
    """The last, incomplete group of base32: cut to a length that encodes whole bytes (RFC 4648 §6)."""
    length = max((each for each in (0, 2, 4, 5, 7) if each <= len(rest)), default=0)
    return rest[:length] + b"=" * (-length % 8)


def _is_telling(raw: bytes) -> bool:
    return raw[:2] == b"\x1f\x8b" or raw[:2] in _ZLIB or _is_utf16(raw) or _printable(raw).search(raw) is not None


def _printable(raw: bytes) -> Any:
    return _PRINTABLE if len(raw) < _BINARY_MIN else _PRINTABLE_LONG


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return raw[:1] != b"\x78" and b"\0" not in raw[:64]


def _is_utf16(raw: bytes) -> bool:
    return raw[:2] in (b"\xff\xfe", b"\xfe\xff") or max(raw[0::2].count(0), raw[1::2].count(0)) > len(raw) // 4


def _inflate(label: str, raw: bytes, bytes_max: int) -> tuple[str, bytes, bool]:
    """``raw`` unpacked where it is gzip (RFC 1952) or zlib (RFC 1950), up to ``bytes_max``; else as it is."""
    if raw[:2] != b"\x1f\x8b" and raw[:2] not in _ZLIB:
        return label, raw, False
    unpacker = zlib.decompressobj(47)
    try:
        text = unpacker.decompress(raw, bytes_max)
    except zlib.error:
        return label, raw, False
    return f"{label}>{'gzip' if raw[0] == 0x1F else 'zlib'}", text, bool(unpacker.unconsumed_tail)


def _as_text(raw: bytes) -> bytes:
    """UTF-8 from whatever it is; of what is no text, the printable stretches."""
    if _is_utf16(raw):
        order = "utf-16-le" if raw[1::2].count(0) >= raw[0::2].count(0) else "utf-16-be"
        return raw.decode(order, "replace").encode("utf-8", "replace")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.translate(_UNPRINTABLE) if len(raw) < _BINARY_MIN else b"\n".join(_PRINTABLE_LONG.findall(raw))
    return raw
