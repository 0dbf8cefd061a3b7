"""The row of a call, once: its columns with their types, defaults and meaning.

The table (``schema.sql``), the ledger that fills it, what stdio keeps of an open call, and everyone who reads the record take
the columns from here. A new column is one line here, and the line that fills it.
"""

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from sidecar.events import Action, Direction
from sidecar.outcomes import Anomaly, Ending, ErrorType, Status

_TIME: Final = "DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1))"
_WORD: Final = "LowCardinality(String)"
_TEXT: Final = "String CODEC(ZSTD(1))"
_PAYLOAD: Final = "String CODEC(ZSTD(3))"
_COUNT: Final = "UInt64 CODEC(T64, ZSTD(1))"
_WORDS: Final = "Array(LowCardinality(String))"


class ColumnSpec(NamedTuple):
    """What the store and the readers need to know of a column."""

    type: str
    """Its type and codec in ClickHouse."""
    about: str
    is_listed: bool
    """Whether lists of calls show it; those that are large or rare do not."""
    is_noted: bool
    """Whether a wrap process keeps it of an open call, so that another proxy can end the call's row."""


def _column(type_: str, default: Any, about: str = "", *, listed: bool = False, noted: bool = False) -> Any:
    metadata = {"column": ColumnSpec(type_, about, listed, noted)}
    if isinstance(default, dict | list):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class CallRow[Time, Id]:
    """One call: a request and its answer, whatever became of it.

    As it is written, ``Time`` is text (UTC with microseconds) and ``Id`` the text of a UUID; as it is read, ``datetime`` and
    ``UUID``. Names end with their unit; ``_us`` are microseconds. Not slotted: orjson writes an instance's dictionary at once.
    """

    ts: Time = _column(
        "DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1))", "", "when the request was seen", listed=True, noted=True
    )
    call_id: Id = _column("UUID", "", "version 7, made by the proxy", listed=True)
    node: str = _column(_WORD, "", listed=True, noted=True)
    transport: str = _column(_WORD, "", "http, sse (2024-11-05), stdio", noted=True)
    session: str = _column(_TEXT, "", "ours, spans servers; a keyed hash", listed=True, noted=True)
    session_kind: str = _column(_WORD, "", "how sure: wrap, trace, user, mcp-session, client", noted=True)
    trace_id: str = _column(_TEXT, "", noted=True)
    client: str = _column(_WORD, "", "self-declared", listed=True, noted=True)
    client_version: str = _column(_WORD, "", "self-declared", noted=True)
    client_address: str = _column(_WORD, "", noted=True)
    user: str = _column(_WORD, "", "verified, or empty", listed=True, noted=True)
    server: str = _column(_WORD, "", listed=True, noted=True)
    protocol: str = _column(_WORD, "", noted=True)
    era: str = _column(_WORD, "", noted=True)
    direction: Direction | Literal[""] = _column(
        _WORD, "", "who asked: request = the client, response = the server", listed=True, noted=True
    )
    kind: str = _column(_WORD, "", "request, notification", listed=True, noted=True)
    method: str = _column(_WORD, "", listed=True, noted=True)
    tool: str = _column(_WORD, "", listed=True, noted=True)
    rpc_id: str = _column(_TEXT, "", noted=True)
    status: Status = _column(
        _WORD, "", "ok, error, tool_error, blocked, cancelled, no_response, upstream_error, notification", listed=True
    )
    error_type: ErrorType = _column(_WORD, "", listed=True)
    error_code: int = _column("Int32", 0, listed=True)
    error_message: str = _column(_PAYLOAD, "", "the error, or what a refused client was sent")
    http_status: int = _column("UInt16", 0)
    verdict: Action | Literal[""] = _column(_WORD, "", listed=True)
    rule: str = _column(_WORD, "", listed=True)
    policy_version: str = _column(_WORD, "")
    duration_us: int = _column(_COUNT, 0, "request seen to answer passed on", listed=True)
    overhead_us: int = _column(_COUNT, 0, "of which ours: decode, judge, act, record", listed=True)
    request_bytes: int = _column(_COUNT, 0, listed=True, noted=True)
    response_bytes: int = _column(_COUNT, 0, listed=True)
    request: str = _column(_PAYLOAD, "", "as recorded: detected values replaced by kind and fingerprint")
    response: str = _column(_PAYLOAD, "", "as recorded")
    truncated: int = _column("UInt8", 0)
    events: int = _column("UInt32", 0, "messages on the call's stream besides the answer")
    findings: int = _column("UInt32", 0, listed=True)
    max_severity: int = _column("UInt8", 0, "0 none, 1 info ... 5 critical", listed=True)
    bytes_scanned: int = _column(_COUNT, 0)
    bytes_skipped: int = _column(_COUNT, 0)
    skipped: list[str] = _column(_WORDS, [], "why bytes were not looked at")
    attrs: dict[str, str] = _column("Map(LowCardinality(String), String)", {})
    mcp_session: str = _column(_TEXT, "", "keyed hash of the server's own session id")
    headers_us: int = _column(_COUNT, 0, "request seen to head of the response")
    first_us: int = _column(_COUNT, 0, "request seen to first event of its stream")
    decision_us: int = _column(_COUNT, 0, "of overhead_us: detectors and rules")
    result_type: str = _column(_WORD, "", "complete, input_required, task, ... (2026-07-28)")
    ended: Ending = _column(_WORD, "", "answer, refused, client_left, stream_ended, timeout ...")
    anomalies: list[Anomaly] = _column(_WORDS, [], "what a well-behaved peer does not do")
    detectors: int = _column("UInt16", 0, "how many looked; 0: nothing was looked at")
    detectors_version: str = _column(_WORD, "", "which ones, and what they look for")
    bytes_unwrapped: int = _column(_COUNT, 0, "made of encoded stretches, and looked at too")
    rules: tuple[str, ...] = _column(_WORDS, (), "those asked about its messages; they need not hold")

    def mark(self, anomaly: Anomaly) -> None:
        """Something about its messages that a well-behaved peer does not do."""
        if anomaly not in self.anomalies:
            self.anomalies.append(anomaly)

    def describe(self, name: str, value: str) -> None:
        """One more fact of the call, among its attributes."""
        self.attrs[name] = value


type WrittenRow = CallRow[str, str]
"""As the ledger writes it."""


def new_row() -> WrittenRow:
    """A row with nothing in it yet.

    One is made for every message, so what is not set stays with the class: reading it gives the default, and what is written
    holds only the columns that were set. The table has the same defaults.
    """
    row = CallRow[str, str].__new__(CallRow)
    row.skipped, row.attrs, row.anomalies = [], {}, []
    return row


@cache
def columns() -> dict[str, ColumnSpec]:
    """Every column by its name, in the order of the table."""
    return {each.name: each.metadata["column"] for each in fields(CallRow)}


LISTED: Final = tuple(name for name, column in columns().items() if column.is_listed)
NOTED: Final = tuple(name for name, column in columns().items() if column.is_noted)


def definitions() -> str:
    """The columns as ``CREATE TABLE`` takes them, one a line."""
    return "\n".join(f"    {line}" for line in _lines(""))


def additions() -> str:
    """The columns as ``ALTER TABLE`` adds those that a store from an earlier version lacks."""
    return "\n".join(f"    {line}" for line in _lines("ADD COLUMN IF NOT EXISTS ")).rstrip(",")


def _lines(before: str) -> list[str]:
    return [f"{before}{name} {column.type}," for name, column in columns().items()]
