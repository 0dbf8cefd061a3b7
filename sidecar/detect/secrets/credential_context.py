"""What the words before a value say of it: the name it stands under, and whether that name opens anything.

Cursors, page tokens, digests, ids of calls and public keys look as random as credentials do; only their names differ.
"""

import hashlib
import html
import itertools
import re
from collections import Counter
from math import log2
from typing import Final

from sidecar.detect.kinds import PLACEHOLDER, Candidate

HARMLESS: Final = re.compile(
    r"(?i)(?:next|prev|page|paging|continuation|sync|[cx]srf|progress|delta|resume|cancel|cancellation|start|skip|special"
    r"|pad|eos|bos|unk|mask|public|publishable|pub|idempot\w*|cache|partition|sort|primary|foreign|object|registry"
    r"|anti.?forgery|authenticity|verification|site|design|routing|row|dedup\w*|translation|i18n|locale|message|group|event|known_?hosts"
    r"|shard|hash|map|dict|cell|lookup|index|unique|natural|surrogate|(?<!bit)bucket|state|change|snapshot|stream|watch"
    r"|workflow|translate)[_.-]?(?:token|key|secret)"
    r"|cursor|hash|digest|checksum|sha_?\d|md5|e_?tag\b|fingerprint|integrity|signature_?(?:v|alg)|thumbprint|nonce"
    r"|tokeniz|tokens\b|token_?(?:type|count|usage|limit|ttl|endpoint|exp)|key_?(?:code|board|down|up|press|word|frame|stroke)"
    r"|(?:key|token|secret|password|credentials?)[_.-]?(?:ids?|name|type|file|path|url|uri|arn|version|ref|length|hint"
    r"|vault\w*|alias|label|size|usage|policy|provider|manager|store\w*|data)\b|(?:^|[_.-])(?:uuid|guid|sha|rev|commit)$"
)
"""Names with key, token or secret in them whose values open nothing."""
CREDENTIAL: Final = re.compile(
    r"(?i)key|token|secret|passw|passphrase|pwd|cred|auth|(?:^|_)pat\b|(?:^|[_.-])api$|login|bearer|dsn"
)
"""Words for what opens something."""
_ID: Final = re.compile(
    r"(?i:(?<!client)(?<!access)[_.-]ids?|(?<![.])\bids?)$|(?<!lient)(?<!ccess)(?<!LIENT)(?<!CCESS)I[dD]s?$"
)
_SIGNS: Final = " \t\r\n\"'`\\:=?!.|(,>-"
_NO_NAME: Final = re.compile(r"[^0-9A-Za-z_.-]+")
_LAST_WORDS: Final = re.compile(r"(?:[0-9A-Za-z_.-]+ )?[0-9A-Za-z_.-]+\Z")
_IS: Final = re.compile(r"(?i)(?:\bis|\bwas|\bto)\Z")
_ESCAPED: Final = re.compile(
    r"%(?:25)*([2-7][0-9A-Fa-f])|\\+(?:u00|x|U000000)([2-7][0-9A-Fa-f])|\\+(0[4-7][0-7])|=3D|&(?:quot|apos|#\d\d|#x2[27]);"
)
_ASCENDING: Final = 10
_PUBLISHED: Final = frozenset(
    """
    0b476bdf9acf 2037abcaffb2 27a9a42931df 281cbc35f681 2cafc0970149 37f8f09bdf12 3b89dcd2f961 3d12d5fd096b
    49f777db995e 4c1bbecaca97 4c98242dcadc 59bdf2cf533b 6ca6473b42d9 85df9d8f9024 8731261cb72d a19f89ab3555
    dc0fcf046c61 df824817ace5 ea9bb1082cf9 eb540d2b6ee2 f2d6ca165150 f56e323494a6 fe686096b498 e4a5542bb7fd
    """.split()
)
"""The first 12 digits of SHA-256 of keys that vendors print themselves: in the sources of Firebase's SDKs for Android, iOS
and the web, and in Stripe's reference."""

