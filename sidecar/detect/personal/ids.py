"""How a national id is distinguished from any other number: its form, its check digits, and the words beside it.

An id whose form is rare (letters in it, or the separators in which its country writes it) stands by itself. One that is
digits only is taken where a word of its country or of English names it, within ``GAP_BYTES`` before it, and not inside a
longer number or id. How often chance gets the check digits right, and how near the word is, goes into the confidence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final

from sidecar.detect.kinds import ESCAPED, Candidate, Check, Detector, before
from sidecar.detect.personal.words import GAP_BYTES, Words, near, words
from sidecar.detect.prefilter_groups import DIGITS, PrefilterGroup

SEPARATOR: Final = r"(?:[ ./-]|\xC2\xA0|\xE2\x80[\x90-\x93\xAF])?"
"""What people put between the groups of a number: also no-break spaces, and hyphens that are none."""

_PIECE_BEFORE: Final = re.compile(r"(?:\d[.:]|\w[-_/]|[$€£¥]|(?:^|\W)\+)\Z")
_PIECE_AFTER: Final = re.compile(r"[.:/]\d|\.[A-Za-z]|[-_]\w|/[A-Za-z]|%(?![0-9A-Fa-f]{2})")

Valid = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Id:
    """One kind of national id.

    ``form`` shows it: ``#`` is a digit, ``@`` a letter, ``{ymd}`` a day of birth (``Y`` with its century), the rest
    stands as it is. ``shape`` is what it looks like beside one of ``words``; ``alone`` what it looks like by itself, and
    ``alone_sure`` how sure that is against a named one. ``module`` is the one of python-stdnum that knows its rule, or
    ``is_valid`` is ours; both get the number without separators, in capitals. ``group`` is the prefilter group of ``alone``.
    """

    kind: str
    about: str
    form: str
    shape: str
    words: str
    alone: str = ""
    alone_sure: float = 1.0
    module: str = ""
    is_valid: Valid | None = None
    keep: str = ""
    group: PrefilterGroup = DIGITS

    def compact(self, text: str) -> str:
        """The number without separators, of which those in ``keep`` carry meaning."""
        return "".join(char for char in text.upper() if char.isalnum() or char in self.keep)

    def is_issued(self, text: str) -> bool:
        """Whether the rule of its country allows this number."""
        try:
            return (self.is_valid or _known(self.module))(self.compact(text))
        except (ValueError, LookupError):  # A rule may trip over what its country never issues.
            return False

    def detectors(self) -> tuple[Detector, ...]:
        """One for the number beside a word, and one for the number by itself where its form is rare enough."""
        named = words(self.words)
        about = f"{self.about}, where a word says so"
        ahead = beside(self.kind, about, named, f"({self.shape})", _check(self, named, 0))
        if not self.alone:
            return (ahead,)
        alone = Detector(
            self.kind,
            f"{self.about}, by its form",
            prefilter=rf"(?:^|[^0-9A-Z]|{ESCAPED})(?:{self.alone})",
            pattern=rf"{before('0-9A-Za-z%')}({self.alone})(?:[^0-9A-Za-z]|$)",
            confidence=0.95,
            lead=48,
            tail=8,
            check=_check(self, named, self.alone_sure),
            may_overlap=True,
            group=self.group,
            effort=25,
        )
        return (alone, ahead)


def beside(kind: str, about: str, named: Words, value: str, check: Check, after: str = "", effort: int = 40) -> Detector:
    """A detector for a value within ``GAP_BYTES`` after a word: the words are its prefilter, for numbers are everywhere.

    ``after`` is what else may follow the value, as alternatives that end in ``|``.
    """
    return Detector(
        kind,
        about,
        prefilter=named.prefilter,
        pattern=rf"(?i){before('0-9A-Za-z')}{value}(?:{after}[^0-9A-Za-z]|$)",
        confidence=0.95,
        lead=8,
        tail=GAP_BYTES + 40,
        check=check,
        may_overlap=True,
        is_ahead=True,
        effort=effort,
    )


@cache
def _known(module: str) -> Valid:
    """The check of python-stdnum, imported when the first candidate needs it."""
    valid: Valid = import_module(f"stdnum.{module}").is_valid
    return valid


def _check(each: Id, named: Words, alone: float) -> Check:
    def check(candidate: Candidate) -> float:
        if len(set(candidate.value)) < 3 or (is_piece(candidate) and not named.ends(candidate.before)):
            return 0
        sure = alone if alone == 1 else max(alone, near(candidate, named))
        return sure if sure and each.is_issued(candidate.value) else 0

    return check


def is_piece(candidate: Candidate) -> bool:
    """Whether a number goes on to its left or right: a decimal, an amount, a version, a piece of a path or a longer id."""
    return bool(_PIECE_BEFORE.search(candidate.before) or _PIECE_AFTER.match(candidate.after))
