"""Queries about calls: the list, one call in full, and the figures above the list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from clickhouse_connect.driver.client import Client

from sidecar.document import Document
from sidecar.limits import CHOICES_MAX
from sidecar.outcomes import FAILED
from sidecar.record.call_row import LISTED, CallRow
from sidecar.review.filters import CALL_COLUMNS, Filters, conditions
from sidecar.review.findings import AlertRow, FindingRow, alerts_of, findings_of
from sidecar.review.read import columns, fetch, newest

ReadCall = CallRow[datetime, UUID]
"""A call as it is read. Lists fill the columns of ``call_row.LISTED`` only: no payload, no text of unbounded length."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One file of one policy version, as it was when that version judged calls."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class CallInFull:
    """A call with its findings, its alerts and the policy files that judged it."""

    call: ReadCall
    findings: list[FindingRow]
    alerts: list[AlertRow]
    policies: list[PolicyFile]


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures above a list of calls. ``p95_us`` and ``p95_overhead_us`` are 0 when there is no call."""

    calls: int
    blocked: int
    redacted: int
    failed: int
    sessions: int
    p95_us: float
    p95_overhead_us: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many calls with one verdict began in one time interval."""

    time: datetime
    verdict: str
    calls: int


@dataclass(frozen=True, slots=True)
class _Pair:
    server: str
    tool: str


def calls(client: Client, filters: Filters) -> list[ReadCall]:
    """The newest calls that fit, newest first, ``filters.limit`` at most."""
    where, bound = conditions(filters, CALL_COLUMNS)
    return fetch(client, newest("calls", ", ".join(LISTED), where, "call_id"), bound, ReadCall, LISTED)


def calls_by_id(client: Client, ids: list[UUID], since: datetime) -> list[ReadCall]:
    """The calls with these ids, oldest first; ``since`` is not later than the oldest of them."""
    sql = (
        f"SELECT {', '.join(LISTED)} FROM calls "
        "WHERE ts >= {since:DateTime64(6, 'UTC')} AND call_id IN {ids:Array(UUID)} "
        "ORDER BY ts, call_id LIMIT 1 BY call_id"
    )
    return fetch(client, sql, {"since": since, "ids": ids}, ReadCall, LISTED)


def call(client: Client, call_id: UUID) -> CallInFull | None:
    """One call in full, or nothing when it is not in the record: unknown, too old, or still under way."""
    sql = f"SELECT {columns(ReadCall)} FROM calls WHERE call_id = {{id:UUID}} LIMIT 1"
    found = fetch(client, sql, {"id": call_id}, ReadCall)
    if not found:
        return None
    return CallInFull(
        found[0],
        findings_of(client, call_id),
        alerts_of(client, call_id),
        policy_files(client, found[0].policy_version),
    )


def policy_files(client: Client, version: str) -> list[PolicyFile]:
    """The texts of a policy version, by path; empty when that version is not in the record."""
    sql = "SELECT path, any(text) FROM policies WHERE version = {version:String} GROUP BY path ORDER BY path"
    return fetch(client, sql, {"version": version}, PolicyFile)


def refusal(full: CallInFull) -> tuple[str, str]:
    """What a client read that the sidecar answered itself, in place of the server: our words for it, and the text.

    The record has the text itself (``error_message``), but not for servers whose payloads are not kept, nor for calls of
    older versions; then it is what the rule that decided has to say. Both are empty when nothing is known.
    """
    call = full.call
    if call.status != "blocked" or call.response:
        return "", ""
    if call.error_message:
        return "What the client was told", call.error_message
    if message := _rule_message(full.policies, call.rule):
        return "The message of the rule, which the client was told", message
    title = next((found.title for found in full.findings if found.rule == call.rule and found.title), "")
    return ("The client was told that the call is not allowed, by this rule", title) if title else ("", "")


def _rule_message(files: list[PolicyFile], rule: str) -> str:
    """``message`` of a rule, or of the access section that an entry belongs to, as the policy's file has it."""
    for file in files:
        value = Document(file.path, file.text).value
        policy = value if isinstance(value, dict) else {}
        access = policy.get("access")
        for holder, key in ((policy, "rules"), (access, "deny")):
            entries = holder.get(key) if isinstance(holder, dict) else None
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict) and entry.get("id") == rule:
                    of_all = access.get("message") if key == "deny" and isinstance(access, dict) else None
                    return str(entry.get("message") or of_all or "")
    return ""


def summary(client: Client, filters: Filters) -> Summary:
    """The figures of all calls that match, not only of those that the list shows."""
    where, bound = conditions(filters, CALL_COLUMNS)
    sql = (
        "SELECT count(), countIf(verdict = 'block'), countIf(verdict IN ('redact', 'tokenize')), "
        "countIf(status IN {failed:Array(String)}), uniq(session), "
        "ifNull(quantileTDigestOrNull(0.95)(duration_us), 0), ifNull(quantileTDigestOrNull(0.95)(overhead_us), 0) "
        f"FROM calls WHERE {where}"
    )
    return fetch(client, sql, bound | {"failed": list(FAILED)}, Summary)[0]


def by_time(client: Client, filters: Filters, step_s: int) -> list[Bucket]:
    """Calls per verdict in steps of ``step_s`` seconds, oldest first; empty steps are left out."""
    where, bound = conditions(filters, CALL_COLUMNS)
    sql = (
        "SELECT toStartOfInterval(toDateTime(ts), toIntervalSecond({step:UInt32})) AS time, verdict, count() "
        f"FROM calls WHERE {where} GROUP BY time, verdict ORDER BY time, verdict LIMIT 5000"
    )
    return fetch(client, sql, bound | {"step": max(1, step_s)}, Bucket)


def servers_and_tools(client: Client, since: datetime) -> list[tuple[str, str]]:
    """The servers and tools called since then, busiest first; read from the rollup, so months are cheap."""
    sql = (
        "SELECT server, tool FROM calls_1m WHERE minute >= toStartOfMinute({since:DateTime('UTC')}) "
        "GROUP BY server, tool ORDER BY sum(calls) DESC, server, tool LIMIT {most:UInt32}"
    )
    bound: dict[str, Any] = {"since": since, "most": CHOICES_MAX}
    return [(pair.server, pair.tool) for pair in fetch(client, sql, bound, _Pair)]
