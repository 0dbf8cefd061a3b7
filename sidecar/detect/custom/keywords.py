"""Words that custom kinds name: as a pattern, whole or part of a longer one, and near to a value."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from sidecar.detect.custom.exact_form import MARKS, SPACELESS
from sidecar.detect.custom.regex_prefilter import RegexPrefilter, build_word_prefilter

_BLANK: Final = r"[\t\n\f\r \x{a0}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]+"
_LETTER: Final = re.compile(rf"[^\W_]|[{MARKS}]")
_SPACELESS: Final = re.compile(f"[{SPACELESS}]")


def prepare_words(words: Sequence[str]) -> tuple[str, tuple[RegexPrefilter, ...]]:
    """A pattern that matches any of ``words`` in any case, with any blanks between their parts, and its prefilters."""
    known = {form.lower() for word in words for form in _forms(" ".join(word.split()))}
    forms = sorted(known, key=lambda each: (-len(each), each))
    parts = (_BLANK.join(map(_quoted, form.split(" "))) for form in forms)
    return "(?i:" + "|".join(parts) + ")", tuple(dict.fromkeys(map(build_word_prefilter, forms)))


def _forms(word: str) -> set[str]:
    """A word as it may be written: composed or not, and with letters whose capitals are others (``ß``, ``SS``)."""
    cases = {word, word.casefold(), word.upper()}
    return {unicodedata.normalize(form, each) for each in cases for form in ("NFC", "NFD")}


def _quoted(word: str) -> str:
    return "".join(sign if sign.isalnum() else f"\\x{{{ord(sign):x}}}" for sign in word)


def is_word(data: bytes, start: int, end: int) -> bool:
    """Whether no letter or digit clings to either edge. Scripts without spaces have no such edges."""
    before, first = _last(data[max(0, start - 4) : start]), _first(data[start : start + 4])
    last, after = _last(data[max(start, end - 4) : end]), _first(data[end : end + 4])
    return not _clings(before, first) and not _clings(last, after)


def _first(part: bytes) -> str:
    return part.decode("utf-8", "ignore")[:1]


def _last(part: bytes) -> str:
    return part.decode("utf-8", "ignore")[-1:]


def _clings(left: str, right: str) -> bool:
    if not left or not right or _SPACELESS.match(left) or _SPACELESS.match(right):
        return False
    return _LETTER.match(left) is not None and _LETTER.match(right) is not None


def is_near(near: Any, data: bytes, start: int, end: int, within: int) -> bool:
    """Whether one of the words stands at most ``within`` characters before or after, as a whole word."""
    reach = 4 * (within + 1)
    before = data[max(0, start - reach) : start].decode("utf-8", "ignore")[-within - 1 :]
    after = data[end : end + reach].decode("utf-8", "ignore")[: within + 1]
    # One character more tells whether the outermost word is whole.
    low = len(before[: len(before) - within].encode()) if len(before) > within else 0
    return _has_word(near, before.encode(), low, 4 * reach) or _has_word(near, after.encode(), 0, len(after[:within].encode()))


def _has_word(near: Any, text: bytes, low: int, high: int) -> bool:
    at = low
    while match := near.search(text, at, high):
        start, end = match.span()
        if is_word(text, start, end):
            return True
        at = start + 1
    return False
