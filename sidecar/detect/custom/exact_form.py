"""The normal form in which values of lists are compared.

The form is made of *words*: runs of letters, digits and their marks, each in compatibility form (Unicode NFKC) and without
case; every other sign only separates them. In scripts without spaces each character is a word. A value in which every word
has a digit or at most four letters, and one a digit, is a *code* and is compared without separators, however it is grouped.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.limits import EXACT_CHARS_MAX, EXACT_WORDS_MAX

SPACELESS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3105-\u312f"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Kana, Bopomofo, Han, and Hangul, whose particles cling to a name."""
MARKS: Final = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0981-\u0d83"
_WORD: Final = re.compile(rf"[{SPACELESS}]|(?:[^\W_{SPACELESS}]+|[{MARKS}]+)+")
_PLAIN_WORD: Final = re.compile(r"[^\W_]+")
_ASCII_WORD: Final = re.compile("[0-9A-Za-z]+")
_SPECIAL: Final = re.compile(f"[{SPACELESS}{MARKS}]")
_ASCII_FOLDED: Final = bytes(ord(chr(code).lower()) if chr(code).isalnum() and code < 128 else 0x20 for code in range(256))
DIGIT: Final = re.compile(r"\d")
_SPACELESS: Final = re.compile(f"[{SPACELESS}]")
GAP_MAX: Final = 16
"""Characters between two words of one value: enough for a table's rule and its spaces."""
CODE_WORDS_MAX: Final = 12
_CODE_CHARS_MIN: Final = 6
_WORDS_CHARS_MIN: Final = 4
_CODE_CHARS_MAX: Final = 40

LEAF_END: Final = "\x1e"
"""Stands between two leaves of a message in a text given to ``Table.find``: no value reaches from one into the next."""


def _run(letter: str, sign: str, gap: str) -> re.Pattern[str]:
    """Words of codes that stand close together on one line: each with a digit, or of at most four letters."""
    word = rf"(?:(?:{letter})*\d{sign}*|(?:{letter}){{1,4}})(?!{sign})"
    return re.compile(rf"(?<!{sign}){word}(?:{gap}{{1,3}}{word})*")


_ASCII_RUN: Final = _run("[A-Za-z]", "[0-9A-Za-z]", r"[^0-9A-Za-z\n\x1e]")
_ASCII_DIGITS: Final = re.compile(r"[0-9]+(?:[^0-9A-Za-z\n\x1e]{1,3}[0-9]+)*(?![0-9A-Za-z])")
_DIGITS: Final = re.compile(rf"\d+(?:(?:[\W_](?<![\n\x1e])){{1,3}}\d+)*(?![^\W_{SPACELESS}])")
"""The same of digits alone. What clings to the first of them is not looked at, because that would take ten times as long."""
_PLAIN_RUN: Final = _run(r"[^\W\d_]", r"[^\W_]", r"(?:[\W_](?<![\n\x1e]))")
_RUN: Final = _run(
    rf"[^\W\d_{SPACELESS}{MARKS}][{MARKS}]*", rf"(?:[^\W_{SPACELESS}]|[{MARKS}])", rf"(?:[\W_](?<![\n\x1e{MARKS}]))"
)


@dataclass(frozen=True, slots=True)
class ValueForm:
    """A value as it is compared: its words with one space between two, or a code without any."""

    text: str
    words: int
    is_code: bool

    @property
    def head(self) -> str:
        """The first word."""
        return self.text.partition(" ")[0]


def normalise(value: str) -> ValueForm | None:
    """The normal form of ``value``; None where it has too few letters and digits to be distinctive, or too many.

    Fewer than four letters (two in scripts without spaces), six letters and digits of a code; more than
    ``EXACT_WORDS_MAX`` words.
    """
    if len(value) > 4 * EXACT_CHARS_MAX:
        return None
    written = patterns(value)[0].findall(value)
    words = [fold(word) for word in written]
    length = sum(map(len, words))
    if _is_code(written):
        return ValueForm("".join(words), len(words), True) if length >= _CODE_CHARS_MIN else None
    least = 2 if _SPACELESS.search(value) else _WORDS_CHARS_MIN
    is_fit = least <= length <= EXACT_CHARS_MAX and len(words) <= EXACT_WORDS_MAX
    return ValueForm(" ".join(words), len(words), False) if is_fit else None


def patterns(text: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds the words of ``text``, and the runs of words that codes are made of.

    Where a quicker pattern is taken, it finds the same: the signs by which they differ are not in the text.
    """
    if text.isascii():
        return _ASCII_WORD, _ASCII_RUN
    return (_WORD, _RUN) if _SPECIAL.search(text) else (_PLAIN_WORD, _PLAIN_RUN)


def digit_runs(text: str) -> re.Pattern[str]:
    """What finds the runs of words that codes of digits alone are made of; the first word may be the end of a longer one."""
    return _ASCII_DIGITS if text.isascii() else _DIGITS


def unique_words(text: str) -> set[str]:
    """The words of ``text``, folded, each once; those of ASCII without looking for each."""
    if text.isascii():
        return {word.decode() for word in set(text.encode().translate(_ASCII_FOLDED).split())}
    return {fold(word) for word in set(patterns(text)[0].findall(text))}


def fold(word: str) -> str:
    """A word without case, in compatibility form, with digits of any script as those of ASCII."""
    if word.isascii():
        return word.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in folded)


def _is_code(words: Sequence[str]) -> bool:
    """Judged by words as they are written, because that is how codes are found."""
    written = " ".join(words)
    is_short = len(words) <= CODE_WORDS_MAX and len(written) - len(words) < _CODE_CHARS_MAX
    run = patterns(written)[1]
    return is_short and run.fullmatch(written) is not None and DIGIT.search(written) is not None
