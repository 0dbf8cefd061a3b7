from datetime import datetime, timedelta

import pytest

from sidecar.review import findings
from sidecar.review.filters import Filters
from tests import seed
from tests.seeded import Record


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"severity": "critical"},
        {"mode": "monitor"},
        {"rule": "secrets.out", "mode": "enforce"},
        {"kind": "pii.email"},
        {"server": "mail", "severity": "critical"},
    ],
)
def test_every_filter_holds(record: Record, now: datetime, chosen: dict[str, str]) -> None:
    """The list of findings shows only what was asked for, and all of it."""
    found = findings.findings(record.client, Filters(since=now - timedelta(days=1), limit=1000, **chosen))  # type: ignore[arg-type]
    rows = seed.rows(now)["findings"]
    expected = [row for row in rows if all(row[name] == value for name, value in chosen.items())]
    assert {str(row.finding_id) for row in found} == {row["finding_id"] for row in expected}
    assert found
    assert found == sorted(found, key=lambda row: row.ts, reverse=True)


def test_rules_are_counted_gravest_first(record: Record, now: datetime) -> None:
    """A reader sees at once which rule matters most, and how often it acted or would have."""
    counted = findings.by_rule(record.client, Filters(since=now - timedelta(days=1)))
    rows = seed.rows(now)["findings"]
    assert [row.rule for row in counted][:1] == ["secrets.out"]
    assert {row.rule: (row.enforced, row.monitored) for row in counted} == {
        rule: tuple(sum(row["rule"] == rule and row["mode"] == mode for row in rows) for mode in ("enforce", "monitor"))
        for rule in {row["rule"] for row in rows}
    }
    order = ["critical", "high", "medium", "low", "info"]
    assert [row.severity for row in counted] == sorted([row.severity for row in counted], key=order.index)


def test_a_filter_on_severity_holds_for_the_counts(record: Record, now: datetime) -> None:
    """The counts above the list are about the same findings as the list."""
    counted = findings.by_rule(record.client, Filters(since=now - timedelta(days=1), severity="high"))
    assert {row.severity for row in counted} == {"high"}
    assert {row.rule for row in counted} == {"secrets.out", "hostile.text"}


def test_a_call_shows_its_findings_and_alerts(record: Record) -> None:
    """From a call one sees what was found in it and whether somebody was told."""
    assert [row.rule for row in findings.findings_of(record.client, seed.REDACTED)] == ["pii.in-results"]
    assert [row.channel for row in findings.alerts_of(record.client, seed.REDACTED)] == ["webhook"]


def test_an_empty_record_is_no_error(empty_record: Record, now: datetime) -> None:
    """On a fresh installation nothing was found, and that is said by an empty list."""
    nothing = Filters(since=now)
    assert findings.findings(empty_record.client, nothing) == []
    assert findings.by_rule(empty_record.client, nothing) == []
    assert findings.findings_of(empty_record.client, seed.BLOCKED) == []
    assert findings.alerts_of(empty_record.client, seed.BLOCKED) == []