_HEX: Final = frozenset("0123456789abcdefABCDEF-")


def _unescaped(found: re.Match[str]) -> str:
    """The character that an escape of a URL, a program, HTML or a mail stands for."""
    if digits := found[1] or found[2]:
        return chr(int(digits, 16))
    return chr(int(found[3], 8)) if found[3] else "=" if found[0] == "=3D" else html.unescape(found[0])


def entropy(text: str) -> float:
    """Shannon's entropy of the characters of ``text``, in bits per character."""
    return -sum(count / len(text) * log2(count / len(text)) for count in Counter(text).values())


def name_of(candidate: Candidate) -> str:
    """The name that a value stands under; empty when there is none, or it says that the value is none to hide.

    A line feed alone joins a key to its value where it is the border of two leaves; within one it is prose.
    """
    text = _ESCAPED.sub(_unescaped, candidate.before)
    stem = text.rstrip(_SIGNS).removesuffix(" string").rstrip(_SIGNS)
    spoken = _IS.sub("", stem).rstrip(_SIGNS)
    *others, name = _NO_NAME.split(spoken)
    if others and name.lower() == "value":
        name = others[-1]
        if HARMLESS.search(name):
            return ""
    is_flag = spoken.endswith(f"--{name.lstrip('-')}") and len(text) > len(stem)
    is_set = spoken != stem or is_flag or any(sign in text[len(stem) :] for sign in ":=>(,|")
    said = _LAST_WORDS.search(spoken)
    is_harmless = HARMLESS.search(said[0].replace(" ", "_") if said else name)
    return name if (is_set or candidate.is_whole) and not is_harmless else ""


def is_credential_of(vendor: re.Pattern[str], candidate: Candidate) -> bool:
    """Whether a value stands under a name for a credential; the vendor's name alone is one only where that is no digest."""
    name = name_of(candidate)
    if not name or _ID.search(name):
        return False
    if CREDENTIAL.search(name):
        return True
    if vendor.search(name) is None:
        return False
    around = candidate.before[: candidate.before.rfind(name)][-48:]
    return CREDENTIAL.search(around) is not None or (vendor.fullmatch(name) is not None and is_mixed(candidate.value))


def is_mixed(value: str) -> bool:
    """Whether a value is drawn from more than digits of one base: it is no digest and no id."""
    return len(value) >= 24 and len(set(value)) >= 14 and not re.fullmatch(r"[0-9a-f-]+|[0-9A-F-]+|[0-9]+", value)


def is_drawn(value: str) -> bool:
    """Whether a value could come from a generator: no placeholder, and neither one word nor a handful of characters."""
    if PLACEHOLDER.search(value):
        return False
    distinct = len(set(value))
    if value.isdigit():
        return distinct >= 5
    has_digits = any(map(str.isdigit, value))
    if _HEX.issuperset(value):
        return has_digits and distinct >= 7
    return distinct >= min(9, len(value) // 2 + 1) and (has_digits or (value != value.lower() and value != value.upper()))


def is_documented(candidate: Candidate) -> bool:
    """Whether a value of a vendor's form looks as documentation writes it: an example, an alphabet, few characters."""
    value = candidate.value
    if re.search(r"(?i)example|sample|dummy|_fake|fake_|foobar|abcdefgh?ij|1234567890.?12345|deadbeefdeadbeef", value):
        return True
    if hashlib.sha256(value.encode()).hexdigest()[:12] in _PUBLISHED or _longest_ascent(value) >= _ASCENDING:
        return True
    if re.search(r"(.)\1{7}", value.lstrip(value[0])):
        return True
    body = value[-64:]
    return len(body) >= 20 and entropy(body) < (2.6 if _HEX.issuperset(body) else 3.0)


def _longest_ascent(text: str) -> int:
    """The longest stretch in which each character follows the one before, as in an alphabet."""
    longest = run = 1
    for last, char in itertools.pairwise(text):
        run = run + 1 if ord(char) == ord(last) + 1 else 1
        longest = max(longest, run)
    return longest
