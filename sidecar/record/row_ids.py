"""Ids and times of rows: both in the order in which things happened."""

import random
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

NO_CALL: Final = "00000000-0000-0000-0000-000000000000"
"""The call of a row that belongs to none."""

_ids = random.Random(random.SystemRandom().getrandbits(128))


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


def microseconds(seconds: float) -> int:
    """A span of time as columns hold it: whole microseconds, never less than none."""
    return max(0, int(seconds * 1e6))
