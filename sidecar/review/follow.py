"""Calls in the order in which they arrive in the record, each once, although no column holds the time of arrival.

A call's row carries the time it *began*, and is written when it *ends*: a call of ten minutes appears ten minutes
behind the newest ``ts``. What does arrive nearly in order, per node, is the end (``ts`` plus duration), because a proxy
writes it to its outbox at that moment and the outbox is shipped in order; after an outage it continues where it stopped.
So every poll asks, per node, for ends later than the newest end seen, less a slack, and for calls whose proxy died
(``no_response``: their end is unknown). Ids already seen are left out.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from clickhouse_connect.driver.client import Client

from sidecar.limits import FOLLOW_LOOKBACK_S, FOLLOW_ROWS_MAX, FOLLOW_SLACK_S
from sidecar.review.calls import ReadCall, calls, calls_by_id
from sidecar.review.filters import CALL_COLUMNS, Filters, conditions
from sidecar.review.read import fetch

_IDS_AT_ONCE: Final = 100
"""Ids are sent in the URL of the query, which servers limit to a few kilobytes."""

_LOOKBACK: Final = timedelta(seconds=FOLLOW_LOOKBACK_S)
_SLACK: Final = timedelta(seconds=FOLLOW_SLACK_S)


@dataclass(frozen=True, slots=True)
class _End:
    call_id: UUID
    node: str
    ts: datetime
    end: datetime
    is_known: bool


@dataclass(frozen=True, slots=True)
class _Newest:
    node: str
    end: datetime


class Follow:
    """A position in the stream of calls that match ``filters``. Calls longer than ``FOLLOW_LOOKBACK_S`` are missed."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._newest: dict[str, datetime] = {}
        self._seen: dict[UUID, _End] = {}

    def first(self, client: Client, now: datetime) -> list[ReadCall]:
        """The calls already in the record, oldest first, ``filters.limit`` at most; the others are passed over.

        Raises:
            StoreError: the record cannot be read; calling again is safe.
        """
        sql = (
            "SELECT node, max(addMicroseconds(ts, duration_us)) FROM calls "
            "WHERE ts >= {since:DateTime64(6, 'UTC')} AND status != 'no_response' GROUP BY node LIMIT 1000"
        )
        self._newest = {row.node: row.end for row in fetch(client, sql, {"since": now - _LOOKBACK}, _Newest)}
        ends = self._unseen(client, now)
        listed = calls(client, self._filters)
        self._remember(ends)
        self._remember([_end_of(row) for row in listed])
        return listed[::-1]

    def poll(self, client: Client, now: datetime) -> list[ReadCall]:
        """The calls that arrived since the last look, by their beginning; while it gives any, there may be more.

        Raises:
            StoreError: the record cannot be read; nothing is lost by calling again.
        """
        ends = self._unseen(client, now)
        rows: list[ReadCall] = []
        for at in range(0, len(ends), _IDS_AT_ONCE):
            some = ends[at : at + _IDS_AT_ONCE]
            rows += calls_by_id(client, [end.call_id for end in some], min(end.ts for end in some))
        self._remember(ends)
        self._forget(now)
        return sorted(rows, key=lambda row: (row.ts, row.call_id))

    def _unseen(self, client: Client, now: datetime) -> list[_End]:
        where, bound = conditions(replace(self._filters, since=now - _LOOKBACK), CALL_COLUMNS)
        # A node without a newest end had nothing in the record, so whatever comes from it is new.
        newest = "{ends:Array(DateTime64(6, 'UTC'))}[indexOf({nodes:Array(String)}, toString(node))]"
        sql = (
            "SELECT call_id, node, ts, addMicroseconds(ts, duration_us) AS end, status != 'no_response' AS is_known "
            f"FROM calls WHERE {where} AND (NOT is_known OR end >= {newest} - toIntervalSecond({{slack:UInt32}})) "
            "ORDER BY end, call_id LIMIT 1 BY call_id LIMIT {most:UInt32}"
        )
        nodes = list(self._newest)
        bound |= {"nodes": nodes, "ends": [self._newest[node] for node in nodes], "slack": FOLLOW_SLACK_S}
        found = fetch(client, sql, bound | {"most": FOLLOW_ROWS_MAX + len(self._seen)}, _End)
        return [end for end in found if end.call_id not in self._seen][:FOLLOW_ROWS_MAX]

    def _remember(self, ends: list[_End]) -> None:
        for end in ends:
            self._seen[end.call_id] = end
            if end.is_known:
                self._newest[end.node] = max(end.end, self._newest.get(end.node, end.end))

    def _forget(self, now: datetime) -> None:
        """Drop the ids that no later poll can return."""
        for call_id, end in list(self._seen.items()):
            oldest = self._newest[end.node] - 2 * _SLACK if end.is_known else now - _LOOKBACK - _SLACK
            if (end.end if end.is_known else end.ts) < oldest:
                del self._seen[call_id]


def _end_of(row: ReadCall) -> _End:
    return _End(row.call_id, row.node, row.ts, row.ts + timedelta(microseconds=row.duration_us), row.status != "no_response")
