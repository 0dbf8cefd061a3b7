"""What must stand in a text before a group of gates is asked about it.

Hyperscan is fast with few patterns that are alike and slow with many that are not, so that gates stand in groups. Most
groups have a door: a sign, or a pattern that costs less than they do, without which none of them can match. The others are
always asked, and are groups only because they are faster apart.
"""

from dataclasses import dataclass
from typing import Final

GAP: Final = r"(?:[ -]|\xC2\xA0|\xE2\x80[\x80-\x93\xAF])"
"""Between groups of a number: spaces and hyphens, also those that do not break."""
SPACE: Final = r"(?:\xc2\xa0|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xaf]|\xe2\x81\x9f|\xe3\x80\x80|\xe2\x80[\x90-\x95]|\xe2\x88\x92)"
"""Spaces and dashes beyond ASCII."""
_DASH: Final = r"(?:-|\xE2\x80[\x90-\x93])"
SSN: Final = rf"[0-9]{{3}}{_DASH}[0-9]{{2}}{_DASH}[0-9]{{4}}"
"""A social security number of the United States as it is written."""
IPV4: Final = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
"""What is in every address of version 4."""
_DIGITS: Final = (
    SSN,
    r"[0-9]{3}\.[0-9]{3}[-.][0-9Kk]",
    "[0-9]{6}[-+A/][0-9]{3}",
    "[0-9]{3}-[0-9]{3}-[0-9]{3}",
    "[0-9]{4}-[0-9]{5}-",
    "[0-9]{7}-[0-9]",
    "[0-9]{7}(?:-?[A-Z]|<)",
    r"[0-9]{4}\.[0-9]{4}\.",
    r"[0-9]{2}\.[0-9]{2}-[0-9]{3}",
    "[0-9] [0-9]{2} (?:[0-9]{2}|2[AB]) [0-9]{3} ",
    rf"[0-9]{{4}}{GAP}[0-9]{{4}}{GAP}[0-9]{{4}}",
    rf"[0-9]{{4}}{GAP}[0-9]{{6}}{GAP}",
    rf"[0-9]{{4}}{GAP}[0-9]{{3}}{GAP}[0-9]{{3}}",
    rf"[0-9]{{6}}{GAP}[0-9]{{10}}",
    rf"[0-9]{{8}}{GAP}[0-9]",
    IPV4,
    r"[0-9]{6}\([0-9A]",
    "[0-9]{12}(?:[^0-9A-Za-z_]|$)",
    "[0-9]{17}",
    "[A-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
    "P[A-Z][0-9]{4}[A-Z]",
    "[A-Z]{4}[0-9]{6}[HMX]",
    rf"[A-Z]{{2}}{GAP}?[0-9]{{2}}{GAP}?[0-9A-Z]{{4}}{GAP}?[0-9A-Z]{{4}}",
)
"""The shapes that numbers of cards, accounts, people and hosts have, and dates and times have not."""
_FOREIGN: Final = (
    r"[\xcc-\xd5\xd8-\xdb\xe0\xe3-\xed\xf3]",
    r"\xc2\xad",
    r"\xe1[^\xba\xbb]",
    r"\xe2(?:\x80[\x8b-\x8f\xaa-\xae]|\x81[\xa0-\xaf]|\x83[\x90-\xb0]|[\x92\x93])",
    f"{SPACE}[0-9]",
    r"\xef[^\xbf]|\xef\xbf[^\xbd]",
    r"\xf0(?:\x9d|\x9f[\x84\x85])",
)
"""Other alphabets, look-alikes and what is invisible: no Latin letters with accents, no signs of print, hardly a picture."""


@dataclass(frozen=True, slots=True)
class PrefilterGroup:
    """``sign``, one byte, must stand in the text and ``pattern`` (Hyperscan) match it; a door without either is always open.

    Where there is a ``reach``, what is behind matches nowhere but within so many bytes before and after where a match of
    ``pattern`` ends. Behind one that ``is_foreign`` is what no text of ASCII holds.
    """

    name: str
    pattern: str = ""
    sign: bytes = b""
    reach: int = 0
    is_foreign: bool = False


WORDS: Final = PrefilterGroup("words")
"""Most of all there is: what begins with letters that are rare together."""
FIELDS: Final = PrefilterGroup("fields")
COLONS: Final = PrefilterGroup("colons")
DIGITS: Final = PrefilterGroup("digits", "|".join(_DIGITS), reach=100)
CAPITAL_RUN: Final = PrefilterGroup("capital-run", "[0-9A-Z]{16}")
HEX_RUN: Final = PrefilterGroup("hex-run", "[0-9A-Fa-f :-]{23}")
BASE64_RUN: Final = PrefilterGroup("base64-run", "[A-Za-z0-9+/_-]{20}")
ADDRESS: Final = PrefilterGroup("address", sign=b"@")
LOGIN: Final = PrefilterGroup("login", sign=b"@")
"""Apart from addresses, with which together it takes three times as long."""
PLUS: Final = PrefilterGroup("plus", sign=b"+")
PERCENT: Final = PrefilterGroup("percent", sign=b"%")
BACKSLASH: Final = PrefilterGroup("backslash", sign=b"\\")
AMPERSAND: Final = PrefilterGroup("ampersand", sign=b"&")
EQUALS: Final = PrefilterGroup("equals", sign=b"=")
ZERO: Final = PrefilterGroup("zero", sign=b"\0")
FOREIGN: Final = PrefilterGroup("foreign", "|".join(_FOREIGN), is_foreign=True)
PREFILTER_GROUPS: Final = (
    WORDS, FIELDS, COLONS, DIGITS, CAPITAL_RUN, HEX_RUN, BASE64_RUN, ADDRESS, LOGIN, PLUS, PERCENT, BACKSLASH, AMPERSAND,
    EQUALS, ZERO, FOREIGN,
)  # fmt: skip
