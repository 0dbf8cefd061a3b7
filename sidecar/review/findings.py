"""Queries about findings: the list, those of one call, and the alerts that were sent for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from clickhouse_connect.driver.client import Client

from sidecar.limits import CHOICES_MAX, LIST_ROWS_MAX
from sidecar.review.filters import FINDING_COLUMNS, Filters, conditions
from sidecar.review.read import columns, fetch, newest

_BY_SEVERITY: Final = "indexOf(['critical', 'high', 'medium', 'low', 'info'], {})"


@dataclass(frozen=True, slots=True)
class FindingRow:
    """What one rule found, with its location and masked preview; never the value."""

    ts: datetime
    finding_id: UUID
    call_id: UUID
    node: str
    session: str
    user: str
    server: str
    method: str
    tool: str
    direction: str
    rule: str
    policy: str
    policy_version: str
    title: str
    severity: str
    mode: str
    action: str
    kind: str
    path: str
    fingerprint: str
    preview: str
    confidence: float
    count: int


@dataclass(frozen=True, slots=True)
class AlertRow:
    """The outcome of one alert about a finding. ``state`` is sent, failed or dropped."""

    ts: datetime
    finding_id: UUID
    rule: str
    severity: str
    channel: str
    state: str
    attempts: int
    latency_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule acted (``enforced``) and how often it would have (``monitored``)."""

    rule: str
    title: str
    severity: str
    enforced: int
    monitored: int
    last: datetime


def findings(client: Client, filters: Filters) -> list[FindingRow]:
    """The newest findings that match, newest first, at most ``filters.limit``."""
    where, bound = conditions(filters, FINDING_COLUMNS)
    return fetch(client, newest("findings", columns(FindingRow), where, "finding_id"), bound, FindingRow)


def findings_of(client: Client, call_id: UUID) -> list[FindingRow]:
    """All findings of one call, most severe first."""
    sql = (
        f"SELECT {columns(FindingRow)} FROM findings WHERE call_id = {{id:UUID}} "
        f"ORDER BY mode, {_BY_SEVERITY.format('severity')}, rule, path LIMIT 1 BY finding_id LIMIT {{most:UInt32}}"
    )
    return fetch(client, sql, {"id": call_id, "most": LIST_ROWS_MAX}, FindingRow)


def alerts_of(client: Client, call_id: UUID) -> list[AlertRow]:
    """The alerts sent about one call, oldest first."""
    sql = (
        f"SELECT {columns(AlertRow)} FROM alerts WHERE call_id = {{id:UUID}} "
        "ORDER BY ts, alert_id LIMIT 1 BY alert_id LIMIT {most:UInt32}"
    )
    return fetch(client, sql, {"id": call_id, "most": LIST_ROWS_MAX}, AlertRow)


def by_rule(client: Client, filters: Filters) -> list[RuleCount]:
    """The rules that found something, most severe first, then most frequent first."""
    where, bound = conditions(filters, FINDING_COLUMNS)
    by_severity = _BY_SEVERITY.format("latest_severity")
    sql = (
        "SELECT rule, any(title), argMax(severity, ts) AS latest_severity, countIf(mode = 'enforce') AS enforced, "
        f"countIf(mode = 'monitor') AS monitored, max(ts) FROM findings WHERE {where} "
        f"GROUP BY rule ORDER BY {by_severity}, enforced + monitored DESC, rule LIMIT {{most:UInt32}}"
    )
    return fetch(client, sql, bound | {"most": CHOICES_MAX}, RuleCount)
