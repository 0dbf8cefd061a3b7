"""Runs one query and returns dataclasses: the only part of ``review`` that uses a ClickHouse client."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_origin

import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sidecar.errors import StoreError
from sidecar.review.visible import visible


def columns(row: Any) -> str:
    """The select list of a row class: its field names, which are column names."""
    return ", ".join(field.name for field in fields(get_origin(row) or row))


def newest(table: str, names: str, where: str, identity: str) -> str:
    """A query for the columns ``names`` of the newest rows that fit, newest first, ``{limit:UInt32}`` at most.

    Each ``identity`` comes once: a replayed batch may stand there twice until the parts merge. LIMIT BY keeps one, over rows
    already cut to size.
    """
    order = f"ORDER BY ts DESC, {identity}"
    rows = f"SELECT {names} FROM {table} WHERE {where} {order} LIMIT 2 * {{limit:UInt32}}"
    return f"SELECT * FROM ({rows}) {order} LIMIT 1 BY {identity} LIMIT {{limit:UInt32}}"


def fetch[Row](
    client: Client, sql: str, bound: Mapping[str, Any], row: type[Row], names: Sequence[str] | None = None
) -> list[Row]:
    """Run ``sql`` with bound parameters and give each result row as ``row``.

    The select list follows the fields of ``row``, or only those called ``names``; all others then have their defaults.

    Raises:
        StoreError: the record cannot be reached or refuses the query.
    """
    try:
        result = client.query(sql, parameters=dict(bound), tz_mode="aware")
    except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreError(_unreadable(error)) from None
    if names is None:
        return [row(*values) for values in result.result_rows]
    return [row(**dict(zip(names, values, strict=True))) for values in result.result_rows]


def quiet_clients() -> None:
    """Keep clients from logging what a ``StoreError`` already says; their messages hold whole queries with their values."""
    for name in ("clickhouse_connect", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _unreadable(error: Exception) -> str:
    code = getattr(error, "code", None)
    if code is None:
        return "the record does not answer; start it with 'sidecar up', or alone with 'sidecar collect'"
    first = next(iter(str(error).splitlines()), "")
    return f"the record refuses a query: {visible(first)[:300]}; does it belong to this version of the sidecar?"
