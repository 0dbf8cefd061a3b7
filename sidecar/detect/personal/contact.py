"""Where people can be reached: e-mail addresses, and the addresses of their machines."""

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from sidecar.detect.kinds import ESCAPED, Candidate, Check, Detector, before
from sidecar.detect.prefilter_groups import ADDRESS, COLONS, DIGITS, IPV4, WORDS

_NO_DOMAIN: Final = frozenset(
    """png jpg jpeg gif svg webp ico css js mjs ts tsx jsx vue rb go java kt html htm json yaml yml toml xml txt
    csv log pdf zip gz tar dll exe lib local localdomain internal lan""".split()
)
"""What stands after the last dot of file names and of hosts that nobody gets mail at."""
_WIDE: Final = "\u2e80"
"""Scripts from here on are written without spaces, so that a sentence runs into an address."""

_IN_URL: Final = re.compile(r"://[^\s/]*\Z")
_IP_GOES_ON: Final = re.compile(r"[._]?\d|\.\w|[-_]?[A-Za-z_]|::|:[0-9A-Fa-f]*[G-Zg-z:]")
_IP_IS_PIECE: Final = re.compile(
    r"(?i)(?:[0-9a-z_][./:@_]|[a-z_]-|(?:version|ver|release|build|oid)\W{0,4}|==|[<>]=\s?|[~^]\s?)\Z"
)
_IP_IS_HOST: Final = re.compile(
    r"(?i)(?:://|[a-z]@|[^a-z]ip[:/_-]|(?:addr|address|host|from|client|peer|remote|src|dst|dest|source"
    r"|server|gateway|dns|ipv[46]|inet6?|listen|bind|node|endpoint|for)[:/]|\\[nrt])\Z"
)


def _is_email(candidate: Candidate) -> bool:
    """Not a user at a code host, not the login of a URL, not a file name with an @ in it."""
    name, _, domain = candidate.value.rpartition("@")
    is_file = domain.rpartition(".")[2].lower() in _NO_DOMAIN
    if name == "git" or name.endswith(".") or ".." in candidate.value or is_file:
        return False
    before = candidate.before
    return "://" not in before or _IN_URL.search(before) is None


def _is_wide_email(candidate: Candidate) -> bool:
    """Letters, digits and the signs of addresses only; no script without spaces mixed with Latin in one part."""
    if candidate.value.isascii() or not _is_email(candidate):
        return False
    for part in re.split(r"[@.]", candidate.value):
        if any(not (char.isalnum() or char in "_%+'-" or unicodedata.category(char)[0] == "M") for char in part):
            return False
        if any(char >= _WIDE for char in part) and any(char.isascii() and char.isalpha() for char in part):
            return False
    return True


def _network(candidate: Candidate) -> str:
    """Where an address is; nothing for a version, a part of a longer number, and of no host at all."""
    value, stands = candidate.value, candidate.before[-16:]
    if _IP_GOES_ON.match(candidate.after) or (_IP_IS_PIECE.search(stands) and not _IP_IS_HOST.search(stands)):
        return ""
    if ":" in value and not any(map(str.isdigit, value)):
        return ""
    return _v6_network(value) if ":" in value else _v4_network(value)


def _v4_network(value: str) -> str:
    """``public``, ``private`` for all that is not routed on the internet (RFC 6890), nothing for one's own host and masks."""
    first, second, third, _ = map(int, value.split("."))
    if first in (0, 127, 255):
        return ""
    is_private = (
        first == 10
        or first >= 224
        or (first == 172 and 16 <= second <= 31)
        or (first == 192 and (second == 168 or (second == 0 and third in (0, 2))))
        or (first == 169 and second == 254)
        or (first == 100 and 64 <= second <= 127)
        or (first == 198 and (second in (18, 19) or (second == 51 and third == 100)))
        or (first == 203 and (second, third) == (0, 113))
    )
    return "private" if is_private else "public"


def _v6_network(value: str) -> str:
    try:
        address = ip_address(value)
    except ValueError:
        return ""
    if address.is_loopback or address.is_unspecified:
        return ""
    return "private" if address.is_private or address.is_link_local or address.is_multicast else "public"


def _is_ip(candidate: Candidate) -> bool:
    return _network(candidate) == "public"


def _is_private_ip(candidate: Candidate) -> bool:
    return _network(candidate) == "private"


