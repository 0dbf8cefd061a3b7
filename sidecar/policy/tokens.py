"""The form of a token: what stands in place of a value and turns back into it, and how one is recognised.

``tkn-email-<20 letters and digits>``: the kind for whoever reads it, 70 bits of a keyed hash of session and value, and 30 bits
by which this installation knows its own. It holds nothing that JSON, XML, CSV or an address would escape, so that it survives
being quoted; an e-mail address stays one (``…@token.invalid``, a name nobody can have: RFC 2606), and where a schema asks for
a host or an address of the web there is a form of each. A number's token is a number of 15 digits.
"""

import base64
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sidecar import limits

_ID_CHARS: Final = 14
_CHECK_CHARS: Final = 6
_LABEL_CHARS_MAX: Final = 16
"""Shorter than id and check together, so that no label can be taken for them."""

_HOST: Final = ".token.invalid"
_MAILBOX: Final = "@token.invalid"
_CORE: Final = r"tkn-(?:(?!tkn)[a-z0-9-]){1,16}?-([a-z2-7]{20})"
_TOKEN: Final = re.compile(rf"{_CORE}(?:[@.]token\.invalid)?", re.IGNORECASE | re.ASCII)
_ADDRESS: Final = re.compile(rf"https://{_CORE}\.token\.invalid/?", re.IGNORECASE | re.ASCII)
_SCHEME: Final = "https://"
_HEAD: Final = re.compile("tkn-", re.IGNORECASE | re.ASCII)
_HEAD_IN: Final = re.compile(rb"(?i)tkn-")
_HEAD_OR_NUMBER_IN: Final = re.compile(rb"(?i)tkn-|9[0-9]{14}")
_NUMBER: Final = re.compile(r"(?<![0-9])9[0-9]{14}(?![0-9])")
_NUMBER_IN: Final = re.compile(rb"9[0-9]{14}")
_NOT_IN_LABELS: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Where in a text a token stands, and its id: the hash, or all of a number."""

    start: int
    end: int
    id: str


class TokenForm:
    """Makes tokens and knows them again; ``key`` is the installation's."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def id(self, session: str, value: str) -> str:
        """What is the same for the same value in the same session, and says nothing of either."""
        return self._hash(b"token\0", f"{session}\0{value}")[:_ID_CHARS]

    def number(self, session: str, value: str) -> int:
        """The token of a value that is a number: 15 digits, which every client reads exactly (RFC 8259 §6)."""
        digest = self._digest(b"token-number\0", f"{session}\0{value}")
        return 9 * 10**14 + int.from_bytes(digest[:16]) % 10**14

    def core(self, token_id: str, kind: str) -> str:
        """The token as it stands in text."""
        label = _NOT_IN_LABELS.sub("-", kind.rpartition(".")[2].lower()).replace("tkn", "tk")
        label = label[:_LABEL_CHARS_MAX].strip("-") or "value"
        return f"tkn-{label}-{token_id}{self._check(token_id)}"

    def tokens(self, text: str) -> Iterator[TokenSpan]:
        """The tokens of this installation in a text, of whichever session, in order."""
        for head in islice(_HEAD.finditer(text), limits.TOKEN_HEADS_MAX):
            at = head.start()
            found = _ADDRESS.match(text, at - len(_SCHEME)) if at >= len(_SCHEME) else None
            found = found or _TOKEN.match(text, at)
            id_and_check = found[1].lower() if found is not None else ""
            if found is not None and id_and_check[_ID_CHARS:] == self._check(id_and_check[:_ID_CHARS]):
                yield TokenSpan(found.start(), found.end(), id_and_check[:_ID_CHARS])

    def _check(self, token_id: str) -> str:
        return self._hash(b"token-check\0", token_id)[:_CHECK_CHARS]

    def _hash(self, purpose: bytes, text: str) -> str:
        return base64.b32encode(self._digest(purpose, text)).decode().lower()

    def _digest(self, purpose: bytes, text: str) -> bytes:
        return hmac.digest(self._key, purpose + text.encode("utf-8", "surrogatepass"), "sha256")


def in_text(core: str, kind: str) -> str:
    """A token as it stands in text where a value of this kind stood."""
    return core + _MAILBOX if kind.endswith(".email") else core


def other_forms(core: str) -> tuple[str, ...]:
    """The same token as a schema may ask for it: an e-mail address, a host, an address of the web."""
    return (core, core + _MAILBOX, core + _HOST, f"https://{core}{_HOST}/")


def numbers(text: str) -> Iterator[TokenSpan]:
    """What has the form of a number's token; whether it is one, only the memory knows."""
    places = (TokenSpan(found.start(), found.end(), found[0]) for found in _NUMBER.finditer(text))
    return islice(places, limits.TOKEN_HEADS_MAX)


def may_hold(data: bytes, has_any: bool, has_numbers: bool) -> bool:
    """Whether a look at the texts in ``data`` is worth it, in a session that has tokens, or ones that are numbers, or none."""
    if b"tkn-" in data or (has_any and b"TKN-" in data):
        return True
    return has_numbers and _NUMBER_IN.search(data) is not None


def heads(data: bytes, has_numbers: bool) -> Iterator[int]:
    """The first offsets in ``data`` at which tokens may begin."""
    pattern = _HEAD_OR_NUMBER_IN if has_numbers else _HEAD_IN
    return (found.start() for found in islice(pattern.finditer(data), limits.TOKEN_HEADS_MAX))
