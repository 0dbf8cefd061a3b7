"""The file of a list: keyed hashes of its values, sorted, after a header that says from what and how they were made."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from sidecar.detect.custom.exact_form import ValueForm
from sidecar.limits import EXACT_WORDS_MAX

VERSION: Final = 1
"""Of the file and of the form together: values are compared in one form only."""
HEADER_BYTES: Final = 2_048
DIGEST_BYTES: Final = 10
"""80 bits: of a list of ten million values, a billion looked-up strangers give a false match with a chance of 1 in 10^8."""
HEAD_BYTES: Final = 5
_KEY_ID: Final = b"sidecar exact list"


def digest(key: bytes, made: ValueForm) -> bytes:
    """The keyed hash of a value (HMAC-SHA-256, RFC 2104, its first ``DIGEST_BYTES``)."""
    return hmac.digest(key, b"value\0" + made.text.encode("utf-8", "surrogatepass"), "sha256")[:DIGEST_BYTES]


def head_digest(key: bytes, word: str) -> bytes:
    """The keyed hash of a first word, by which almost all other text is passed over."""
    return hmac.digest(key, b"head\0" + word.encode("utf-8", "surrogatepass"), "sha256")[:HEAD_BYTES]


def key_id(key: bytes) -> str:
    """Identifies a key, to detect a wrong one: 16 hex digits from which the key cannot be derived."""
    return hmac.digest(key, _KEY_ID, "sha256").hex()[:16]


def key_of(text: str) -> bytes:
    """The key as bytes, from any text that a user gave."""
    return hashlib.sha256(b"sidecar exact key\0" + text.strip().encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a list. ``words`` are the numbers of words of its values, ``codes`` the lengths of its codes.

    ``is_digits``: all codes are digits alone.
    """

    column: str
    count: int
    heads: int
    words: tuple[int, ...]
    codes: tuple[int, ...]
    is_digits: bool
    key: str
    sha256: str

    def dump(self) -> bytes:
        """The first ``HEADER_BYTES`` of a file: JSON, blanks, a line feed."""
        said = {
            "format": "sidecar-exact",
            "version": VERSION,
            "normalisation": "words, NFKC, casefold",
            "column": self.column,
            "count": self.count,
            "heads": self.heads,
            "words": self.words,
            "codes": self.codes,
            "digits": self.is_digits,
            "digest": f"HMAC-SHA-256/{8 * DIGEST_BYTES}",
            "key": self.key,
            "sha256": self.sha256,
        }
        return json.dumps(said).encode().ljust(HEADER_BYTES - 1) + b"\n"


class Damaged(ValueError):
    """A file is not a list, or was changed after it was written. The text says what is wrong."""


def parse_list(content: bytes) -> tuple[Header, bytes]:
    """Parse a file's content into header and hashes.

    Raises:
        Damaged: it is not a list, has another version, or was cut or changed.
    """
    try:
        said = json.loads(content[:HEADER_BYTES])
        version = said["version"] if said["format"] == "sidecar-exact" else None
    except (ValueError, TypeError, KeyError):
        version = None
    if version is None:
        raise Damaged("is not a list made by 'sidecar exact build'; build it from the CSV file")
    if version != VERSION:
        raise Damaged(f"has version {version!r}, this program reads {VERSION}; build it again from the CSV file")
    body = content[HEADER_BYTES:]
    try:
        header = _header(said)
    except (KeyError, TypeError, ValueError):
        raise Damaged("has a damaged head; build it again from the CSV file") from None
    is_whole = len(body) == header.count * DIGEST_BYTES + header.heads * HEAD_BYTES
    if not is_whole or not hmac.compare_digest(hashlib.sha256(body).hexdigest(), header.sha256):
        raise Damaged("is damaged: it was cut or changed after it was written; build it again, or copy it again")
    return header, body


def _header(said: dict[str, Any]) -> Header:
    words, codes = (tuple(sorted({int(each) for each in said[name]})) for name in ("words", "codes"))
    count, heads = int(said["count"]), int(said["heads"])
    if count < 0 or heads < 0 or any(each > EXACT_WORDS_MAX for each in words):
        raise ValueError("out of range")
    return Header(str(said["column"]), count, heads, words, codes, bool(said["digits"]), str(said["key"]), str(said["sha256"]))
