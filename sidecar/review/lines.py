"""Calls as lines of text: a table for people, JSON objects for programs. Nothing in a call can act on the terminal."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final, TextIO

from sidecar.review.calls import FAILED, CallRow
from sidecar.review.visible import visible
from sidecar.review.words import call_name, duration

_COLOURS: Final = {"block": "31", "redact": "33", "alert": "36", "log": "2", "head": "2", "failed": "35"}


def is_coloured(stream: TextIO) -> bool:
    """Whether colour helps there: a terminal, and nobody said otherwise (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class JsonLines:
    """Calls for programs: one object a line, times in ISO 8601 and UTC, everything but ASCII escaped."""

    def of(self, rows: list[CallRow]) -> Iterator[str]:
        """One line for each call."""
        for row in rows:
            plain = asdict(row) | {"ts": row.ts.astimezone(UTC).isoformat(), "call_id": str(row.call_id)}
            yield json.dumps(plain).replace("\x7f", "\\u007f")


class Table:
    """Calls for people: columns that fit ``width`` characters, times in this machine's zone, the head shown once."""

    def __init__(self, width: int, is_coloured: bool) -> None:
        rest = max(24, width - 8 - 9 - 14 - 8 - 9 - 6)
        self._columns = (
            ("time", 8),
            ("server", 9),
            ("call", rest * 3 // 5),
            ("status", 14),
            ("verdict", 8),
            ("took", 9),
            ("rule", rest - rest * 3 // 5),
        )
        self._is_coloured = is_coloured
        self._day = ""

    def of(self, rows: list[CallRow]) -> Iterator[str]:
        """The head before the first call, a line with the date when the day changes, one line for each call."""
        for row in rows:
            if not self._day:
                yield self._painted("head", " ".join(f"{name:<{width}}" for name, width in self._columns).rstrip())
            local = row.ts.astimezone()
            day = local.strftime("%Y-%m-%d")
            if day != self._day:
                self._day = day
                yield self._painted("head", f"-- {day} {local.strftime('%Z')}".rstrip())
            yield self._line(row, local)

    def _line(self, row: CallRow, local: datetime) -> str:
        took = "" if row.status in ("no_response", "notification") else duration(row.duration_us)
        cells = (
            local.strftime("%H:%M:%S"),
            row.server,
            call_name(row.method, row.tool),
            row.status,
            row.verdict,
            took,
            row.rule,
        )
        texts = [_fit(visible(text), width) for text, (_, width) in zip(cells, self._columns, strict=True)]
        texts[5] = texts[5].strip().rjust(self._columns[5][1])
        if row.status in FAILED:
            texts[3] = self._painted("failed", texts[3])
        texts[4] = self._painted(row.verdict, texts[4])
        return " ".join(texts).rstrip()

    def _painted(self, word: str, text: str) -> str:
        colour = _COLOURS.get(word, "")
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._is_coloured else text


Lines = JsonLines | Table


def _fit(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "…"
