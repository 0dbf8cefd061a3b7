"""Selectors: names, hours and paths."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.events import Caller, Kind, Message
from sidecar.policy.build import compile_match
from sidecar.policy.match import compile_names
from sidecar.policy.model import HoursSpec as HoursModel
from sidecar.policy.model import MatchSpec as MatchModel
from sidecar.policy.where import base_of, parse_where


def at(moment: str) -> float:
    """Unix seconds."""
    return datetime.fromisoformat(moment).timestamp()


def fits(message: Message, moment: str = "2026-11-23T10:00:00+00:00", **fields: Any) -> bool:
    """Whether a match with these fields fits."""
    return compile_match(MatchModel.model_validate(fields)).fits(message, at(moment))


CALL = Message("crm", "request", "request", "tools/call", "get_customer", caller=Caller("ada", ("eng", "ops"), "agent"))


@pytest.mark.parametrize(
    "fields",
    [
        {"server": "crm"},
        {"server": ["mail", "c*"]},
        {"tool": "get_*", "method": "tools/*"},
        {"tool": ["x", "get_customer"], "direction": "request"},
        {"user": "ada", "group": "ops", "client": "ag?nt"},
        {"group": ["sales", "e*"]},
        {"method": "*"},
        {"tool": "[fgh]et_*"},
    ],
)
def test_all_given_fields_fit(fields: dict[str, Any]) -> None:
    """Names, globs and lists of them select a message."""
    assert fits(CALL, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"server": "CRM"},
        {"server": "cr"},
        {"server": "crm", "tool": "set_*"},
        {"direction": "response"},
        {"group": "sales"},
        {"user": "a"},
        {"client": "agent2"},
        {"method": "tools"},
    ],
)
def test_one_field_that_does_not_fit_is_enough(fields: dict[str, Any]) -> None:
    """Case matters, and a name is the whole name."""
    assert not fits(CALL, **fields)


def test_a_star_is_not_nobody() -> None:
    """Any user is any verified user, and any tool is any that a message names."""
    nobody = Message("crm", "request", "request", "tools/list")
    for field in ("user", "group", "client", "tool"):
        assert not fits(nobody, **{field: "*"})
        assert fits(CALL, **{field: "*"})


@given(st.text(), st.text(max_size=20))
def test_any_glob_meets_any_text(pattern: str, text: str) -> None:
    """Whatever a file holds as a name, asking it gives an answer."""
    assert compile_names([pattern or "x"]).has(text) in (True, False)


@pytest.mark.parametrize(
    ("hours", "moment", "is_in"),
    [
        ({"between": "08:00-18:00"}, "2026-11-23T08:00:00+00:00", True),
        ({"between": "08:00-18:00"}, "2026-11-23T17:59:59+00:00", True),
        ({"between": "08:00-18:00"}, "2026-11-23T18:00:00+00:00", False),
        ({"between": "08:00-18:00", "zone": "Europe/Paris"}, "2026-11-23T17:30:00+00:00", False),
        ({"between": "08:00-18:00", "zone": "Europe/Paris"}, "2026-07-23T06:30:00+00:00", True),
        ({"days": ["mon"]}, "2026-11-23T23:59:00+00:00", True),
        ({"days": ["mon"]}, "2026-11-24T00:00:00+00:00", False),
        ({"between": "22:00-06:00"}, "2026-11-23T23:30:00+00:00", True),
        ({"between": "22:00-06:00"}, "2026-11-24T05:59:00+00:00", True),
        ({"between": "22:00-06:00"}, "2026-11-24T06:00:00+00:00", False),
        ({"days": ["fri"], "between": "22:00-06:00"}, "2026-11-28T03:00:00+00:00", True),
        ({"days": ["fri"], "between": "22:00-06:00"}, "2026-11-27T03:00:00+00:00", False),
        ({"between": "20:00-24:00"}, "2026-11-23T23:59:00+00:00", True),
    ],
)
def test_hours(hours: dict[str, object], moment: str, is_in: bool) -> None:
    """Hours are local, end before their end, and a night belongs to the day on which it began."""
    assert fits(CALL, moment, hours=HoursModel.model_validate(hours)) is is_in


@pytest.mark.parametrize(
    ("where", "path", "is_below"),
    [
        ("$", ("params", "arguments", "x"), True),
        ("$", ("params", "name"), False),
        ("$.body", ("params", "arguments", "body"), True),
        ("$.body", ("params", "arguments", "body", 0, "text"), True),
        ("$.body", ("params", "arguments", "bodyguard"), False),
        ("$.body", ("params", "body"), False),
        ("$.rows[1]", ("params", "arguments", "rows", 1, "x"), True),
        ("$.rows[1]", ("params", "arguments", "rows", 2), False),
        ("$.rows[*].email", ("params", "arguments", "rows", 7, "email"), True),
        ("$.rows[*].email", ("params", "arguments", "rows", 7), False),
        ("$.*.email", ("params", "arguments", "x", "email"), True),
        ('$["odd key"]', ("params", "arguments", "odd key"), True),
        ("$['odd key'].x", ("params", "arguments", "odd key", "x"), True),
        ('$["odd key"]', ("params", "arguments", "other"), False),
        ("$['odd key']", ("params", "arguments", "other"), False),
        ("$.rows[0]", ("params", "arguments", "rows", 1), False),
    ],
)
def test_where_is_counted_from_the_arguments(where: str, path: tuple[str | int, ...], is_below: bool) -> None:
    """A path in a rule is written as its author sees the call."""
    assert parse_where(where).covers(path, base_of(CALL)) is is_below


@pytest.mark.parametrize("text", ["", "body", "$body", "$.", "$..a", "$.a[", "$[x]", "$.a[-1]", "$ .a", "$.a b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    """A path that cannot be read says what one looks like."""
    with pytest.raises(ValueError, match=r"is not a path; write for example \$\.body"):
        parse_where(text)


@pytest.mark.parametrize(
    ("kind", "method", "base"),
    [
        ("request", "tools/call", ("params", "arguments")),
        ("request", "prompts/get", ("params", "arguments")),
        ("request", "resources/read", ("params",)),
        ("notification", "notifications/message", ("params",)),
        ("result", "tools/call", ("result",)),
        ("error", "tools/call", ("error",)),
    ],
)
def test_the_base_of_a_path(kind: Kind, method: str, base: tuple[str, ...]) -> None:
    """Paths begin at the arguments, the parameters, the result or the error."""
    assert base_of(Message("crm", "request", kind, method)) == base
