"""Decodes characters that are written in another way: URL escapes, escapes of programs, entities, look-alikes.

Every function takes a stretch of UTF-8 and yields ``(start, end, letters)`` for each place that decodes to something else.
"""

# ruff: noqa: RUF001 - letters that look alike are what the table below is about
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

Change = tuple[int, int, bytes]

_URL: Final = re.compile(rb"%(?:25)*([0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(
    rb"\\+(?:(?:u\{0*([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|U00([0-9A-Fa-f]{6}))"
    rb"|0000([2-7][0-9A-Fa-f])|([01][0-7]{2})|([/\"'nrt])|([2-7][0-9A-Fa-f]) ?)"
)
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ENTITY: Final = re.compile(rb"&(?:amp;)*(#[xX]?[0-9A-Fa-f]{1,8};?|[A-Za-z]{2,31};)")
_QUOTED: Final = re.compile(rb"=(?:([0-9A-F]{2})|\r?\n)")
_FOREIGN: Final = re.compile(rb"\x00|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_TAGS: Final = re.compile(rb"(?:\xf3\xa0[\x80\x81][\x80-\xbf]){8,}")
_SELECTORS: Final = re.compile(rb"(?:\xef\xb8[\x80-\x8f]|\xf3\xa0[\x84-\x87][\x80-\xbf]){8,}")

_ALIKE: Final[dict[str, str]] = {
    foreign: latin
    for latins, foreigns in (
        ("ABCEHIJKMNOPSTXYZ", "АВСЕНІЈКМΝОРЅТХУΖ"),
        ("ABEHIKMNOPTXYZ", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖ"),
        ("acdeghijlnopqsuvwxy", "асԁеɡһіјӏոорԛѕսѵԝху"),
        ("abiknopuvxy", "αЬικηορυνχγ"),
        ("DFGLQRUVW", "ᎠᖴᏀᏞԚᎡՍᏙԜ"),
        ("CSZ", "ϹՏᏃ"),
        ("bfkmrtz", "Ƅƒкмгтᴢ"),
        ("3456", "ЗᏎƽб"),
        ("-----", "‐‑‒–−"),
        ("h", "հ"),
        ("g", "ց"),
        ("o", "օ"),
        ("YOJ", "ҮՕЈ"),
    )
    for latin, foreign in zip(latins, foreigns, strict=True)
}
"""What readers, people and models, take for a Latin letter or digit: the letters of Unicode's confusables (UTS #39) that
are letters of living alphabets. One foreign letter stands for one Latin one."""


def _decode_url(part: bytes) -> Iterator[Change]:
    for found in _URL.finditer(part):
        yield found.start(), found.end(), bytes((int(found[1], 16),))


def _decode_escape(part: bytes) -> Iterator[Change]:
    for found in _ESCAPE.finditer(part):
        digits = found[1] or found[2] or found[3] or found[4] or found[5] or found[8]
        if digits:
            code = int(digits, 16)
            letter = chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else b"?"
        elif found[6]:
            letter = bytes((int(found[6], 8),))
        else:
            letter = _PLAIN.get(found[7], found[7])
        yield found.start(), found.end(), letter


def _decode_entity(part: bytes) -> Iterator[Change]:
    for found in _ENTITY.finditer(part):
        entity = "&" + found[1].decode()
        letter = html.unescape(entity)
        if letter != entity:
            yield found.start(), found.end(), letter.encode("utf-8", "replace")


def _decode_quoted(part: bytes) -> Iterator[Change]:
    """Quoted-printable (RFC 2045 §6.7), and the Q encoding of a mail's head (RFC 2047 §4.2)."""
    for found in _QUOTED.finditer(part):
        yield found.start(), found.end(), bytes((int(found[1], 16),)) if found[1] else b""


def _decode_unicode(part: bytes) -> Iterator[Change]:
    for found in _FOREIGN.finditer(part):
        said = found[0].decode("utf-8", "replace")
        # Half a surrogate pair, and what only looks like UTF-8, is no letter.
        letter = _folded(said) if len(said) == 1 else None
        if letter is not None:
            yield found.start(), found.end(), letter


def _folded(letter: str) -> bytes | None:
    """The ASCII that ``letter`` is read as: nothing for what is not seen, ``None`` for what is read as itself."""
    if letter in _ALIKE:
        return _ALIKE[letter].encode()
    code = ord(letter)
    category = unicodedata.category(letter)
    if category in ("Cf", "Mn", "Me") or code in (0, 0x115F, 0x1160, 0x3164, 0xFFA0) or 0xFE00 <= code <= 0xFE0F:
        return b""
    if category == "Zs":
        return b" "
    decimal = unicodedata.decimal(letter, None)
    folded = str(decimal) if decimal is not None else unicodedata.normalize("NFKD", letter)
    plain = "".join(each for each in folded if not unicodedata.combining(each))
    plain = "".join(_ALIKE.get(each, each) for each in plain)
    return plain.encode() if plain.isascii() and plain else None


def _decode_tags(part: bytes) -> Iterator[Change]:
    """Tag characters (U+E0000 block) as the ASCII they copy; nobody sees them, models read them."""
    for found in _TAGS.finditer(part):
        said = "".join(chr(ord(each) & 0x7F) for each in found[0].decode("utf-8", "replace"))
        yield found.start(), found.end(), said.encode()


def _decode_selectors(part: bytes) -> Iterator[Change]:
    """A row of variation selectors as bytes: 16 of the one block, 240 of the other."""
    for found in _SELECTORS.finditer(part):
        codes = [ord(each) for each in found[0].decode("utf-8", "replace")]
        said = bytes((code - 0xFE00 if code < 0x10000 else code - 0xE0100 + 16) & 0xFF for code in codes)
        yield found.start(), found.end(), said.decode("utf-8", "replace").encode()


DECODERS: Final[dict[str, Callable[[bytes], Iterator[Change]]]] = {
    "url": _decode_url,
    "escape": _decode_escape,
    "entity": _decode_entity,
    "quoted-printable": _decode_quoted,
    "unicode": _decode_unicode,
    "tags": _decode_tags,
    "selectors": _decode_selectors,
}
