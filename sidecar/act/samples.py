"""A short text that fits a regular expression, made by reading it; whether it does fit is for others to check.

Only what schemas of tools use is understood: literals, classes, groups, choices and counts (ECMA-262 §22.2.1). Of a choice
the first branch is taken, of a class its plainest character.
"""

from typing import Final

from sidecar import limits

_CLASSES: Final = {"d": "0", "w": "x", "s": " ", "D": "x", "W": "-", "S": "x", "t": "\t", "n": "\n", "r": "\r"}
_SETS: Final = {"d": [("0", "9")], "w": [("x", "x"), ("0", "9"), ("A", "Z"), ("a", "z"), ("_", "_")], "s": [(" ", " ")]}
_PLAIN: Final = "x0XaA-_ .@"


class NoSample(ValueError):
    """The expression uses something that is not understood here."""


def sample(pattern: str, more: int = 0) -> str:
    """A text for ``pattern``; what may be repeated without end is repeated ``more`` times beyond its least.

    Raises:
        NoSample: see there, or the text would be longer than ``limits.SAMPLE_CHARS_MAX``.
    """
    if len(pattern) > limits.SCHEMA_PATTERN_CHARS_MAX:
        raise NoSample
    reader = _PatternReader(pattern, more)
    text = reader.choice(0)
    if reader.at != len(pattern):
        raise NoSample
    return text


class _PatternReader:
    """Reads an expression from left to right and writes as it goes."""

    def __init__(self, pattern: str, more: int) -> None:
        self._pattern = pattern
        self._more = more
        self.at = 0

    def choice(self, depth: int) -> str:
        if depth > limits.SAMPLE_DEPTH_MAX:
            raise NoSample
        first = self._sequence(depth)
        while self._peek() == "|":
            self.at += 1
            self._sequence(depth)
        return first

    def _sequence(self, depth: int) -> str:
        parts: list[str] = []
        length = 0
        while (sign := self._peek()) and sign not in "|)":
            part = self._atom(depth)
            count = self._count()
            length += len(part) * count
            if length > limits.SAMPLE_CHARS_MAX:
                raise NoSample
            parts.append(part * count)
        return "".join(parts)

    def _atom(self, depth: int) -> str:
        sign = self._next()
        if sign in "^$":
            return ""
        if sign == ".":
            return "x"
        if sign == "(":
            return self._group(depth)
        if sign == "[":
            return self._class()
        if sign == "\\":
            return self._escape()
        if sign in "*+?":
            raise NoSample
        return sign

    def _group(self, depth: int) -> str:
        if self._peek() == "?":
            self.at += 1
            sign = self._next()
            if sign == "<" and self._peek() not in ("=", "!"):
                self.at = self._pattern.find(">", self.at) + 1 or len(self._pattern)
            elif sign != ":":
                raise NoSample
        text = self.choice(depth + 1)
        if self._next() != ")":
            raise NoSample
        return text

    def _escape(self) -> str:
        sign = self._next()
        if sign in ("b", "B", "A", "z", "Z"):
            return ""
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign == "p" and self._next() == "{":
            self.at = self._pattern.find("}", self.at) + 1 or len(self._pattern)
            return "x"
        if sign.isalnum():
            raise NoSample
        return sign

    def _class(self) -> str:
        is_negated = self._peek() == "^"
        self.at += is_negated
        ranges: list[tuple[str, str]] = []
        while (sign := self._next()) != "]":
            if sign == "\\":
                sign = self._next()
                if sign in _SETS:
                    ranges += _SETS[sign]
                    continue
                sign = _CLASSES.get(sign, sign)
            last = sign
            if self._pattern[self.at : self.at + 1] == "-" and self._pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self._next()
                last = self._next() if last == "\\" else last
            ranges.append((sign, last))
        if not ranges:
            raise NoSample
        for plain in _PLAIN:
            if any(low <= plain <= high for low, high in ranges) != is_negated:
                return plain
        if is_negated:
            raise NoSample
        return ranges[0][0]

    def _count(self) -> int:
        """How often the atom just read is written."""
        sign = self._peek()
        least, is_open = 1, False
        if sign and sign in "*+?":
            self.at += 1
            least, is_open = int(sign == "+"), sign != "?"
        elif sign == "{":
            end = self._pattern.find("}", self.at)
            low, comma, high = self._pattern[self.at + 1 : max(end, self.at)].partition(",")
            if not low.isdecimal() or len(low) > 4:
                raise NoSample
            self.at = end + 1
            least, is_open = (
                int(low),
                bool(comma) and (not high or (high.isdecimal() and int(high[:6]) >= int(low) + self._more)),
            )
        else:
            return 1
        if self._peek() == "?":
            self.at += 1
        return least + (self._more if is_open else 0)

    def _peek(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def _next(self) -> str:
        sign = self._peek()
        if not sign:
            raise NoSample
        self.at += 1
        return sign
