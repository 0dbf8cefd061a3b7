"""Translates patterns written for RE2 into prefilters for Hyperscan, which may match more but not less."""

import re
from dataclasses import dataclass
from typing import Final

import hyperscan

BYTES: Final[int] = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
UNICODE: Final[int] = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH
_ANY: Final = "[\\x{0}-\\x{10ffff}]"
_BLANKS: Final = r"\t\n\f\r "
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED: Final = re.compile(r"\(\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_CODE: Final = re.compile(r"\\x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})")
_PROPERTY: Final = re.compile(r"\\[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})")
_POSIX: Final = re.compile(r"\[:[a-z]+:\]")
_SAME: Final = frozenset("dDwWbBtnrfa")
"""Escapes that both read alike: their classes are ASCII, unless a flag of Hyperscan says otherwise."""


@dataclass(frozen=True, slots=True)
class RegexPrefilter:
    """An expression for Hyperscan with its flags."""

    expression: str
    flags: int


class _Foreign(Exception):
    """Something in a pattern that may mean something else to Hyperscan."""


def build_regex_prefilter(pattern: str) -> RegexPrefilter | None:
    """A prefilter for an RE2 pattern whose ``^`` and ``$`` are edges of lines; None where it cannot be translated.

    What the two read differently is rewritten so that they agree, or so that the prefilter matches more.
    Syntax: github.com/google/re2/wiki/Syntax; intel.github.io/hyperscan, "Pattern Support".
    """
    try:
        expression = _translate(pattern)
    except _Foreign:
        return None
    return RegexPrefilter(expression, UNICODE | hyperscan.HS_FLAG_MULTILINE)


def build_word_prefilter(word: str) -> RegexPrefilter:
    """A prefilter for a word or several, in any case: its longest run of letters and digits.

    ASCII letters are compared as bytes, which compiles a hundred times faster.
    """
    run = max(re.findall(r"[^\W_]+", word) or [word], key=len)
    escaped = "".join(f"\\x{{{ord(sign):x}}}" for sign in run)
    return (
        RegexPrefilter(run, BYTES)
        if run.isascii() and run.isalnum()
        else RegexPrefilter(escaped, UNICODE | hyperscan.HS_FLAG_CASELESS)
    )


def _translate(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            part, at = _escape(pattern, at)
        elif sign == "[":
            part, at = _class(pattern, at)
        elif pattern.startswith("(?", at):
            part, at = _group(pattern, at)
        else:
            part, at = sign, at + 1
        parts.append(part)
    return "".join(parts)


def _escape(pattern: str, at: int) -> tuple[str, int]:
    """An escape outside of a class, and where it ends."""
    if found := _PROPERTY.match(pattern, at):
        return _ANY, found.end()
    if found := _CODE.match(pattern, at):
        return _code(found[0]), found.end()
    sign = pattern[at + 1 : at + 2]
    if sign == "Q":
        end = pattern.find("\\E", at)
        end = len(pattern) if end < 0 else end
        return "".join(f"\\x{{{ord(each):x}}}" for each in pattern[at + 2 : end]), end + 2
    if sign in ("s", "S"):
        return (f"[{_BLANKS}]" if sign == "s" else f"[^{_BLANKS}]"), at + 2
    if sign == "v":
        return "\\x{b}", at + 2
    if sign in _SAME or (sign and not sign.isalnum() and sign.isascii()):
        return pattern[at : at + 2], at + 2
    raise _Foreign


def _code(escape: str) -> str:
    return f"\\x{{{int(escape[2:].strip('{}'), 16):x}}}"


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A class in brackets. One that names Unicode properties becomes any character: the two know different versions."""
    parts = ["["]
    is_any = False
    at += 1
    if pattern.startswith("^", at):
        parts.append("^")
        at += 1
    first = at
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        sign = pattern[at]
        if found := _PROPERTY.match(pattern, at):
            is_any, part, at = True, "", found.end()
        elif found := _POSIX.match(pattern, at):
            part, at = found[0], found.end()
        elif found := _CODE.match(pattern, at):
            part, at = _code(found[0]), found.end()
        elif sign == "\\":
            part, at = _class_escape(pattern[at + 1 : at + 2]), at + 2
        elif pattern.startswith("[:", at):
            raise _Foreign
        else:
            part, at = (f"\\{sign}" if sign in "[]" else sign), at + 1
        parts.append(part)
    if at >= len(pattern):
        raise _Foreign
    return (_ANY if is_any else "".join(parts) + "]"), at + 1


def _class_escape(sign: str) -> str:
    if sign == "s":
        return _BLANKS
    if sign == "v":
        return "\\x{b}"
    if sign in _SAME - {"b", "B"} or (sign and not sign.isalnum() and sign.isascii()):
        return f"\\{sign}"
    raise _Foreign


def _group(pattern: str, at: int) -> tuple[str, int]:
    """The beginning of a group, without its name and without the flag that only chooses between matches (``U``)."""
    if found := _NAMED.match(pattern, at):
        return "(?:", found.end()
    found = _FLAGS.match(pattern, at)
    if found is None:
        raise _Foreign
    on, off = found[1].replace("U", ""), (found[2] or "").replace("U", "")
    flags = on + (f"-{off}" if off else "")
    end = found[3]
    return ("(?:)" if not flags and end == ")" else f"(?{flags}{end}"), found.end()
