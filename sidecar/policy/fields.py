"""The values in a policy file that have a form of their own: ids, globs, hours, durations, messages."""

import re
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from sidecar.detect.custom import CHECKSUMS
from sidecar.document import suggest
from sidecar.limits import EXPRESSION_CHARS_MAX, GLOB_CHARS_MAX, RATE_OVER_S_MAX, TERM_CHARS_MAX
from sidecar.policy.where import parse_where

PLACEHOLDERS: Final = ("rule", "tool", "server", "kinds")
DEFAULT_ENTRY: Final = "access.default"
"""The rule that a finding of ``access.default`` names; no rule or entry may take this id."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}\Z")
_CUSTOM_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}\Z")
_REFERENCE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z|file:.+\Z", re.DOTALL)
_TAKEN: Final = frozenset(
    ("secrets", "pii", "injection", "definition", "access", "rate", "expr", "match", "error", "sidecar", "volume", "baseline")
)
"""Kinds and families of kinds of findings that no custom detector makes."""
_BETWEEN: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])\Z")
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)\Z")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_QUOTED: Final = re.compile(r"""r?"(?:[^"\\\n]|\\.)*"|r?'(?:[^'\\\n]|\\.)*'""")
_DEFINITION: Final = re.compile(r"(?<![\w.])definition\.")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def minutes(between: str) -> tuple[int, int]:
    """Start and end of ``HH:MM-HH:MM`` in minutes of the day; raises ValueError for anything else."""
    found = _BETWEEN.match(between)
    start, end = (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 0)
    if start == end or start >= 1440 or end > 1440:
        raise ValueError(f"{between[:40]!r} is not a time range; write for example '08:00-18:00' or '22:00-06:00'")
    return start, end


def seconds(duration: str) -> int:
    """``30s``, ``1m``, ``2h`` or ``1d`` in seconds; raises ValueError for anything else, and when it is too long."""
    found = _DURATION.match(duration)
    if found is None:
        raise ValueError(f"{duration[:40]!r} is not a duration; write for example 30s, 1m or 2h")
    length = int(found[1]) * _UNITS[found[2]]
    if length > RATE_OVER_S_MAX:
        raise ValueError(f"{duration!r} is longer than the longest window, {RATE_OVER_S_MAX // 3600}h")
    return length


def names_definition(expression: str) -> bool:
    """Whether an expression reads anything of ``definition``, other than in a text it compares with."""
    plain = re.sub(r"\s*\.\s*", ".", _QUOTED.sub('""', expression))
    return _DEFINITION.search(plain) is not None


def _id(text: str) -> str:
    if not _ID.match(text) or text == DEFAULT_ENTRY:
        raise ValueError(f"{text[:60]!r} is not an id; use letters, digits, '.', '-' and '_', for example secrets.out")
    return text


def _word(text: str) -> str:
    if not _WORD.match(text):
        raise ValueError(f"{text[:60]!r} cannot be written as lists.NAME; use letters, digits and '_'")
    return text


def _custom_name(text: str) -> str:
    if not _CUSTOM_NAME.match(text):
        raise ValueError(f"{text[:60]!r} cannot name a detector; use letters, digits, '-' and '_', for example staff-number")
    if text.lower() in _TAKEN:
        raise ValueError(f"{text!r} is reserved for built-in findings; choose another name, for example our-{text.lower()}")
    return text


def _kind(text: str) -> str:
    if not _CUSTOM_NAME.match(text):
        raise ValueError(f"{text[:60]!r} cannot name a family of kinds; use letters, digits, '-' and '_', for example personal")
    return text


def _sum(text: str) -> str:
    if text not in CHECKSUMS:
        raise ValueError(f"{text[:40]!r} is not one of {', '.join(CHECKSUMS)}{suggest(text, CHECKSUMS)}")
    return text


def _term(text: str) -> str:
    if len(text) > TERM_CHARS_MAX or not any(sign.isalnum() for sign in text):
        raise ValueError(f"a word has a letter or digit and at most {TERM_CHARS_MAX} characters; use 'regex' for symbols")
    return text


def _reference(text: str) -> str:
    if not _REFERENCE.match(text):
        # What stands here may be the key itself, which is not repeated.
        raise ValueError("this is no reference to a key; write env:NAME of a variable, or file:PATH, and never the key itself")
    return text


def _between(text: str) -> str:
    minutes(text)
    return text


def _duration(text: str) -> str:
    seconds(text)
    return text


def _where(text: str) -> str:
    parse_where(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"{text[:60]!r} is not a time zone; write for example Europe/Paris or UTC") from None
    return text


def _moment(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise ValueError(f"{text[:40]!r} is not a date and time with its zone; write for example 2026-11-23T09:00:00+00:00")
    return text


def _glob(text: str) -> str:
    if not 0 < len(text) <= GLOB_CHARS_MAX:
        raise ValueError(f"a name or glob has 1 to {GLOB_CHARS_MAX} characters")
    return text


def _message(text: str) -> str:
    for name in _BRACES.findall(text):
        if name not in PLACEHOLDERS:
            near = suggest(name, PLACEHOLDERS)
            raise ValueError(
                f"{{{name[:40]}}} is not a placeholder{near}; there are {{rule}}, {{tool}}, {{server}} and {{kinds}}"
            )
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Id = Annotated[str, AfterValidator(_id)]
Glob = Annotated[str, AfterValidator(_glob)]
Globs = Annotated[list[Glob], Field(min_length=1), BeforeValidator(_listed, json_schema_input_type=str | list[str])]
RefusalText = Annotated[str, AfterValidator(_message)]
Line = Annotated[str, Field(max_length=300)]
CustomName = Annotated[str, AfterValidator(_custom_name)]
Kind = Annotated[str, AfterValidator(_kind)]
Sum = Annotated[str, AfterValidator(_sum)]
Term = Annotated[str, AfterValidator(_term)]
Reference = Annotated[str, AfterValidator(_reference)]
Expr = Annotated[str, Field(min_length=1, max_length=EXPRESSION_CHARS_MAX)]
Listed = BeforeValidator(_listed)
"""One value may stand where a list of them is meant."""
Word = Annotated[str, AfterValidator(_word)]
Between = Annotated[str, AfterValidator(_between)]
Zone = Annotated[str, AfterValidator(_zone)]
Duration = Annotated[str, AfterValidator(_duration)]
Where = Annotated[str, AfterValidator(_where)]
Moment = Annotated[str, AfterValidator(_moment)]
