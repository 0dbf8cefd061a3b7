"""Decides which SQL the read-only endpoint runs: one statement that reads, and only reads tables.

``readonly=1`` alone does not protect the embedded engine: ``INTO OUTFILE`` writes files, ``file()`` reads any file,
``DESCRIBE`` opens addresses. So the engine's own parser classifies the text first, then rewrites it into one plain
form, in which names of functions can be found whatever quotes, escapes and comments the text used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_ALLOWED_TABLE_FUNCTIONS: Final = frozenset(
    {
        *("numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "view"),
        # These are also words of plain queries; as table functions the engine itself refuses them.
        *("null", "format"),
    }
)
"""Table functions that only compute."""

_DENIED_WORDS: Final = frozenset({"file"})
"""Functions that reach outside and can be named without parentheses (``arrayMap(file, …)``, ``APPLY file``)."""

_PATH_CHARACTERS: Final = frozenset("/\\")
_FILES_DATABASE: Final = "default"
"""The engine's database that shows every file of the working directory as a table."""

_NAME_PARAMETER: Final = re.compile(r"\{\s*(\w+)\s*:\s*Identifier\s*\}", re.IGNORECASE)

_TOKEN: Final = re.compile(
    r"""'(?:[^'\\]|\\.)*'                     # a string
    | `(?P<back>(?:[^`\\]|\\.|``)*)`          # a quoted name
    | "(?P<double>(?:[^"\\]|\\.|"")*)"
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | [^'`"\\]""",
    re.VERBOSE | re.DOTALL,
)

_SETTINGS_QUESTION: Final = re.compile(r"SELECT name, value, readonly FROM system\.settings( LIMIT \d+)?( FORMAT \w+)?")


@dataclass(frozen=True, slots=True)
class QueryRefusal:
    """Why a query is not run: ClickHouse's error code and name, and a sentence."""

    code: int
    name: str
    text: str


_ONE_READ: Final = QueryRefusal(164, "READONLY", "only one statement that reads is allowed here")


class ReadOnlyCheck:
    """Checks SQL with the parser of the engine behind ``handle``, which it needs only during construction."""

    def __init__(self, handle: Any) -> None:
        sql = "SELECT DISTINCT lower(name) FROM system.table_functions"
        known = frozenset(handle.query(sql, "TSVRaw").bytes().decode().split())
        self._denied_functions = known - _ALLOWED_TABLE_FUNCTIONS

    def judge(self, handle: Any, sql: str, parameters: Mapping[str, str]) -> str | QueryRefusal:
        """The plain form of ``sql`` when it may be run with these parameters, else why not.

        Raises:
            RuntimeError: the engine cannot parse the text; its message is the one to show.
        """
        if "\0" in sql:
            return QueryRefusal(62, "SYNTAX_ERROR", "a query cannot contain a zero byte")
        found = handle._conn.classify_query(sql)
        if found["statement_count"] and (found["statement_count"] != 1 or found["query_class"].name != "READ_ONLY"):
            return _ONE_READ
        plain = plain_form(handle, sql)
        # A name given as a parameter has the same effect as one written in the statement.
        names = [f"{parameters[found[1]]}(" for found in _NAME_PARAMETER.finditer(plain) if found[1] in parameters]
        for text in (plain, *names):
            if (name := self._denied_name(text)) is not None:
                return QueryRefusal(497, "ACCESS_DENIED", f"{name!r} reads outside the record and is not allowed here")
        return plain

    def _denied_name(self, text: str) -> str | None:
        """The first name in a plain form that is not allowed, or ``?`` for text that cannot be tokenized."""
        at = 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                return "?"
            at = token.end()
            name = (token["word"] or token["back"] or token["double"] or "").lower()
            if name in _DENIED_WORDS or _PATH_CHARACTERS & set(name):
                return name
            follows = text[at : at + 20].lstrip()[:1]
            if (name in self._denied_functions and follows == "(") or (name == _FILES_DATABASE and follows == "."):
                return name
        return None


def plain_form(handle: Any, sql: str) -> str:
    """The statement in the engine's normal form: no comments, names and strings quoted in one way.

    Raises:
        RuntimeError: it is not a statement.
    """
    # As hexadecimal, so that our escaping cannot make this text differ from the one that is run.
    form = "SELECT formatQuerySingleLine(unhex({sql:String}))"
    plain: str = handle.query(form, "RawBLOB", params={"sql": sql.encode().hex()}).bytes().decode("utf-8", "replace")
    return plain


def is_settings_question(plain: str) -> bool:
    """Whether a plain form is the query with which clickhouse-connect asks for the settings it may send."""
    return _SETTINGS_QUESTION.fullmatch(plain.strip()) is not None
