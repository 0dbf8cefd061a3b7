"""The rows that calls leave: one for the call, one for each finding. Written before a request goes on, and at its end."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, TypedDict, Unpack

import orjson

from sidecar import limits
from sidecar.decode import lossless, mcp
from sidecar.errors import StoreError
from sidecar.events import ACTIONS, SEVERITIES, Finding, Span
from sidecar.logs import get_logger
from sidecar.outcomes import ErrorType, Status
from sidecar.policy.judgement import Judgement
from sidecar.policy.replacements import Replacements
from sidecar.record import peer_info
from sidecar.record.call_row import WrittenRow, new_row
from sidecar.record.row_ids import NO_CALL, microseconds, new_id, timestamp
from sidecar.settings import Server

log = get_logger("sidecar.record")

Mask = Callable[[bytes, Any, Iterable[Span], Replacements], tuple[bytes, Any]]
"""Makes a payload fit to be kept: its bytes and its value without what detectors found."""


@dataclass(slots=True)
class CallRecord:
    """What is written of a call: its row, and the findings that are not written yet.

    ``started`` is on the steady clock; ``spent_s`` is how long the sidecar itself worked on it.
    """

    row: WrittenRow
    server: Server
    method: str
    """As it was sent; in the row it is masked and cut."""
    started: float
    spent_s: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def without_payload(self) -> "CallRecord":
        """What must be known of it to judge a replay of its answer, and no more."""
        row = new_row()
        row.call_id, row.method, row.tool, row.direction = self.row.call_id, self.row.method, self.row.tool, self.row.direction
        return CallRecord(row, self.server, self.method, self.started)


class Outcome(TypedDict, total=False):
    """How a call ended, beside its status; what is left out is empty, or not known."""

    response: Judgement | None
    error_type: ErrorType
    error_message: str
    error_code: int
    http_status: int


class Ledger:
    """Writes calls and findings to the outbox. ``put`` takes one record; ``mask`` makes a payload fit to be kept."""

    def __init__(self, put: Callable[[bytes], None], mask: Mask, *, node: str, is_forwarding_when_full: bool) -> None:
        self._put = put
        self._mask = mask
        self._node = node
        self._is_forwarding_when_full = is_forwarding_when_full
        self.lost_records = 0
        self._is_losing = False

    def open(
        self, judgement: Judgement, about: mcp.MessageFields, row: WrittenRow, *, now: float, started: float, server: Server
    ) -> CallRecord:
        """A record for a judged request or notification that says ``about`` of itself; nothing is written yet.

        ``row`` holds what is known beside the message: by what it came, and what stands in place of what it says.
        """
        message = judgement.message
        payload, recorded = self._recorded(server, judgement)
        if recorded is not message.payload:
            about = mcp.facts(recorded if isinstance(recorded, dict) else {})
        row.ts = timestamp(now)
        row.call_id = new_id(now)
        row.node = self._node
        row.session = message.session
        row.trace_id = about.trace_id
        row.client = about.client or message.caller.client
        row.client_version = about.client_version or message.caller.client_version
        row.client_address = message.caller.address
        row.user = message.caller.user
        row.server = message.server
        row.direction = message.direction
        row.kind = message.kind
        row.method = row.method or about.method[: limits.NAME_CHARS_MAX]
        row.tool = row.tool or about.tool[: limits.NAME_CHARS_MAX]
        row.rpc_id = _id_text(recorded)
        row.request = payload[: limits.PAYLOAD_RECORD_BYTES_MAX]
        row.truncated = int(len(payload) > limits.PAYLOAD_RECORD_BYTES_MAX)
        row.request_bytes = message.size
        if attributes := peer_info.of_request(message.method, recorded):
            row.attrs = {**attributes, **row.attrs}
        record = CallRecord(row, server, message.method, started)
        self.note(record, judgement, now)
        return record

    def note(self, record: CallRecord, judgement: Judgement, now: float) -> None:
        """Add what was found in one more message of this call; written with the call's next record."""
        row, verdict, scan = record.row, judgement.verdict, judgement.scan
        if row.verdict == "" or ACTIONS.index(verdict.action) > ACTIONS.index(row.verdict):
            row.verdict, row.rule = verdict.action, verdict.rule
        row.policy_version = verdict.policy_version
        row.decision_us += microseconds(judgement.spent_s)
        row.bytes_scanned += scan.bytes_scanned
        row.rules = _all_of(row.rules, judgement.rules)
        row.detectors, row.detectors_version = scan.detectors, scan.version
        row.bytes_unwrapped += scan.bytes_unwrapped
        if scan.bytes_skipped or scan.skipped or scan.unseen:
            row.bytes_skipped += scan.bytes_skipped
            row.skipped = sorted({*row.skipped, *scan.skipped, *scan.unseen})
        for name, count in judgement.restored.counts() if judgement.restored is not None else ():
            row.describe(name, str(count))
        if verdict.findings:
            row.findings += len(verdict.findings)
            row.max_severity = max(row.max_severity, *(SEVERITIES.index(each.severity) + 1 for each in verdict.findings))
            record.findings += [self._finding_row(record, judgement, finding, now) for finding in verdict.findings]

    def begin(self, record: CallRecord) -> None:
        """Write the call down before its request is passed on.

        Raises:
            StoreError: the outbox is full, and the settings say not to forward what is not recorded.
        """
        self._write({"phase": "begin", "call": record.row, "rows": {"findings": _take(record)}})

    def findings(self, record: CallRecord) -> None:
        """Write the findings of an open call at once, so that their alert need not wait for its end."""
        if record.findings:
            self._write({"phase": "rows", "rows": {"findings": _take(record)}})

    def end(self, record: CallRecord, status: Status, *, now_s: float, **outcome: Unpack[Outcome]) -> None:
        """Write the whole call; ``now_s`` is the clock ``started`` was read from. To be called once for a record."""
        row, response = record.row, outcome.get("response")
        row.status, row.error_type = status, outcome.get("error_type", "")
        row.error_message, row.error_code = outcome.get("error_message", ""), outcome.get("error_code", 0)
        row.http_status = outcome.get("http_status", 0)
        row.ended = "answer" if response is not None else "refused" if status == "blocked" else row.error_type or status
        row.duration_us = microseconds(now_s - record.started)
        row.overhead_us = microseconds(record.spent_s)
        if response is not None:
            self._add_response(record, response)
        self._write({"phase": "end", "call": row, "rows": {"findings": _take(record)}})

    def rows(self, **rows: list[dict[str, Any]]) -> None:
        """Write rows that belong to no call."""
        self._write({"phase": "rows", "rows": rows})

    def health(self, metric: str, value: float, detail: str, now: float) -> None:
        """Write one thing that happened to the sidecar itself."""
        row = {"ts": timestamp(now), "health_id": new_id(now), "node": self._node, "process": "proxy"}
        self.rows(health=[{**row, "metric": metric, "value": value, "detail": detail}])

    def definitions(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write lines of the history of definitions."""
        self.rows(tools=[{"node": self._node, **row} for row in rows])

    def own_finding(self, finding: Finding, now: float, call_id: str = NO_CALL) -> None:
        """Write a finding about the sidecar itself, or about a call that was written before, to be alerted like any other."""
        row = {"ts": timestamp(now), "finding_id": new_id(now), "call_id": call_id, "node": self._node}
        self.rows(findings=[{**row, **_finding_columns(finding)}])

    def _add_response(self, record: CallRecord, response: Judgement) -> None:
        row = record.row
        payload, recorded = self._recorded(record.server, response)
        row.response = payload[: limits.PAYLOAD_RECORD_BYTES_MAX]
        row.truncated |= int(len(payload) > limits.PAYLOAD_RECORD_BYTES_MAX)
        row.response_bytes = response.message.size
        row.result_type, attributes = peer_info.of_answer(record.method, recorded)
        row.attrs |= attributes
        if response.message.kind == "error":
            row.error_code, text = mcp.error_of(recorded)
            if not row.error_message and record.server.payloads != "metadata":
                row.error_message = text[: limits.NAME_CHARS_MAX]

    def _recorded(self, server: Server, judgement: Judgement) -> tuple[str, Any]:
        """A payload as it is kept: its text, and its value."""
        scan, raw, value = judgement.scan, judgement.raw, judgement.message.payload
        if judgement.said is not None:
            scan, raw, value = judgement.said.scan, judgement.said.raw, judgement.said.payload
        if judgement.scan.skipped:
            # What was not looked at may hold anything, so nothing of it is kept.
            return f"[not kept: not all of it was looked at ({', '.join(judgement.scan.skipped)})]", {}
        if scan.spans:
            replacements = Replacements() if judgement.said is not None else judgement.replacements
            raw, value = self._mask(raw, value, scan.spans, replacements)
        return ("" if server.payloads == "metadata" else raw.decode("utf-8", "replace")), value

    def _finding_row(self, record: CallRecord, judgement: Judgement, finding: Finding, now: float) -> dict[str, Any]:
        row = record.row
        return {
            "ts": timestamp(now),
            "finding_id": new_id(now),
            "call_id": row.call_id,
            "node": self._node,
            "session": row.session,
            "user": row.user,
            "server": row.server,
            "method": row.method,
            "tool": finding.tool or row.tool,
            "direction": judgement.message.direction,
            "policy_version": judgement.verdict.policy_version,
            **_finding_columns(finding),
        }

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self._put(_json(record))
        except StoreError as error:
            if not self._is_losing:
                self._is_losing = True
                log.error("records are being lost", error=str(error))
            self.lost_records += 1
            if record["phase"] == "begin" and not self._is_forwarding_when_full:
                raise
            return
        if self._is_losing:
            self._is_losing = False
            log.error("records are kept again", lost=self.lost_records)
            self.health("rows_lost", self.lost_records, "the outbox was full", time.time())


def _finding_columns(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "policy": finding.policy,
        "title": finding.title,
        "severity": finding.severity,
        "mode": finding.mode,
        "action": finding.action,
        "kind": finding.kind,
        "path": finding.path,
        "fingerprint": finding.fingerprint,
        "preview": finding.preview,
        "confidence": finding.confidence,
        "count": finding.count,
    }


def _take(record: CallRecord) -> list[dict[str, Any]]:
    rows, record.findings = record.findings, []
    return rows


@lru_cache(maxsize=256)
def _all_of(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*some, *others}))


def _id_text(message: Any) -> str:
    value = message.get("id") if isinstance(message, dict) else None
    return "" if value is None else lossless.canonical(value).decode("utf-8", "replace")[:200]


def _json(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)
    except (TypeError, ValueError):
        row = record.get("call")
        return orjson.dumps(_sound(record if row is None else {**record, "call": asdict(row)}))


def _sound(value: Any) -> Any:
    """The record with lone surrogates replaced; JSON can express them, UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_sound(key): _sound(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(inner) for inner in value]
    return value
