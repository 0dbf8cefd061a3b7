"""The first stage: where in a text detectors and encodings may have something, in one pass of Hyperscan for all of them."""

import hashlib
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import hyperscan

from sidecar.detect.gates import GATES
from sidecar.detect.kinds import Detector
from sidecar.limits import BYTES_PER_SURPLUS_HIT, HITS_PER_DETECTOR_MAX, HITS_SURPLUS_MAX

Hits = dict[int, list[int]]
"""Where matches end, by number: below ``FIRST_GATE`` the rank of a detector, from there on that of a gate."""

FIRST_GATE: Final = 10_000
STOPPED: Final = -1
"""Stands among the hits, with its place, where a flood of them ended the pass."""
_SURPLUS: Final = -2
ONCE: Final = frozenset(FIRST_GATE + index for index, each in enumerate(GATES) if each.is_once)
_FOREIGN: Final = frozenset(FIRST_GATE + index for index, each in enumerate(GATES) if each.is_foreign)
"""What stands in no ASCII text is sought in a database of its own, because its many letters slow the other one down."""


class Databases:
    """The gates of all detectors and encodings (block mode, bytes, no start of match).

    Thread-safe: a database is read-only, and every thread has its own scratch space.
    """

    def __init__(self, detectors: Sequence[Detector], dump: bytes | None = None) -> None:
        """``dump`` is what ``dump()`` gave for the same ``version`` on this machine; compiling takes seconds.

        It is trusted as code is. One that cannot be used is compiled again, and ``is_compiled`` says so.
        """
        self.is_compiled = dump is None
        if dump is not None:
            try:
                self._databases = _loaded(dump)
            except (hyperscan.HyperscanError, ValueError):
                self.is_compiled = True
        if self.is_compiled:
            expressions = _expressions(detectors)
            foreign = _FOREIGN | {rank for rank, each in enumerate(detectors) if each.is_foreign}
            common = tuple(each for each in expressions if each[0] not in foreign)
            self._databases = (_compiled(common), _compiled(tuple(each for each in expressions if each[0] in foreign)))
        self._local = threading.local()

    def dump(self) -> bytes:
        """The compiled databases, to be given to one of the same version on this machine."""
        first, second = (hyperscan.dumpb(each) for each in self._databases)
        return len(first).to_bytes(8) + first + second

    def hits(self, data: bytes) -> Hits:
        """Where in ``data`` gates end: of each ``HITS_PER_DETECTOR_MAX`` and one more, where there are more."""
        hits: Hits = {_SURPLUS: [max(HITS_SURPLUS_MAX, len(data) // BYTES_PER_SURPLUS_HIT)]}
        scratches = getattr(self._local, "scratches", None)
        if scratches is None:
            # A scratch space that two threads share makes their scans fail.
            scratches = self._local.scratches = tuple(hyperscan.Scratch(each) for each in self._databases)
        for database, scratch in zip(self._databases[: 1 if data.isascii() else 2], scratches, strict=False):
            # It says so when the callback ended the scan, as a flood makes it do.
            with suppress(hyperscan.ScanTerminated):
                database.scan(data, _note, context=hits, scratch=scratch)
        del hits[_SURPLUS]
        return hits


def version(detectors: Sequence[Detector]) -> str:
    """Which detectors and encodings these are, by all they look for: 12 hex digits."""
    said = repr((_expressions(detectors), [(each.kind, each.pattern, each.confidence, each.is_foreign) for each in detectors]))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


@lru_cache(maxsize=8)
def _compiled(expressions: tuple[tuple[int, str], ...]) -> hyperscan.Database:
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for _, pattern in expressions],
        ids=[number for number, _ in expressions],
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH if number in ONCE else 0 for number, _ in expressions],
    )
    return database


def _loaded(dump: bytes) -> tuple[hyperscan.Database, hyperscan.Database]:
    size = int.from_bytes(dump[:8])
    first, second = dump[8 : 8 + size], dump[8 + size :]
    if not first or not second:
        raise ValueError("no dump of an engine")
    mode = hyperscan.HS_MODE_BLOCK
    return hyperscan.loadb(first, mode), hyperscan.loadb(second, mode)


def _expressions(detectors: Sequence[Detector]) -> list[tuple[int, str]]:
    gates = [(FIRST_GATE + index, each.pattern) for index, each in enumerate(GATES)]
    return [*((rank, each.gate) for rank, each in enumerate(detectors)), *gates]


def _note(rank: int, _start: int, end: int, _flags: int, hits: Any) -> bool | None:
    """Hyperscan's callback, which ends the scan by returning something true.

    One hit more than are looked at is kept, to tell that there were more; the others are counted only.
    """
    ends = hits.get(rank)
    if ends is None:
        hits[rank] = [end]
    elif len(ends) <= HITS_PER_DETECTOR_MAX:
        ends.append(end)
    else:
        surplus = hits[_SURPLUS]
        surplus[0] -= 1
        if surplus[0] < 0:
            hits[STOPPED] = [end]
            return True
    return None
