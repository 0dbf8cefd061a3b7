"""Runs one query and returns dataclasses: the only part of ``review`` that uses a ClickHouse client."""

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sidecar.errors import StoreError
from sidecar.review.visible import visible


def columns(row: type[Any]) -> str:
    """The select list of a row class: its field names, which are column names."""
    return ", ".join(field.name for field in fields(row))


def newest(table: str, row: type[Any], where: str, identity: str) -> str:
    """A query for the newest rows that match, newest first, each ``identity`` once, at most ``{limit:UInt32}``.

    A replayed batch may be there twice until the parts merge; LIMIT BY keeps one copy, from rows already limited in number.
    """
    order = f"ORDER BY ts DESC, {identity}"
    rows = f"SELECT {columns(row)} FROM {table} WHERE {where} {order} LIMIT 2 * {{limit:UInt32}}"
    return f"SELECT * FROM ({rows}) {order} LIMIT 1 BY {identity} LIMIT {{limit:UInt32}}"


def fetch[Row](client: Client, sql: str, bound: Mapping[str, Any], row: type[Row]) -> list[Row]:
    """Run ``sql`` with bound parameters and return each result row as a ``row``, whose fields follow the select list.

    Raises:
        StoreError: the record cannot be reached or refuses the query.
    """
    try:
        result = client.query(sql, parameters=dict(bound), tz_mode="aware")
    except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreError(_unreadable(error)) from None
    return [row(*values) for values in result.result_rows]


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
