"""A call while it is open, and the rows it leaves: one for the call, one for each finding."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from sidecar import limits
from sidecar.decode import lossless, mcp
from sidecar.errors import StoreError
from sidecar.events import ACTIONS, SEVERITIES, Caller, Finding, Message, Span
from sidecar.judging.carry_over import CarryOver
from sidecar.logs import get_logger
from sidecar.policy.judgement import Judgement
from sidecar.policy.replacements import Replacements
from sidecar.record import peer_info
from sidecar.settings import Server

log = get_logger("sidecar.record")

NO_CALL: Final = "00000000-0000-0000-0000-000000000000"

_random = random.SystemRandom().getrandbits(128)
_ids = random.Random(_random)


def new_id(now: float | None = None) -> str:
    """A UUID version 7 (RFC 9562 §5.7): ordered by time, so that a row's id and its time agree."""
    milliseconds = int((time.time() if now is None else now) * 1000)
    bits = _ids.getrandbits(74)
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def timestamp(now: float) -> str:
    """Unix seconds as ClickHouse reads them: UTC with microseconds."""
    second, microseconds = divmod(int(now * 1e6), 1_000_000)
    return f"{_second(second)}.{microseconds:06d}"


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class TaskOrigin:
    """The call a task belongs to, as policies see it: what its task brings later is that call's output."""

    call_id: str
    method: str
    tool: str
    args: Any
    recorded_tool: str


@dataclass(frozen=True, slots=True)
class Round:
    """One sending of a call that its server answers by questions: the id of the first, and the how manieth it is."""

    call_id: str
    number: int


@dataclass(slots=True)
class Call:
    """A request on its way, until its answer closes it."""

    id: str
    rpc_id: Any
    server: Server
    method: str
    tool: str
    args: Any
    caller: Caller
    session: str
    era: str
    started: float
    row: dict[str, Any]
    spent_s: float = 0.0
    substituted: str = ""
    """Why a server's request was replaced by a ping, and so what the server reads as the answer."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    link: Any = None
    """Under what it is remembered while it is open, and for a while after."""
    raw_hash: int = 0
    is_streamed: bool = False
    """Whether anything of it came on an event stream, which a client may resume and a server replay."""
    is_waiting: bool = False
    """Whether its own exchange is over and its answer is expected on another."""
    is_cancelled: bool = False
    is_ended: bool = False
    origin: TaskOrigin | None = None
    """The call whose task this one asks about."""
    round: Round | None = None
    replays: int = 0
    """How often its server, or its client, sent again what belongs to it."""
    answer_hash: int = 0
    carry_over: CarryOver | None = None
    """What the notifications of it ended with."""

    def without_payload(self) -> "Call":
        """What must be known of it to judge a replay of its answer, and no more."""
        row = {"method": self.row["method"], "tool": self.row["tool"], "direction": self.row["direction"]}
        return replace(self, args=self._remembered_args(), row=row, findings=[], link=None)

    def as_origin(self) -> TaskOrigin:
        """What must be known of it to judge what its task brings later."""
        return TaskOrigin(self.id, self.method, self.tool, self._remembered_args(), self.row["tool"])

    def _remembered_args(self) -> Any:
        return self.args if self.row.get("request_bytes", 0) <= limits.REMEMBERED_ARGS_BYTES_MAX else {}

    @property
    def answers_as(self) -> str:
        """The method whose form of result answers it: what a task of a tool brings is that tool's result."""
        return self.origin.method if self.origin is not None and self.method == "tasks/result" else self.method

    def mark(self, anomaly: str) -> None:
        """Something about its messages that a well-behaved peer does not do, as one word for the record."""
        anomalies = self.row.setdefault("anomalies", [])
        if anomaly not in anomalies:
            anomalies.append(anomaly)

    def attribute(self, name: str, value: str) -> None:
        """One more fact for the record."""
        self.row["attrs"] = {**self.row.get("attrs", {}), name: value}

    def answer_message(self, payload: Any, kind: Any, size: int, direction: Any = "response") -> Message:
        """The message that answers this call, as policies see it."""
        about = self.origin or self
        return Message(
            server=self.server.name,
            direction=direction,
            kind=kind,
            method=about.method,
            tool=about.tool,
            args=about.args,
            payload=payload,
            size=size,
            caller=self.caller,
            session=self.session,
        )