_LETTER: Final = r"[\xC3-\xD4][\x80-\xBF]"
"""Latin with accents, Greek, Cyrillic, Armenian in UTF-8."""
_EMAIL: Final = (
    rf"(?:{ESCAPED})?"
    rf"((?:[0-9A-Za-z]|{_LETTER})(?:[0-9A-Za-z._%+'-]|{_LETTER}){{0,63}}"
    rf"@(?:(?:[0-9A-Za-z-]|{_LETTER}){{1,63}}\.){{1,8}}(?:xn--[0-9a-z-]{{2,40}}|[A-Za-z]{{2,24}}|(?:{_LETTER}){{2,24}}))"
)
_EMAIL_PREFILTER: Final = (
    r"[0-9A-Za-z._%+'\x80-\xBF-]@[0-9A-Za-z\x80-\xD4-]{1,80}\.(?:[0-9A-Za-z\x80-\xD4-]{1,63}\.){0,7}[A-Za-z\xC3-\xD4]"
)
_WIDE_LETTER: Final = r"(?:[\xE0\xE1\xE4-\xED][\x80-\xBF]{2}|\xE3[\x81-\xBF][\x80-\xBF])"
"""Scripts of Asia in UTF-8, without the signs between them."""
_WIDE_EMAIL: Final = (
    rf"{before('0-9A-Za-z._%+-')}((?:[0-9A-Za-z]|{_WIDE_LETTER})(?:[0-9A-Za-z._%+'-]|{_WIDE_LETTER}){{0,63}}"
    rf"@(?:(?:[0-9A-Za-z-]|{_WIDE_LETTER}){{1,40}}\.){{1,8}}(?:xn--[0-9a-z-]{{2,40}}|[A-Za-z]{{2,24}}|(?:{_WIDE_LETTER}){{1,24}}))"
)
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_V4: Final = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_HEXTET: Final = "[0-9A-Fa-f]{1,4}"
_V6_FULL: Final = rf"(?:{_HEXTET}:){{7}}{_HEXTET}"
_V6_FULL_PREFILTER: Final = rf"[0-9A-Fa-f]:{_HEXTET}(?::{_HEXTET}){{4}}:[0-9A-Fa-f]"
_V6_SHORT_PREFILTER: Final = rf"[0-9A-Fa-f]{{4}}(?::{_HEXTET}){{0,6}}::"
_V6_SHORT: Final = rf"{_V6_SHORT_PREFILTER}(?:{_HEXTET}(?::{_HEXTET}){{0,5}})?"


_V4_PREFILTER_PRIVATE: Final = (
    r"(?:10\.[0-9]{1,3}|192\.(?:168|0)|172\.(?:1[6-9]|2[0-9]|3[01])|169\.254|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])"
    r"|198\.(?:1[89]|51)|203\.0|2[2-5][0-9]\.[0-9]{1,3})\.[0-9]{1,3}\.[0-9]"
)
"""The private networks (RFC 1918, 6598, 3927), those for documentation and tests (RFC 5737, 2544), and the reserved."""


def _ips(kind: str, about: str, v4_gate: str, check: Check) -> Iterator[Detector]:
    left, right = before("0-9A-Za-z_:."), "(?:[^0-9A-Za-z:]|:[^0-9A-Fa-f:]|:?$)"
    for form, prefilter, pattern, lead, tail, group in (
        ("4", v4_gate, rf"{before('0-9A-Za-z_.')}({_V4})(?:[^0-9]|$)", 32, 16, DIGITS),
        ("6, in full", _V6_FULL_PREFILTER, f"{left}({_V6_FULL}){right}", 64, 48, COLONS),
        ("6, shortened", _V6_SHORT_PREFILTER, f"{left}({_V6_SHORT}){right}", 64, 48, WORDS),
    ):
        yield Detector(
            kind, f"{about} (version {form})", prefilter, pattern, 0.9, lead=lead, tail=tail, check=check, group=group
        )


DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "pii.email",
        "e-mail address, also with accents, Greek or Cyrillic letters (RFC 6531); not logins of code hosts and URLs",
        prefilter=_EMAIL_PREFILTER,
        pattern=_EMAIL,
        confidence=0.95,
        lead=400,
        check=_is_email,
        group=ADDRESS,
    ),
    Detector(
        "pii.email",
        "e-mail address in scripts that are written without spaces, where signs or spaces set it off",
        prefilter=r"[\xE0-\xED][\x80-\xBF]{2}@[0-9A-Za-z\xE0-\xED]|[0-9A-Za-z]@[\xE0-\xED]",
        pattern=_WIDE_EMAIL,
        confidence=0.96,
        lead=192,
        check=_is_wide_email,
        may_overlap=True,
        group=ADDRESS,
    ),
    *_ips("pii.ip", "address on the internet; meant for counting", IPV4, _is_ip),
    *_ips(
        "pii.private-ip",
        "address of a private, local or reserved network; not of one's own machine",
        _V4_PREFILTER_PRIVATE,
        _is_private_ip,
    ),
)
