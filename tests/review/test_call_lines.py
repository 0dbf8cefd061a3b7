import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.review.call_lines import CallTable, JsonLines
from sidecar.review.calls import ReadCall
from tests.seed import HOSTILE_TEXT


def row(**columns: object) -> ReadCall:
    """A call as the record gives it."""
    # fmt: off
    plain: dict[str, object] = {
        "ts": datetime(2026, 11, 22, 14, 30, 5, 123456, UTC), "call_id": UUID(int=7), "node": "n", "session": "s",
        "user": "", "client": "agent", "server": "crm", "direction": "request", "kind": "request",
        "method": "tools/call", "tool": "get_customer", "status": "ok", "error_type": "", "error_code": 0,
        "verdict": "allow", "rule": "", "duration_us": 58_000, "overhead_us": 400, "request_bytes": 1,
        "response_bytes": 2, "findings": 0, "max_severity": 0,
    }
    # fmt: on
    return ReadCall(**plain | columns)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    """Tables show local time; here that is UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_a_table_reads_well() -> None:
    """Columns stand under their heads, the date stands once, and a blocked call names its rule."""
    rows = [
        row(),
        row(tool="send_email", server="mail", status="blocked", verdict="block", rule="secrets.out", duration_us=900),
        row(tool="", method="tools/list", duration_us=1_200),
        row(status="no_response", duration_us=0),
    ]
    assert list(CallTable(100, is_coloured=False).of(rows)) == [
        "time     server    call                        status         verdict       took rule",
        "-- 2026-11-22 UTC",
        "14:30:05 crm       get_customer                ok             allow        58 ms",
        "14:30:05 mail      send_email                  blocked        block       900 µs secrets.out",
        "14:30:05 crm       tools/list                  ok             allow       1.2 ms",
        "14:30:05 crm       get_customer                no_response    allow",
    ]


def test_the_head_and_the_day_are_shown_once() -> None:
    """While following, lines go on under the same head; midnight is marked."""
    table = CallTable(100, is_coloured=False)
    assert len(list(table.of([row()]))) == 3
    assert len(list(table.of([row()]))) == 1
    assert next(iter(table.of([row(ts=datetime(2026, 11, 23, tzinfo=UTC))]))) == "-- 2026-11-23 UTC"


def test_colour_never_stands_alone() -> None:
    """With colour the same words are there, and every colour is taken back on its line."""
    rows = [row(verdict=verdict, status="error") for verdict in ("allow", "log", "alert", "redact", "block")]
    plain = list(CallTable(100, is_coloured=False).of(rows))
    coloured = list(CallTable(100, is_coloured=True).of(rows))
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plain
    assert all(line.count("\x1b[") == 2 * line.count("\x1b[0m") for line in coloured)


@given(st.text(st.characters(codec=None)), st.integers(0, 300))
def test_nothing_recorded_acts_on_the_terminal(text: str, width: int) -> None:
    """Whatever servers call their tools, a table's line stays one printable line of bounded length."""
    hostile = row(tool=text, server=text, status=text, verdict=text, rule=text, method=text)
    lines = list(CallTable(width, is_coloured=False).of([hostile]))
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 3
    assert len(lines[-1]) <= max(width, 84)


@given(st.text(st.characters(codec=None)))
def test_json_lines_are_ascii_and_exact(text: str) -> None:
    """A program gets the recorded value back, and a terminal that shows the line gets nothing that acts."""
    (line,) = JsonLines().of([row(tool=text)])
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["tool"] == text


def test_json_lines_carry_every_column() -> None:
    """Times are ISO 8601 in UTC, ids text, numbers numbers."""
    (line,) = JsonLines().of([row(tool=HOSTILE_TEXT)])
    told = json.loads(line)
    assert (told["ts"], told["call_id"]) == ("2026-11-22T14:30:05.123456+00:00", str(UUID(int=7)))
    assert (told["tool"], told["duration_us"]) == (HOSTILE_TEXT, 58_000)
