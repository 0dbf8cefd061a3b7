"""Rows the collector writes about itself, and the record they travel in."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson


def timestamp(now: float) -> str:
    """Unix seconds as the tables want them: UTC with microseconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def health_row(node: str, process: str, metric: str, value: float, detail: str) -> dict[str, Any]:
    """One thing that happened to a sidecar process, now."""
    about = {"health_id": str(uuid.uuid4()), "node": node, "process": process}
    return {"ts": timestamp(time.time()), **about, "metric": metric, "value": value, "detail": detail}


def rows_record(**rows: list[dict[str, Any]]) -> bytes:
    """A record for the outbox that holds rows which belong to no call, by table."""
    return orjson.dumps({"phase": "rows", "rows": rows})
