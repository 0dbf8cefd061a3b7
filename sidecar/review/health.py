"""Queries about health: is each node recording, which policies are in force there, what went wrong lately.

The rows come from the ``health`` table. The proxy writes ``proxy_started``, ``proxy_stopped``, ``policy_loaded``
(detail: the version), ``policy_reload_failed`` (detail: the first problem), ``oauth_needs_forward`` (detail: which server,
and what to do) and ``passed_on`` (value: bytes of a host that is no server's); the collector writes ``collector_started``,
``collector_stopped``, ``rows_lost`` (value: how many), ``store_unreachable``, ``process_died`` (detail: its outbox) and
``thread_died`` (detail: which of its own).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clickhouse_connect.driver.client import Client

from sidecar.limits import LIST_ROWS_MAX
from sidecar.review.filters import Filters
from sidecar.review.read import columns, fetch

PROBLEMS: Final = ("policy_reload_failed", "rows_lost", "store_unreachable", "oauth_needs_forward", "thread_died")
"""The metrics that mean something went wrong."""


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The state of one sidecar according to its latest health rows. A time is ``None`` if it never happened."""

    node: str
    policy_version: str
    policy_loaded: datetime | None
    reload_failed: datetime | None
    reload_problem: str
    proxy_started: datetime | None
    proxy_stopped: datetime | None
    collector_started: datetime | None
    collector_stopped: datetime | None
    store_unreachable: datetime | None
    rows_lost: int
    oauth_needs_forward: list[tuple[datetime, str]]

    @property
    def unreachable_oauth(self) -> list[tuple[datetime, str]]:
        """Servers whose OAuth cannot work as clients reach them, as the running proxy saw it."""
        return sorted(each for each in self.oauth_needs_forward if not _is_later(self.proxy_started, each[0]))

    @property
    def is_reload_failing(self) -> bool:
        """Whether the policies on disk are not those in force: the last attempt to load them failed."""
        return _is_later(self.reload_failed, self.policy_loaded) and self.is_proxy_running

    @property
    def is_proxy_running(self) -> bool:
        """Whether the proxy started and did not report that it stopped; a killed one cannot report it."""
        return self.proxy_stopped is None or _is_later(self.proxy_started, self.proxy_stopped)

    @property
    def is_collector_running(self) -> bool:
        """The same for the collector."""
        return self.collector_stopped is None or _is_later(self.collector_started, self.collector_stopped)


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning for everyone who looks at the record. ``title`` is our text; ``detail`` is recorded text."""

    node: str
    title: str
    detail: str
    since: datetime | None
    is_grave: bool


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One row of ``health``."""

    ts: datetime
    node: str
    process: str
    metric: str
    value: float
    detail: str

    @property
    def is_problem(self) -> bool:
        """Whether the metric means that something went wrong."""
        return self.metric in PROBLEMS


@dataclass(frozen=True, slots=True)
class _LastCall:
    node: str
    ts: datetime


def nodes(client: Client, since: datetime, lost_since: datetime) -> list[NodeHealth]:
    """Every node that reported anything after ``since``; ``rows_lost`` counts from ``lost_since``."""

    def last(metric: str) -> str:
        return f"maxOrNullIf(ts, metric = '{metric}')"

    sql = (
        "SELECT node, argMaxIf(detail, ts, metric = 'policy_loaded'), "
        f"{last('policy_loaded')}, {last('policy_reload_failed')}, "
        "argMaxIf(detail, ts, metric = 'policy_reload_failed'), "
        f"{last('proxy_started')}, {last('proxy_stopped')}, {last('collector_started')}, {last('collector_stopped')}, "
        f"{last('store_unreachable')}, "
        "toUInt64(sumIf(value, metric = 'rows_lost' AND ts >= {lost_since:DateTime64(6, 'UTC')})), "
        "groupArrayIf(100)((ts, detail), metric = 'oauth_needs_forward') "
        "FROM (SELECT * FROM health WHERE ts >= {since:DateTime64(6, 'UTC')} LIMIT 1 BY health_id) "
        "GROUP BY node ORDER BY node LIMIT 1000"
    )
    return fetch(client, sql, {"since": since, "lost_since": lost_since}, NodeHealth)


def last_calls(client: Client, since: datetime) -> dict[str, datetime]:
    """When each node last recorded a call, among the calls since then."""
    sql = "SELECT node, max(ts) FROM calls WHERE ts >= {since:DateTime64(6, 'UTC')} GROUP BY node LIMIT 1000"
    return {row.node: row.ts for row in fetch(client, sql, {"since": since}, _LastCall)}


def events(client: Client, filters: Filters) -> list[HealthEvent]:
    """The newest health rows, newest first, without the traffic counts of other hosts, which would crowd out the rest."""
    sql = (
        f"SELECT {columns(HealthEvent)} FROM health WHERE ts >= {{since:DateTime64(6, 'UTC')}} AND metric != 'passed_on' "
        "ORDER BY ts DESC, health_id LIMIT 1 BY health_id LIMIT {limit:UInt32}"
    )
    return fetch(client, sql, {"since": filters.since, "limit": min(filters.limit, LIST_ROWS_MAX)}, HealthEvent)


def notices(found: list[NodeHealth]) -> list[Notice]:
    """The warnings for the top of every page, most severe first."""
    result: list[Notice] = []
    for node in found:
        if node.is_reload_failing:
            title = "The policy files on disk do not load. The last good version stays in force."
            result.append(Notice(node.node, title, node.reload_problem, node.reload_failed, True))
    for node in found:
        for since, detail in node.unreachable_oauth:
            title = "A server's OAuth cannot work for clients behind its listener."
            result.append(Notice(node.node, title, detail, since, True))
    for node in found:
        if not node.is_proxy_running:
            title = "The proxy is stopped: no call passes through it."
            result.append(Notice(node.node, title, "", node.proxy_stopped, False))
        if not node.is_collector_running:
            title = "The collector is stopped: calls are kept in the outbox and not shown yet."
            result.append(Notice(node.node, title, "", node.collector_stopped, False))
        if node.rows_lost:
            title = f"{node.rows_lost} recorded rows could not be stored in the last day."
            result.append(Notice(node.node, title, "", None, True))
    return result


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and (other is None or one > other)
