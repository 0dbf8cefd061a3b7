"""Words that identify a number beside them: in prose of many languages, in labels, in the keys of records."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from sidecar.detect.kinds import Candidate

GAP_BYTES: Final = 60
"""From the end of a word to the number it speaks of, at most."""

_SHORT: Final = 6
"""Words of fewer letters also stand inside other words (``sin`` in ``using``) and are looked at with their borders."""
_WRITTEN: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "ß": "ss", "œ": "oe"}
_PLAIN: Final = {"ø": "o", "ł": "l", "ı": "i", "đ": "d", "æ": "a"}  # noqa: RUF001 - Turkish
_MARK: Final = re.compile(r"(?:\[(?:pii|secrets)\.|^)[a-z0-9.-]*(?: #[0-9a-f]{4})?\]")
"""What stands in place of a value that was taken out names a kind, and says nothing of the number beside it."""
_OTHER: Final = frozenset(
    """id ids count total hash digest type code at ts time timestamp date version size length len index idx ref amount
    price sum page limit offset verified valid status url uri key token uuid""".split()
)
"""Ends of keys that make them speak of something else: ``phone_verified_at``, ``cpf_hash``."""
_KEY_REST: Final = re.compile(r"[A-Za-z0-9_-]*")
_PART: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_TAKEN: Final = re.compile(r"\d[\d .-]{4,}\d\w*\W[\W\d_]*(?<!\w)([^\W\d_]{2,})(?!\w)")
_AND: Final = frozenset("and or et ou und oder y o e i en of og och ja eller und 和".split())
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_FILLER: Final = frozenset(
    """number numbers no nr num numero número is are the of my his her their your it its was has been with value
    nummer ist lautet mein meine numéro est mon son es mi su il mio numer""".split()
)

_AFTER: Final = re.compile(r"(?:e?s)?(?![a-zà-ÿа-я])")
_AFTER_CAPITALS: Final = re.compile(r"(?:E?S|s)?(?![a-zа-я])(?![A-ZА-Я](?![a-zа-я]))")  # noqa: RUF001 - Cyrillic
"""What may follow a short word: its plural, and no more letters, but another word of a key (``CPFNumber``)."""
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False

FAR: Final = 0.75
SHARED: Final = 0.8
"""How sure a number is whose word stands some words away, or is one of many countries, against one that is labelled."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words as ``prefilter``, a pattern over UTF-8 bytes, and as exact RE2 patterns: ``specific`` to a kind, or ``shared``."""

    prefilter: str
    specific: Any
    shared: Any

    def nearness(self, before: str) -> float:
        """How much the words speak of what comes right after ``before``: 1 as its label, less nearby, 0 not at all."""
        text = _MARK.sub(" ", before).encode("utf-8", "replace")
        sure = _nearness(self.specific, text)
        return sure if sure == 1 or self.shared is None else max(sure, SHARED * _nearness(self.shared, text))

    def ends(self, before: str) -> bool:
        """Whether one of the words stands right at the end of ``before``, with a sign that joins it to a value."""
        last = before[-20:-1].encode("utf-8", "replace")
        return _last_end(self.specific, last) == len(last)


def _nearness(pattern: Any, text: bytes) -> float:
    end = _last_end(pattern, text)
    if end < 0 or len(text) - end > GAP_BYTES:
        return 0
    gap = text[end:].decode("utf-8", "replace")
    rest = _KEY_REST.match(gap)
    if rest and _OTHER & {part.lower() for part in _PART.findall(rest[0])}:
        return 0
    if any(found[1].lower() not in _AND for found in _TAKEN.finditer(gap)):
        return 0
    strange = [word for word in _WORD.findall(gap) if word.lower() not in _FILLER]
    return 1 if len(strange) <= 1 and "\n\n" not in gap else FAR


def _last_end(pattern: Any, text: bytes) -> int:
    """Where the last of the words in ``text`` ends; -1 when there is none."""
    end, at = -1, 0
    while found := pattern.search(text, at):
        at = found.end()
        word = found[0].decode("utf-8", "replace").strip("_\\")
        border = _AFTER_CAPITALS if word.isupper() else _AFTER
        if len(word) >= _SHORT or border.match(text[at : at + 8].decode("utf-8", "replace")):
            end = at
    return end


def words(spoken: str) -> Words:
    """The words and phrases separated by commas in ``spoken``, in small letters and with their accents.

    They are found in capitals too, without accents, and joined as keys join them (``tax_file``, ``taxFile``). Those after
    a bar are shared with other kinds of numbers (``national id``) and make less sure.
    """
    specific, _, shared = (_phrases(part) for part in spoken.partition("|"))
    return Words(
        f"(?:{'|'.join(_loose(phrase) for phrase in (*specific, *shared))})",
        _compiled(specific),
        _compiled(shared) if shared else None,
    )


def _phrases(part: str) -> list[str]:
    return [phrase.strip() for phrase in part.split(",") if phrase.strip("| ")]


def near(candidate: Candidate, about: Words) -> float:
    """``about.nearness`` of what stands before a candidate."""
    return about.nearness(candidate.before)


def _is_short(phrase: str) -> bool:
    return len(phrase) < _SHORT and ord(phrase[0]) < 0x900


def _loose(phrase: str) -> str:
    """For bytes: short words begin where no letter or digit stands before, or as camel case begins them."""
    if not _is_short(phrase):
        return f"(?i:{_spelled(phrase)})"
    forms = "|".join(dict.fromkeys(_spelled(form) for form in (phrase, phrase.upper(), phrase.capitalize())))
    start = rf"(?:(?:^|[^0-9A-Za-z]|\\[nrt])(?:{forms})|[a-z]{_spelled(phrase.capitalize())})"
    return start + "(?:[^a-rt-z]|s[^a-z])"


def _exact(phrase: str) -> str:
    """For UTF-8: short words with what may stand before them; what may stand after is looked at where one was found.

    RE2 has no look around, and slows down a hundredfold where it has to tell where groups begin.
    """
    if not _is_short(phrase):
        return f"(?i:{_spelled(phrase)})"
    forms = "|".join(dict.fromkeys(_spelled(form) for form in (phrase, phrase.upper(), phrase.capitalize())))
    start = r"(?:\b|_|\\[nrt])" if phrase[0].isascii() else r"(?:^|[^\pL\pN])"
    return rf"{start}(?:{forms})|[a-z]{_spelled(phrase.capitalize())}"


def _compiled(phrases: Sequence[str]) -> Any:
    """The longer first: RE2 takes the first that fits."""
    return re2.compile("|".join(_exact(each) for each in sorted(phrases, key=len, reverse=True)).encode(), _OPTIONS)


def _spelled(phrase: str) -> str:
    return "".join(map(_letter, phrase))


def _letter(char: str) -> str:
    """One letter with the ways to write it; a byte pattern folds the case of none but ASCII."""
    if char == " ":
        return "[ _-]?"
    if char.isascii():
        return re.escape(char)
    forms: Sequence[str] = [char, char.lower(), char.upper()]
    if ord(char) < 0x250:
        small = char.lower()
        forms = [*forms, _PLAIN.get(small, unicodedata.normalize("NFD", small)[0]), _WRITTEN.get(small, char)]
    return f"(?:{'|'.join(dict.fromkeys(form for form in forms if form))})"
