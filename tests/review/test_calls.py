from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from sidecar.errors import StoreError
from sidecar.outcomes import FAILED
from sidecar.record.call_row import LISTED
from sidecar.record.store import reader
from sidecar.review import calls
from sidecar.review.filters import Filters
from tests import seed
from tests.seeded import Record, open_record


def day(now: datetime, **chosen: object) -> Filters:
    """A filter on the last day."""
    return Filters(since=now - timedelta(days=1), **chosen)  # type: ignore[arg-type]


def test_the_newest_calls_come_first(record: Record, now: datetime) -> None:
    """A list begins with what happened last and is as long as was asked for."""
    found = calls.calls(record.client, day(now, limit=50))
    assert [row.call_id for row in found[:2]] == [seed.REDACTED, seed.BLOCKED]
    assert len(found) == 50
    assert found == sorted(found, key=lambda row: row.ts, reverse=True)
    assert found[0].ts.tzinfo == UTC


@pytest.mark.parametrize(
    "chosen",
    [
        {"server": "mail"},
        {"tool": "send_email"},
        {"verdict": "block"},
        {"status": "tool_error"},
        {"session": "0000000000000003"},
        {"user": "ada@example.com"},
        {"rule": "pii.in-results"},
        {"method": "tools/list"},
        {"server": "mail", "verdict": "block", "tool": "send_email"},
        {"tool": seed.HOSTILE_TEXT},
    ],
)
def test_every_filter_holds(record: Record, now: datetime, chosen: dict[str, str]) -> None:
    """A list shows only what was asked for, whatever the name looks like, and all of it."""
    found = calls.calls(record.client, day(now, limit=1000, **chosen))
    expected = [row for row in seed.rows(now)["calls"] if all(row.get(name, "") == value for name, value in chosen.items())]
    assert {str(row.call_id) for row in found} == {row["call_id"] for row in expected}
    assert found


def test_a_name_with_a_quote_is_only_a_name(record: Record, now: datetime) -> None:
    """A filter cannot be used to ask for something else."""
    assert calls.calls(record.client, day(now, server="x' OR '1'='1")) == []


def test_lists_never_read_payloads() -> None:
    """A list stays fast however long the payloads are, because it does not touch them."""
    assert not {"request", "response", "error_message", "attrs"} & {*LISTED}


def test_a_call_is_shown_once_though_it_was_stored_twice(empty_record: Record, now: datetime) -> None:
    """A batch that was sent again after a power loss does not double what a reader sees."""
    rows = seed.rows(now)["calls"][:5]
    empty_record.insert({"calls": rows})
    empty_record.insert({"calls": rows})
    assert len(calls.calls(empty_record.client, day(now, limit=5))) == 5


def test_a_call_in_full_says_why(record: Record) -> None:
    """Whoever opens a blocked call sees both payloads, the finding, whom it was told to, and the text of the rule."""
    full = calls.call(record.client, seed.BLOCKED)
    assert full is not None
    assert full.call.verdict == "block"
    assert full.call.error_message == "Not sent: the arguments hold an AWS access key."
    assert '"name": "send_email"' in full.call.request
    assert '"isError": true' in full.call.response
    assert [(finding.rule, finding.severity, finding.preview) for finding in full.findings] == [
        ("secrets.out", "critical", seed.KEY_PREVIEW)
    ]
    assert [alert.state for alert in full.alerts] == ["sent"]
    assert [(file.path, file.text) for file in full.policies] == [
        ("personal.yaml", seed.PERSONAL_POLICY),
        ("secrets.yaml", seed.SECRETS_POLICY),
    ]


def test_an_unknown_call_is_nothing(record: Record) -> None:
    """A call that is not in the record yet is told apart from an error."""
    assert calls.call(record.client, UUID(int=1)) is None


def test_the_figures_count_everything_that_fits(record: Record, now: datetime) -> None:
    """The numbers above a list are about all calls, not only about those that are listed."""
    rows = seed.rows(now)["calls"]
    of = calls.summary(record.client, day(now, limit=1))
    assert of.calls == len(rows)
    assert of.blocked == sum(row["verdict"] == "block" for row in rows)
    assert of.redacted == sum(row["verdict"] == "redact" for row in rows)
    assert of.failed == sum(row["status"] in FAILED for row in rows)
    assert of.sessions == len({row["session"] for row in rows})
    assert 0 < of.p95_overhead_us < of.p95_us


def test_calls_over_time_add_up(record: Record, now: datetime) -> None:
    """The chart shows every call in its own stretch of time."""
    buckets = calls.by_time(record.client, day(now), 600)
    assert sum(bucket.calls for bucket in buckets) == len(seed.rows(now)["calls"])
    assert {bucket.verdict for bucket in buckets} == {"allow", "log", "alert", "redact", "block"}
    assert all(bucket.time.timestamp() % 600 == 0 for bucket in buckets)


def test_choices_are_what_was_called(record: Record, now: datetime) -> None:
    """The filters offer the servers and tools that are there, busiest first."""
    pairs = calls.servers_and_tools(record.client, now - timedelta(days=1))
    assert pairs[0] == ("crm", "get_customer")
    assert set(pairs) == {(row["server"], row["tool"]) for row in seed.rows(now)["calls"]}


def test_an_empty_record_is_no_error(empty_record: Record, now: datetime) -> None:
    """On a fresh installation everything is empty and nothing fails."""
    assert calls.calls(empty_record.client, day(now)) == []
    assert calls.summary(empty_record.client, day(now)) == calls.Summary(0, 0, 0, 0, 0, 0, 0)
    assert calls.by_time(empty_record.client, day(now), 60) == []
    assert calls.servers_and_tools(empty_record.client, now) == []
    assert calls.policy_files(empty_record.client, seed.VERSION) == []


def test_a_record_that_went_away_is_one_clear_error(tmp_path: Path, now: datetime) -> None:
    """When the collector stops, a reader is told so in one line."""
    with open_record(tmp_path, {}) as record:
        client = reader(record.settings)
    with pytest.raises(StoreError, match=r"^the record does not answer; start it with .*'sidecar collect'$"):
        calls.calls(client, day(now))
    client.close()
    with pytest.raises(StoreError):
        reader(record.settings)
