"""Groups of prefilters, and the condition under which each group is asked.

Hyperscan is fast with few patterns that are alike and slow with many that are not, so prefilters are compiled in groups. Most
groups have a condition: a byte, or a pattern that costs less than the group does, without which none of its prefilters can
match. The others are always asked, and are groups only because they are faster apart.
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
"""Other alphabets, look-alikes and invisible characters: not accented Latin letters or typographic signs, hardly an emoji."""


@dataclass(frozen=True, slots=True)
class PrefilterGroup:
    """Its condition: ``byte`` stands in the text, and ``pattern`` (Hyperscan) matches it. Without either it is always asked.

    Where there is a ``reach``, its prefilters match only within so many bytes before and after the end of a match of
    ``pattern``. One that ``is_foreign`` has prefilters that match no ASCII text.
    """

    name: str
    pattern: str = ""
    byte: bytes = b""
    reach: int = 0
    is_foreign: bool = False


WORDS: Final = PrefilterGroup("words")
"""Most prefilters: they begin with letters that are rare together."""
FIELDS: Final = PrefilterGroup("fields")
COLONS: Final = PrefilterGroup("colons")
DIGITS: Final = PrefilterGroup("digits", "|".join(_DIGITS), reach=100)
CAPITAL_RUN: Final = PrefilterGroup("capital-run", "[0-9A-Z]{16}")
HEX_RUN: Final = PrefilterGroup("hex-run", "[0-9A-Fa-f :-]{23}")
BASE64_RUN: Final = PrefilterGroup("base64-run", "[A-Za-z0-9+/_-]{20}")
ADDRESS: Final = PrefilterGroup("address", byte=b"@")
LOGIN: Final = PrefilterGroup("login", byte=b"@")
"""Apart from ``ADDRESS``: both in one group take three times as long."""
PLUS: Final = PrefilterGroup("plus", byte=b"+")
PERCENT: Final = PrefilterGroup("percent", byte=b"%")
BACKSLASH: Final = PrefilterGroup("backslash", byte=b"\\")
AMPERSAND: Final = PrefilterGroup("ampersand", byte=b"&")
EQUALS: Final = PrefilterGroup("equals", byte=b"=")
ZERO: Final = PrefilterGroup("zero", byte=b"\0")
FOREIGN: Final = PrefilterGroup("foreign", "|".join(_FOREIGN), is_foreign=True)
PREFILTER_GROUPS: Final = (
    WORDS, FIELDS, COLONS, DIGITS, CAPITAL_RUN, HEX_RUN, BASE64_RUN, ADDRESS, LOGIN, PLUS, PERCENT, BACKSLASH, AMPERSAND,
    EQUALS, ZERO, FOREIGN,
)  # fmt: skip
