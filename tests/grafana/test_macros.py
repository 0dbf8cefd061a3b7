from datetime import UTC, datetime

import pytest

from tests.grafana.macros import ALL, expand

START = datetime(2014, 11, 12, 11, 45, 26, tzinfo=UTC)
END = datetime(2015, 11, 12, 11, 45, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "where $__timeFilter(cast(sth as timestamp) )",
            "where cast(sth as timestamp) >= toDateTime(1415792726) AND cast(sth as timestamp) <= toDateTime(1447328726)",
        ),
        (
            "( date >= $__fromTime and date <= $__toTime ) limit 100",
            "( date >= toDateTime(1415792726) and date <= toDateTime(1447328726) ) limit 100",
        ),
        (
            "SELECT $__timeInterval($__fromTime) AS from_time",
            "SELECT toStartOfInterval(toDateTime(toDateTime(1415792726)), INTERVAL 60 second) AS from_time",
        ),
        ("$__timeTo(ts)", "ts <= toDateTime(1447328726)"),
        ("$__interval_s", "60"),
        ("$__unknown(ts)", "$__unknown(ts)"),
    ],
)
def test_macros_become_what_the_plugin_makes_of_them(sql: str, expected: str) -> None:
    """The queries of our boards are tested as they will run: these are cases of the plugin's own tests."""
    assert expand(sql, START, END) == expected


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (ALL, "WHERE 1=1"),
        (("crm",), "WHERE server IN ('crm')"),
        (("crm", "o'brien"), "WHERE server IN ('crm','o\\'brien')"),
    ],
)
def test_a_choice_of_servers_is_written_as_grafana_writes_it(chosen: tuple[str, ...], expected: str) -> None:
    """One, several or all servers, and a name with a quote."""
    sql = "WHERE $__conditionalAll(server IN (${server:singlequote}), $server)"
    assert expand(sql, START, END, server=chosen) == expected
