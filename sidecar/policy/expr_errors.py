"""The errors of the CEL compiler as sentences that say what to write instead."""

import re
from collections.abc import Sequence
from typing import Final

from sidecar.document import suggest

_MISTAKE: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD: Final = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'")
_SYNTAX: Final = re.compile(r"Syntax error: .*?(?:at|input|at input):? '(.*?)'(?: expecting|$)")

_NOT_YET: Final = ("session.labels",)
_ANSWERED: Final = ("result", "definition")
_FUNCTIONS: Final = (
    *("has", "size", "matches", "startsWith", "endsWith", "contains", "lowerAscii", "upperAscii", "split", "replace"),
    *("trim", "indexOf", "substring", "join", "exists", "all", "exists_one", "filter", "map"),
    *("int", "uint", "double", "string", "timestamp", "duration"),
    *("getHours", "getMinutes", "getDayOfWeek", "getDate", "getDayOfMonth", "getMonth", "getFullYear"),
)
_INSTEAD: Final = {"and": "&&", "or": "||", "not": "!", "=": "==", "<>": "!=", "&": "&&", "|": "||"}


def place(line: int, column: int) -> str:
    """A place inside an expression, as people read it; most have one line."""
    return f"column {column}" if line == 1 else f"line {line}, column {column}"


def describe_errors(text: str, names: Sequence[str], only_in_answers: Sequence[str]) -> tuple[str, ...]:
    """One sentence for each mistake the compiler names in ``text``, each with its place in the expression.

    ``names`` are the variables that exist, ``only_in_answers`` those that exist once there is a result.
    """
    sentences = []
    for line, column, what in _MISTAKE.findall(text):
        if "*error*" in what:
            continue
        sentence = _sentence(what.removesuffix(" [INVALID_ARGUMENT]"), names, only_in_answers)
        sentences.append(f"{place(int(line), int(column))}: {sentence}")
        if "Syntax error" in what:
            break  # What follows is only the parser looking for its way again.
    if not sentences:
        is_deep = "recursion limit" in text
        sentences.append(
            "column 1: " + ("this is nested too deeply; split the rule" if is_deep else "this is not CEL; rewrite it")
        )
    return tuple(sentences)


def _sentence(what: str, names: Sequence[str], only_in_answers: Sequence[str]) -> str:
    if found := _UNDECLARED.search(what):
        return _unknown(found[1], names, only_in_answers)
    if found := _OVERLOAD.search(what):
        sign = "?:" if found[1] == "_?_:_" else found[1].strip("_@").replace("_", "")
        return f"'{sign}' does not take {found[2]}; convert one side, for example with double(...) or string(...)"
    if "Syntax error" in what:
        found = _SYNTAX.search(what)
        word = found[1].strip() if found else ""
        if word in _INSTEAD:
            return f"'{word}' is not CEL; write '{_INSTEAD[word]}'"
        if word == "<EOF>":
            return "something is missing at the end; complete the expression"
        return f"did not expect '{word}' here; fix the expression" if word else "this is not CEL; fix the expression"
    return f"{what}; fix the expression"


def _unknown(name: str, names: Sequence[str], only_in_answers: Sequence[str]) -> str:
    if any(name == other or name.startswith(other + ".") for other in _NOT_YET):
        return f"'{name}' is not supported yet; remove it"
    is_of_an_answer = name.partition(".")[0] in _ANSWERED
    if is_of_an_answer and not set(only_in_answers) & set(names):
        return f"'{name}' does not exist yet in a request; set match.direction: response"
    members = sorted(each for each in names if each.startswith(name + "."))
    if members:
        return f"'{name}' alone has no value; write one of {', '.join(members)}"
    known = [*names, *_FUNCTIONS] if "." not in name else names
    return f"unknown name '{name}'{suggest(name, known)}"
