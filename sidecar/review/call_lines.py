"""Calls as lines of text: a table for people, JSON objects for programs. Nothing in a call can act on the terminal."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, TextIO

from sidecar.outcomes import FAILED
from sidecar.record.call_row import LISTED
from sidecar.review.calls import ReadCall
from sidecar.review.visible import visible
from sidecar.review.wording import call_name, duration

_COLOURS: Final = {"block": "31", "redact": "33", "tokenize": "33", "alert": "36", "log": "2", "head": "2", "failed": "35"}
_HEAD: Final = ("time", "server", "call", "status", "verdict", "took", "rule")
_WIDTHS: Final = {"time": 8, "server": 9, "status": 14, "verdict": 8, "took": 9}
"""The columns of fixed width; the others share the rest of the line."""


def is_coloured(stream: TextIO) -> bool:
    """Whether to use colour: it is a terminal, and NO_COLOR is not set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class JsonLines:
    """Calls for programs: one object per line, times in ISO 8601 and UTC, everything but ASCII escaped."""

    def of(self, rows: list[ReadCall]) -> Iterator[str]:
        """One line for each call."""
        for row in rows:
            plain = {name: getattr(row, name) for name in LISTED}
            plain |= {"ts": row.ts.astimezone(UTC).isoformat(), "call_id": str(row.call_id)}
            yield json.dumps(plain).replace("\x7f", "\\u007f")


class CallTable:
    """Calls for people: columns that fit ``width`` characters, times in the local time zone, the header shown once."""

    def __init__(self, width: int, is_coloured: bool) -> None:
        rest = max(24, width - sum(_WIDTHS.values()) - len(_HEAD) + 1)
        self._widths = _WIDTHS | {"call": rest * 3 // 5, "rule": rest - rest * 3 // 5}
        self._is_coloured = is_coloured
        self._day = ""

    def of(self, rows: list[ReadCall]) -> Iterator[str]:
        """The head before the first call, a line with the date when the day changes, one line for each call."""
        for row in rows:
            if not self._day:
                yield self._painted("head", " ".join(self._cells(_HEAD)).rstrip())
            local = row.ts.astimezone()
            day = local.strftime("%Y-%m-%d")
            if day != self._day:
                self._day = day
                yield self._painted("head", f"-- {day} {local.strftime('%Z')}".rstrip())
            yield self._line(row, local)

    def _line(self, row: ReadCall, local: datetime) -> str:
        took = "" if row.status in ("no_response", "notification") else duration(row.duration_us)
        what = call_name(row.method, row.tool)
        cells = self._cells((local.strftime("%H:%M:%S"), row.server, what, row.status, row.verdict, took, row.rule))
        if row.status in FAILED:
            cells[3] = self._painted("failed", cells[3])
        cells[4] = self._painted(row.verdict, cells[4])
        return " ".join(cells).rstrip()

    def _cells(self, texts: tuple[str, ...]) -> list[str]:
        return [
            _fit(visible(text), self._widths[name], ">" if name == "took" else "<")
            for name, text in zip(_HEAD, texts, strict=True)
        ]

    def _painted(self, word: str, text: str) -> str:
        colour = _COLOURS.get(word, "")
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._is_coloured else text


Lines = JsonLines | CallTable


def _fit(text: str, width: int, side: str) -> str:
    return f"{text:{side}{width}}" if len(text) <= width else text[: width - 1] + "…"
