"""One query in, dataclasses out: the only place of ``review`` that talks to a ClickHouse client."""

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
    """A query for the newest rows that fit, newest first, each ``identity`` once, ``{limit:UInt32}`` at most.

    A replayed batch may stand there twice until the parts merge; LIMIT BY keeps one, over rows already cut to size.
    """
    order = f"ORDER BY ts DESC, {identity}"
    rows = f"SELECT {columns(row)} FROM {table} WHERE {where} {order} LIMIT 2 * {{limit:UInt32}}"
    return f"SELECT * FROM ({rows}) {order} LIMIT 1 BY {identity} LIMIT {{limit:UInt32}}"


def fetch[Row](client: Client, sql: str, bound: Mapping[str, Any], row: type[Row]) -> list[Row]:
    """Run ``sql`` with bound parameters and give each result row as ``row``, whose fields follow the select list.

    Raises:
        StoreError: the record cannot be reached or refuses the query.
    """
    try:
        result = client.query(sql, parameters=dict(bound), tz_mode="aware")
    except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreError(unreadable(error)) from None
    return [row(*values) for values in result.result_rows]


def unreadable(error: Exception) -> str:
    """One line for a person about a failed read."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return f"the record cannot be read: {visible(first)[:300]}; is 'sidecar collect' running?"
