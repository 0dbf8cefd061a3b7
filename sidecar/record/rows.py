"""Rows the collector writes about itself, and the outbox record that holds them."""

import time
import uuid
from typing import Any

import orjson

from sidecar.record.row_ids import timestamp


def health_row(node: str, process: str, metric: str, value: float, detail: str) -> dict[str, Any]:
    """A row of ``health``: one event of a sidecar process, now."""
    about = {"health_id": str(uuid.uuid4()), "node": node, "process": process}
    return {"ts": timestamp(time.time()), **about, "metric": metric, "value": value, "detail": detail}


def rows_record(**rows: list[dict[str, Any]]) -> bytes:
    """An outbox record with rows that belong to no call, by table."""
    return orjson.dumps({"phase": "rows", "rows": rows})
