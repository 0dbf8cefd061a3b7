"""One Hyperscan database for all threads."""

import threading
from collections.abc import Callable
from typing import Any

import hyperscan


class Scanner:
    """Scans with one database. Thread-safe: a scratch space that two threads share makes their scans fail, so each has one."""

    __slots__ = ("_database", "_local")

    def __init__(self, database: hyperscan.Database) -> None:
        self._database = database
        self._local = threading.local()

    def scan(self, data: bytes, note: Callable[[int, int, int, int, Any], bool | None], context: Any) -> None:
        """Call ``note(number, start, end, flags, context)`` for each match; ``hyperscan.ScanTerminated`` when that ended it."""
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        self._database.scan(data, note, 0, context, scratch)
