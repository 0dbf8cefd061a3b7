"""Formats figures and words of the record for people, the same on the page and in the terminal."""

from datetime import timedelta
from typing import Final

from sidecar.events import ACTIONS, SEVERITIES
from sidecar.limits import KIB, MIB
from sidecar.methods import method_of

VERDICTS: Final = tuple(ACTIONS)
"""From mildest to strictest."""


def severity_word(level: int) -> str:
    """The word for ``max_severity`` of a call; empty for 0, no finding."""
    return SEVERITIES[level - 1] if 1 <= level <= len(SEVERITIES) else ""


def duration(microseconds: float) -> str:
    """A duration in a readable unit: ``850 µs``, ``4.2 ms``, ``58 ms``, ``3.4 s``, ``0:05:12``."""
    if microseconds < 1_000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1_000:.{1 if microseconds < 10_000 else 0}f} ms"
    if microseconds < 120_000_000:
        return f"{microseconds / 1_000_000:.1f} s"
    return str(timedelta(seconds=microseconds // 1_000_000))


def size(count: int) -> str:
    """A number of bytes: ``240 B``, ``2.0 KiB``, ``3.1 MiB``."""
    if count < KIB:
        return f"{count} B"
    return f"{count / KIB:.1f} KiB" if count < MIB else f"{count / MIB:.1f} MiB"


def call_name(method: str, tool: str) -> str:
    """What was called: the tool of a tool call, else the method and what it names."""
    if not tool:
        return method
    return tool if method_of(method).is_tool_call else f"{method} {tool}"
