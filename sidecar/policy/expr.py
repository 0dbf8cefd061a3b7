"""Expressions: CEL, declared so that a wrong name or type is an error when a policy is loaded, and bounded when judged.

The only module that knows the CEL library. Its traps, held by tests: an error comes back as a *value* whose text is
truthy; an exhausted iteration budget raises; one integer beyond 64 bits or one lone surrogate anywhere spoils the
evaluation; a value is converted whole, so of the arguments only the keys an expression names are handed over.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from sidecar.events import Direction
from sidecar.policy.expr_errors import describe_errors, place
from sidecar.policy.facts import SESSION_NAMES, Facts, Unjudged

_T: Final = cel.Type
_TEXTS: Final = _T.List(_T.STRING)

_CALL: Final[Mapping[str, Any]] = {
    "call.server": _T.STRING,
    "call.tool": _T.STRING,
    "call.method": _T.STRING,
    "call.args": _T.Map(_T.STRING, _T.DYN),
    "call.text": _T.STRING,
    "call.bytes": _T.INT,
    "client.name": _T.STRING,
    "user": _T.STRING,
    "groups": _TEXTS,
    "session.calls": _T.INT,
    "session.servers": _TEXTS,
    "now": _T.TIMESTAMP,
}
_RESULT: Final[Mapping[str, Any]] = {"result.text": _T.STRING, "result.bytes": _T.INT, "result.is_error": _T.BOOL}

_DEFINITION: Final[Mapping[str, Any]] = {
    "definition.description": _T.STRING,
    "definition.digest": _T.STRING,
    "definition.previous_digest": _T.STRING,
    "definition.read_only": _T.BOOL,
    "definition.destructive": _T.BOOL,
}
_IN_ANSWERS: Final = (*_RESULT, *_DEFINITION)

_OF_THE_CALL: Final = frozenset({"call.args", "call.text", "call.bytes", *SESSION_NAMES})
"""What is not known yet when a tool is listed."""

_KEY: Final = re.compile(r"call\.args(?:\.([A-Za-z_][A-Za-z0-9_]*)(\s*\()?)?")
_HAS: Final = re.compile(r"has\(\s*call\.args\.([A-Za-z_][A-Za-z0-9_]*)")
_LITERAL: Final = r"""\s*(r?"(?:[^"\\\n]|\\.)*"|r?'(?:[^'\\\n]|\\.)*')\s*\)"""
_CONSTANTS: Final = (
    (re.compile(r"\.matches\(" + _LITERAL), '"".matches({})', "the regular expression {} is not valid RE2"),
    (
        re.compile(r"\.get[A-Z][A-Za-z]*\(" + _LITERAL),
        'timestamp("2026-01-01T00:00:00Z").getHours({}) >= 0',
        "{} is not a time zone; write for example 'Europe/Paris'",
    ),
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression of type bool. ``keys`` are the only top-level arguments it can see; ``None`` means all."""

    text: str
    needs: tuple[str, ...]
    keys: tuple[str, ...] | None
    lists: Mapping[str, Sequence[str]]
    program: Any

    @property
    def needs_only_caller(self) -> bool:
        """Whether it can be decided before a call is made, from who asks for which tool and when."""
        return not _OF_THE_CALL.intersection(self.needs)

    @property
    def unguarded(self) -> tuple[str, ...]:
        """The arguments it reads without asking ``has(...)`` first; where one is missing the expression is false."""
        guarded = set(_HAS.findall(self.text))
        return tuple(key for key in self.keys or () if key not in guarded)

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of a message. A missing key makes it false.

        Raises:
            Unjudged: it has no value for this message: another type, a division by zero, too many steps.
        """
        values = {name: self._value(name, facts) for name in self.needs}
        try:
            return self._evaluate(values)
        except Unjudged:
            # It may have been a value that CEL cannot hold, somewhere that the expression does not even look at.
            return self._evaluate({name: _representable(value) for name, value in values.items()})

    def _value(self, name: str, facts: Facts) -> Any:
        if name in self.lists:
            return self.lists[name]
        value = facts.value(name)
        if name == "call.args" and self.keys is not None:
            return {key: value[key] for key in self.keys if key in value}
        return value

    def _evaluate(self, values: Mapping[str, Any]) -> bool:
        try:
            given = self.program.eval(data=values)
        except Exception as error:
            raise Unjudged("too many steps" if "budget" in str(error) else "a text it cannot read") from None
        value = given.value()
        if value is True or value is False:
            return value
        if given.type() == _T.ERROR and str(value).startswith("NOT_FOUND: Key not found"):
            return False
        raise Unjudged(_reason(str(value)))


class Scope:
    """The names expressions of one file may use: of the call, in answers of the result, and of the file's own lists."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._lists = {f"lists.{name}": list(values) for name, values in lists.items()}
        request = {**_CALL, **dict.fromkeys(self._lists, _TEXTS)}
        extensions = [ext_strings.ExtStrings()]
        self._types = {**request, **_RESULT, **_DEFINITION}
        self._narrow: dict[tuple[str, ...], Any] = {}
        self._names = {"request": tuple(request), "response": (*request, *_IN_ANSWERS)}
        self._envs = {
            "request": cel.NewEnv(variables=request, extensions=extensions),
            "response": cel.NewEnv(variables=self._types, extensions=extensions),
        }

    def compile(self, text: str, direction: Direction) -> tuple[Expression | None, tuple[str, ...]]:
        """The expression, or what is wrong with it: one sentence for each mistake, with its column."""
        env, names = self._envs[direction], self._names[direction]
        try:
            program = env.compile(text)
        except RuntimeError as error:
            return None, describe_errors(str(error), names, _IN_ANSWERS)
        except TypeError:
            return None, ("column 1: this text is not valid Unicode; rewrite it",)
        if program.return_type() != _T.BOOL:
            given = program.return_type().name().lower()
            return None, (f"column 1: this gives {given}, not true or false; compare it with something",)
        if wrong := _wrong_constants(env, text):
            return None, wrong
        return Expression(text, self._needs(text, names), _keys(text), self._lists, program), ()

    def _needs(self, text: str, names: Sequence[str]) -> tuple[str, ...]:
        """The names an expression uses: only their values are found out. The compiler confirms that they suffice."""
        spaceless = _spaceless(text)
        needs = tuple(name for name in names if re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", spaceless))
        if needs not in self._narrow:
            variables = {name: self._types[name] for name in needs}
            self._narrow[needs] = cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings()])
        try:
            self._narrow[needs].compile(text)
        except RuntimeError:
            return tuple(names)
        return needs


def _spaceless(text: str) -> str:
    """CEL allows spaces and line ends around a dot; names are looked for without them."""
    return re.sub(r"\s*\.\s*", ".", text)


def _keys(text: str) -> tuple[str, ...] | None:
    """The top-level arguments an expression can read; ``None`` when any (``call.args.all(...)``, ``in``)."""
    found = list(_KEY.finditer(_spaceless(text)))
    has_comment = "//" in text and "\n" in text
    if has_comment or any(each[1] is None or each[2] is not None for each in found):
        return None
    return tuple(sorted({each[1] for each in found}))


def _wrong_constants(env: Any, text: str) -> tuple[str, ...]:
    """Regular expressions and time zones written in an expression, tried out before a call meets them."""
    wrong = []
    for pattern, trial, complaint in _CONSTANTS:
        for found in pattern.finditer(text):
            try:
                is_wrong = env.compile(trial.format(found[1])).eval(data={}).type() == _T.ERROR
            except RuntimeError:
                continue
            if is_wrong:
                before = text[: found.start(1)]
                at = place(before.count("\n") + 1, len(before) - before.rfind("\n"))
                wrong.append(f"{at}: {complaint.format(found[1])}")
    return tuple(wrong)


def _representable(value: Any) -> Any:
    """``value`` as CEL can hold it: integers beyond 64 bits as numbers with a fraction, lone surrogates replaced."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_representable(key): _representable(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_representable(member) for member in value]
    if isinstance(value, int) and not isinstance(value, bool) and not _INT_MIN <= value <= _INT_MAX:
        return float(value) if abs(value) < 10**300 else float("inf") if value > 0 else float("-inf")
    return value


_REASONS: Final = (
    ("divide by zero", "a division by zero"),
    ("modulus by zero", "a division by zero"),
    ("No matching overload", "a value of another type"),
    ("non-message", "a field of something that has none"),
    ("conver", "a value that cannot be converted"),
    ("onversion", "a value that cannot be converted"),
    ("Index error", "a place outside a list"),
    ("timezone", "an unknown time zone"),
    ("regular expression", "an invalid regular expression"),
    ("overflow", "a number too large"),
    ("out of range", "a number too large"),
)


def _reason(text: str) -> str:
    """Why an evaluation failed, without the text of the library, which quotes values."""
    return next((reason for sign, reason in _REASONS if sign in text), "no value")
