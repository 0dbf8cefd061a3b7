from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.limits import LIST_ROWS_MAX
from sidecar.review.filters import CALL_COLUMNS, EQUAL, FINDING_COLUMNS, Filters, conditions, from_query, parse_since

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


@given(st.dictionaries(st.sampled_from(EQUAL), st.text(min_size=1), min_size=1))
def test_values_are_bound_never_written_into_the_query(query: dict[str, str]) -> None:
    """No name of a tool or user, however it is written, becomes SQL."""
    filters = from_query(query, NOW)
    for columns in (CALL_COLUMNS, FINDING_COLUMNS):
        where, bound = conditions(filters, columns)
        assert where == " AND ".join(
            [
                "ts >= {since:DateTime64(6, 'UTC')}",
                *(f"{name} = {{{name}:String}}" for name in EQUAL if name in query and name in columns),
            ]
        )
        assert {name: bound[name] for name in query if name in columns} == {
            name: value for name, value in query.items() if name in columns
        }


def test_a_list_is_never_longer_than_its_bound() -> None:
    """Asking for a million rows gives what a page can hold."""
    assert conditions(Filters(since=NOW, limit=10**9), CALL_COLUMNS)[1]["limit"] == LIST_ROWS_MAX
    assert conditions(Filters(since=NOW, limit=-5), CALL_COLUMNS)[1]["limit"] == 1


def test_an_address_carries_filters_and_nothing_else() -> None:
    """A link with unknown parameters opens the page without them."""
    assert from_query({"server": "crm", "utm": "x", "limit": "9"}, NOW) == Filters(since=NOW, server="crm")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15m", NOW - timedelta(minutes=15)),
        ("2h", NOW - timedelta(hours=2)),
        (" 7d ", NOW - timedelta(days=7)),
        ("90s", NOW - timedelta(seconds=90)),
        ("2026-11-22T14:00", NOW - timedelta(hours=1)),
        ("2026-11-22T16:00+02:00", NOW - timedelta(hours=1)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_since_is_understood_as_people_write_it(text: str, expected: datetime) -> None:
    """A span back from now, or a point in time, UTC where no zone is given."""
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "0m", "5", "m5", "-1h", "1.5h", "2026-13-01", "9999999d", "999999d"])
def test_a_wrong_since_says_what_to_write(text: str) -> None:
    """A mistyped time is answered with examples."""
    with pytest.raises(ValueError, match="write for example 15m, 2h, 7d or 2026-11-22T14:00"):
        parse_since(text, NOW)
