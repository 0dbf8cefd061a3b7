"""Records made into rows: what each table receives from a stretch of the outbox, and which calls stay open after it.

A record is a JSON object ``{"phase", "call", "rows"}``. A ``begin`` opens a call, whose row waits for its ``end``; rows
of other tables are taken at once. The lines made from the same records are the same bytes every time.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from sidecar.record.outbox_reader import OutboxRecord

TABLES: Final = ("findings", "alerts", "policies", "tools", "health", "calls")
"""In the order they are sent: a call that can be seen has its findings already."""

_INT64: Final = range(-(1 << 63), 1 << 64)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """Bytes that are no record, or a row no table takes, with the reason."""

    start: int
    reason: str
    content: bytes


@dataclass(slots=True)
class Batch:
    """The rows of a stretch of records, by table, each a JSON object on one line, and how the open calls changed.

    ``begun`` holds the calls that began and did not end in the stretch; ``ended`` the ids of those that ended.
    """

    lines: dict[str, list[bytes]] = field(default_factory=dict)
    begun: dict[str, bytes] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    refused: list[RefusedRecord] = field(default_factory=list)

    def apply(self, pending: dict[str, bytes]) -> None:
        """Bring the open calls up to the end of this stretch. Doing it twice changes nothing more."""
        for call_id in self.ended:
            pending.pop(call_id, None)
        pending.update(self.begun)


def batch_of(records: Iterable[OutboxRecord]) -> Batch:
    """Sort records into rows; what is no record of ours lands in ``refused`` and harms no other."""
    batch = Batch()
    for record in records:
        try:
            _take(batch, parse(record.payload))
        except ValueError as error:
            batch.refused.append(RefusedRecord(record.start, str(error), record.payload))
    return batch


def parse(payload: bytes) -> dict[str, Any]:
    """The record these bytes hold, in text that ClickHouse accepts: no lone surrogates, no endless integers.

    Raises:
        ValueError: it is not a record.
    """
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            value = _clean(json.loads(payload.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
    if not isinstance(value, dict) or value.get("phase") not in ("begin", "end", "rows"):
        raise ValueError("it is not a record: 'phase' is none of begin, end, rows")
    return value


def no_response(line: bytes) -> bytes:
    """The row of a call whose process died before it could write the end."""
    row = orjson.loads(line)
    row["status"] = "no_response"
    row["error_type"] = "no_response"
    row["error_message"] = "the sidecar process ended before this call did"
    return orjson.dumps(row)


def _take(batch: Batch, record: dict[str, Any]) -> None:
    made: list[tuple[str, bytes]] = []
    rows = record.get("rows") or {}
    if not isinstance(rows, dict):
        raise ValueError("'rows' is not an object")
    for table, members in rows.items():
        if table not in TABLES or not isinstance(members, list):
            raise ValueError("'rows' names no table of ours, or holds no list")
        made += [(table, _line(row)) for row in members]
    if record["phase"] != "rows":
        call = record.get("call")
        if not isinstance(call, dict) or not isinstance(call.get("call_id"), str):
            raise ValueError("'call' is not a row with a call_id")
        line = _line(call)
        if record["phase"] == "begin":
            batch.begun[call["call_id"]] = line
        else:
            batch.begun.pop(call["call_id"], None)
            batch.ended.add(call["call_id"])
            made.append(("calls", line))
    for table, line in made:
        batch.lines.setdefault(table, []).append(line)


def _line(row: Any) -> bytes:
    if not isinstance(row, dict):
        raise ValueError("a row is not an object")
    try:
        return orjson.dumps(row)
    except orjson.JSONEncodeError:
        raise ValueError("a row is nested too deeply") from None


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    return value
