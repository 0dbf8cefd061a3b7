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
_DATABASES: Final = 4


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
            self._databases = tuple(_compiled(each) for each in _parted(detectors))
        self._local = threading.local()

    def dump(self) -> bytes:
        """The compiled databases, to be given to one of the same version on this machine."""
        dumps = [b"" if each is None else hyperscan.dumpb(each) for each in self._databases]
        return b"".join(len(each).to_bytes(8) + each for each in dumps)

    def hits(self, data: bytes) -> Hits:
        """Where in ``data`` gates end: of each ``HITS_PER_DETECTOR_MAX`` and one more, where there are more."""
        hits: Hits = {_SURPLUS: [max(HITS_SURPLUS_MAX, len(data) // BYTES_PER_SURPLUS_HIT)]}
        scratches = getattr(self._local, "scratches", None)
        if scratches is None:
            # A scratch space that two threads share makes their scans fail.
            scratches = self._local.scratches = tuple(each and hyperscan.Scratch(each) for each in self._databases)
        for database, scratch in zip(self._databases[data.isascii() :], scratches[data.isascii() :], strict=True):
            if database is None:
                continue
            # It says so when the callback ended the scan, as a flood makes it do.
            with suppress(hyperscan.ScanTerminated):
                database.scan(data, _note, context=hits, scratch=scratch)
        del hits[_SURPLUS]
        return hits


def version(detectors: Sequence[Detector]) -> str:
    """Which detectors and encodings these are, by all they look for: 12 hex digits."""
    said = repr((_expressions(detectors), [(each.kind, each.pattern, each.confidence, each.is_foreign) for each in detectors]))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _parted(detectors: Sequence[Detector]) -> tuple[tuple[tuple[int, str], ...], ...]:
    """The patterns by database: those that no ASCII text meets, then numbers, encodings, and all others.

    Numbers and encodings begin with no fixed letters. Together with each other or with the rest, Hyperscan makes slower
    machines of them: these four take four fifths of the time of one.
    """
    parts: tuple[list[tuple[int, str]], ...] = ([], [], [], [])
    for rank, detector in enumerate(detectors):
        is_number = detector.kind.startswith("pii.") and not detector.is_ahead
        parts[0 if detector.is_foreign else 1 if is_number else 3].append((rank, detector.gate))
    for index, gate in enumerate(GATES):
        parts[0 if gate.is_foreign else 2].append((FIRST_GATE + index, gate.pattern))
    return tuple(map(tuple, parts))


@lru_cache(maxsize=16)
def _compiled(expressions: tuple[tuple[int, str], ...]) -> hyperscan.Database | None:
    if not expressions:
        return None
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for _, pattern in expressions],
        ids=[number for number, _ in expressions],
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH if number in ONCE else 0 for number, _ in expressions],
    )
    return database


def _loaded(dump: bytes) -> tuple[hyperscan.Database | None, ...]:
    databases: list[hyperscan.Database | None] = []
    while dump:
        end = 8 + int.from_bytes(dump[:8])
        databases.append(hyperscan.loadb(dump[8:end], hyperscan.HS_MODE_BLOCK) if end > 8 else None)
        dump = dump[end:]
    if len(databases) != _DATABASES:
        raise ValueError("no dump of an engine")
    return tuple(databases)


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