class Ledger:
    """Writes calls and findings to the outbox. ``put`` takes one record; ``mask`` makes a payload fit to be kept."""

    def __init__(
        self,
        put: Callable[[bytes], None],
        mask: Callable[[bytes, Any, Iterable[Span], Replacements], tuple[bytes, Any]],
        *,
        node: str,
        is_forwarding_when_full: bool,
    ) -> None:
        self._put = put
        self._mask = mask
        self._node = node
        self._is_forwarding_when_full = is_forwarding_when_full
        self.lost_records = 0
        self._is_losing = False

    def open(
        self,
        judged: Judgement,
        facts: mcp.MessageFields,
        *,
        rpc_id: Any,
        now: float,
        started: float,
        server: Server,
        **known: Any,
    ) -> Call:
        """A call for a judged request or notification that says ``facts`` of itself; nothing is written yet."""
        message = judged.message
        payload, said = self._recorded(server, judged)
        if said is not message.payload:
            facts = mcp.facts(said if isinstance(said, dict) else {})
        row = {
            "ts": timestamp(now),
            "call_id": new_id(now),
            "node": self._node,
            "session": message.session,
            "trace_id": facts.trace_id,
            "client": facts.client or message.caller.client,
            "client_version": facts.client_version or message.caller.client_version,
            "client_address": message.caller.address,
            "user": message.caller.user,
            "server": message.server,
            "direction": message.direction,
            "kind": message.kind,
            "method": facts.method[: limits.NAME_CHARS_MAX],
            "tool": facts.tool[: limits.NAME_CHARS_MAX],
            "rpc_id": _id_text(said),
            "status": "",
            "request": payload[: limits.PAYLOAD_RECORD_BYTES_MAX],
            "truncated": int(len(payload) > limits.PAYLOAD_RECORD_BYTES_MAX),
            "request_bytes": message.size,
            **known,
        }
        if attributes := peer_info.of_request(message.method, said):
            row["attrs"] = {**attributes, **known.get("attrs", {})}
        call = Call(
            id=row["call_id"],
            rpc_id=rpc_id,
            server=server,
            method=message.method,
            tool=message.tool,
            args=message.args,
            caller=message.caller,
            session=message.session,
            era=row.get("era", ""),
            started=started,
            row=row,
        )
        self.note(call, judged, now)
        return call

    def note(self, call: Call, judged: Judgement, now: float) -> None:
        """Add what was found in one more message of this call; written with the call's next record."""
        row, verdict, scan = call.row, judged.verdict, judged.scan
        if "verdict" not in row or ACTIONS.index(verdict.action) > ACTIONS.index(row["verdict"]):
            row["verdict"], row["rule"] = verdict.action, verdict.rule
        row["policy_version"] = verdict.policy_version
        row["decision_us"] = row.get("decision_us", 0) + int(judged.spent_s * 1e6)
        row["bytes_scanned"] = row.get("bytes_scanned", 0) + scan.bytes_scanned
        row["rules"] = _all_of(row.get("rules", ()), judged.rules)
        row["detectors"], row["detectors_version"] = scan.detectors, scan.version
        if scan.bytes_unwrapped:
            row["bytes_unwrapped"] = row.get("bytes_unwrapped", 0) + scan.bytes_unwrapped
        if scan.bytes_skipped or scan.skipped or scan.unseen:
            row["bytes_skipped"] = row.get("bytes_skipped", 0) + scan.bytes_skipped
            row["skipped"] = sorted({*row.get("skipped", ()), *scan.skipped, *scan.unseen})
        for name, count in judged.restored.counts() if judged.restored is not None else ():
            call.attribute(name, str(count))
        if verdict.findings:
            row["findings"] = row.get("findings", 0) + len(verdict.findings)
            worst = max(SEVERITIES.index(finding.severity) + 1 for finding in verdict.findings)
            row["max_severity"] = max(row.get("max_severity", 0), worst)
            call.findings += [self._finding_row(call, judged, finding, now) for finding in verdict.findings]

    def begin(self, call: Call) -> None:
        """Write the call down before its request is passed on.

        Raises:
            StoreError: the outbox is full, and the settings say not to forward what is not recorded.
        """
        self._write({"phase": "begin", "call": call.row, "rows": {"findings": self._taken(call)}})

    def findings(self, call: Call) -> None:
        """Write the findings of an open call at once, so that their alert need not wait for its end."""
        if call.findings:
            self._write({"phase": "rows", "rows": {"findings": self._taken(call)}})

    def end(self, call: Call, status: str, *, answer: Judgement | None = None, now_s: float, **known: Any) -> None:
        """Write the whole call, once; ``now_s`` is the clock ``started`` was read from."""
        if call.is_ended:
            return
        call.is_ended = True
        call.carry_over = None
        row = call.row
        row.update(known)
        row["status"] = status
        by_itself = "refused" if status == "blocked" else row.get("error_type") or status
        row["ended"] = "answer" if answer is not None else by_itself
        row["duration_us"] = max(0, int((now_s - call.started) * 1e6))
        row["overhead_us"] = int(call.spent_s * 1e6)
        if answer is not None:
            payload, said = self._recorded(call.server, answer)
            row["response"] = payload[: limits.PAYLOAD_RECORD_BYTES_MAX]
            row["truncated"] |= int(len(payload) > limits.PAYLOAD_RECORD_BYTES_MAX)
            row["response_bytes"] = answer.message.size
            columns, attributes = peer_info.of_answer(call.method, said)
            row.update(columns)
            if attributes:
                row["attrs"] = {**row.get("attrs", {}), **attributes}
            if answer.message.kind == "error":
                row["error_code"], text = mcp.error_of(said)
                row["error_message"] = "" if call.server.payloads == "metadata" else text[: limits.NAME_CHARS_MAX]
        self._write({"phase": "end", "call": row, "rows": {"findings": self._taken(call)}})

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

    def _recorded(self, server: Server, judged: Judgement) -> tuple[str, Any]:
        scan, raw, said = judged.scan, judged.raw, judged.message.payload
        if judged.said is not None:
            scan, raw, said = judged.said.scan, judged.said.raw, judged.said.payload
        if judged.scan.skipped:
            # What was not looked at may hold anything, so nothing of it is kept.
            return f"[not kept: not all of it was looked at ({', '.join(judged.scan.skipped)})]", {}
        if scan.spans:
            raw, said = self._mask(raw, said, scan.spans, Replacements() if judged.said is not None else judged.replacements)
        return ("" if server.payloads == "metadata" else raw.decode("utf-8", "replace")), said

    def _finding_row(self, call: Call, judged: Judgement, finding: Finding, now: float) -> dict[str, Any]:
        return {
            "ts": timestamp(now),
            "finding_id": new_id(now),
            "call_id": call.id,
            "node": self._node,
            "session": call.session,
            "user": call.caller.user,
            "server": call.server.name,
            "method": call.row["method"],
            "tool": finding.tool or call.row["tool"],
            "direction": judged.message.direction,
            "policy_version": judged.verdict.policy_version,
            **_finding_columns(finding),
        }

    @staticmethod
    def _taken(call: Call) -> list[dict[str, Any]]:
        rows, call.findings = call.findings, []
        return rows

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


@lru_cache(maxsize=256)
def _all_of(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*some, *others}))


def _id_text(said: Any) -> str:
    value = said.get("id") if isinstance(said, dict) else None
    return "" if value is None else lossless.canonical(value).decode("utf-8", "replace")[:200]


def _json(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)
    except (TypeError, ValueError):
        return orjson.dumps(_sound(record))


def _sound(value: Any) -> Any:
    """The record with lone surrogates replaced; JSON can express them, UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_sound(key): _sound(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(inner) for inner in value]
    return value
