"""Filters on the record: a time range, columns that must equal a value, and the maximum number of rows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sidecar.limits import LIST_ROWS_MAX

_AGO: Final = re.compile(r"([1-9][0-9]{0,5})\s*([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Filters:
    """An empty string matches every value. ``since`` is inclusive, ``until`` exclusive; both are in UTC."""

    since: datetime
    until: datetime | None = None
    server: str = ""
    tool: str = ""
    method: str = ""
    verdict: str = ""
    status: str = ""
    session: str = ""
    user: str = ""
    rule: str = ""
    severity: str = ""
    mode: str = ""
    kind: str = ""
    limit: int = 200


EQUAL: Final = tuple(field.name for field in fields(Filters) if field.type is str)
"""The columns that are compared for equality; the page uses the same names for its URL parameters."""

CALL_COLUMNS: Final = frozenset({"server", "tool", "method", "verdict", "status", "session", "user", "rule"})
FINDING_COLUMNS: Final = frozenset({"server", "tool", "method", "session", "user", "rule", "severity", "mode", "kind"})


def conditions(filters: Filters, columns: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """A ``WHERE`` clause over ``columns`` and its bound parameters; filters on other columns are left out."""
    texts = ["ts >= {since:DateTime64(6, 'UTC')}"]
    bound: dict[str, Any] = {"since": filters.since, "limit": max(1, min(filters.limit, LIST_ROWS_MAX))}
    if filters.until is not None:
        texts.append("ts < {until:DateTime64(6, 'UTC')}")
        bound["until"] = filters.until
    for name in EQUAL:
        if name in columns and (value := getattr(filters, name)):
            texts.append(f"{name} = {{{name}:String}}")
            bound[name] = value
    return " AND ".join(texts), bound


def from_query(query: Mapping[str, str], since: datetime, limit: int = 200) -> Filters:
    """Filters from the parameters of a URL; parameters that are not filters are ignored."""
    equal: dict[str, Any] = {name: query[name] for name in EQUAL if name in query}
    return Filters(since=since, limit=limit, **equal)


def parse_since(text: str, now: datetime) -> datetime:
    """``15m``, ``2h`` or ``7d`` before ``now``, or an ISO date or time, which is UTC unless it says otherwise.

    Raises:
        ValueError: it is none of these; the message says what to write.
    """
    try:
        if match := _AGO.fullmatch(text.strip()):
            return now - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        when = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time; write for example 15m, 2h, 7d or 2026-11-22T14:00") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
