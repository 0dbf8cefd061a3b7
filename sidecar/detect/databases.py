"""The first stage: where in a text detectors and encodings may have something, by Hyperscan, in groups behind doors."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import hyperscan

from sidecar.detect.kinds import Detector
from sidecar.detect.prefilter_groups import PREFILTER_GROUPS, PrefilterGroup
from sidecar.detect.prefilters import PREFILTERS
from sidecar.limits import BYTES_PER_SURPLUS_HIT, HITS_PER_DETECTOR_MAX, HITS_SURPLUS_MAX

Hits = dict[int, list[int]]
"""Where matches end, by number: below ``FIRST_GATE`` the rank of a detector, from there on that of a gate."""

FIRST_GATE: Final = 10_000
STOPPED: Final = -1
"""Stands among the hits, with its place, where a flood of them ended the pass."""
_SURPLUS: Final = -2
_PLACE: Final = 20_000
_PLACES: Final = 20_001
"""Stand for a door of which one match says all, and for one with a reach."""
_PLACES_MAX: Final = 16
ONCE: Final = frozenset(FIRST_GATE + index for index, each in enumerate(PREFILTERS) if each.is_once)
Expressions = tuple[tuple[int, str], ...]
"""Patterns with the numbers under which they are reported."""


class _Group(NamedTuple):
    """The gates behind one door, compiled, with what opens it."""

    sign: int | None
    is_foreign: bool
    reach: int
    door: hyperscan.Database | None
    gates: hyperscan.Database


class Databases:
    """The gates of all detectors and encodings (block mode, bytes, no start of match), in groups, each behind its door.

    Thread-safe: a database is read-only, and every thread has its own scratch space.
    """

    def __init__(self, detectors: Sequence[Detector], dump: bytes | None = None) -> None:
        """``dump`` is what ``dump()`` gave for the same ``version`` on this machine; compiling takes seconds.

        It is trusted as code is. One that cannot be used is compiled again, and ``is_compiled`` says so.
        """
        parts = _parted(detectors)
        self.is_compiled = dump is None
        if dump is not None:
            try:
                compiled = _loaded(dump, [door for door, _ in parts])
            except (hyperscan.HyperscanError, ValueError):
                self.is_compiled = True
        if self.is_compiled:
            compiled = [(_compiled(_opener(door)) if door.pattern else None, _compiled(gates)) for door, gates in parts]
        self._groups = [
            _Group(next(iter(door.sign), None), door.is_foreign, door.reach, *databases)
            for (door, _), databases in zip(parts, compiled, strict=True)
        ]
        self._local = threading.local()

    def dump(self) -> bytes:
        """The compiled databases, to be given to one of the same version on this machine."""
        databases = (each for group in self._groups for each in (group.door, group.gates))
        dumps = (b"" if each is None else hyperscan.dumpb(each) for each in databases)
        return b"".join(len(each).to_bytes(8) + each for each in dumps)

    def hits(self, data: bytes) -> Hits:
        """Where in ``data`` gates end: of each ``HITS_PER_DETECTOR_MAX`` and one more, where there are more."""
        hits: Hits = {_SURPLUS: [max(HITS_SURPLUS_MAX, len(data) // BYTES_PER_SURPLUS_HIT)]}
        groups = getattr(self._local, "groups", None)
        if groups is None:
            # A scratch space that two threads share makes their scans fail.
            groups = self._local.groups = [
                (*each, each.door and hyperscan.Scratch(each.door), hyperscan.Scratch(each.gates)) for each in self._groups
            ]
        is_ascii = data.isascii()
        for sign, is_foreign, reach, door, gates, of_door, of_gates in groups:
            # A byte is looked for as a number: ``bytes in bytes`` takes ten times as long.
            if (sign is not None and sign not in data) or (is_foreign and is_ascii):
                continue
            try:
                if reach:
                    for start, stop in _stretches(door, data, reach, of_door):
                        gates.scan(data[start:stop], _note_from, 0, (hits, start), of_gates)
                    continue
                # Arguments by position: by name, passing them takes as long as scanning a kilobyte.
                if door is not None:
                    door.scan(data, _note, 0, hits, of_door)
                    if hits.pop(_PLACE, None) is None:
                        continue
                gates.scan(data, _note, 0, hits, of_gates)
            except hyperscan.ScanTerminated:  # The callback ended the scan, as a flood makes it do.
                continue
        del hits[_SURPLUS]
        return hits


def version(detectors: Sequence[Detector]) -> str:
    """Which detectors and encodings these are, by all they look for: 12 hex digits."""
    said = repr((_parted(detectors), [(each.kind, each.pattern, each.confidence) for each in detectors]))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _parted(detectors: Sequence[Detector]) -> list[tuple[PrefilterGroup, Expressions]]:
    """The numbered patterns behind each door; none where nothing is behind it."""
    behind: dict[PrefilterGroup, list[tuple[int, str]]] = {door: [] for door in PREFILTER_GROUPS}
    for rank, detector in enumerate(detectors):
        behind[detector.door].append((rank, detector.gate))
    for index, gate in enumerate(PREFILTERS):
        behind[gate.door].append((FIRST_GATE + index, gate.pattern))
    return [(door, tuple(gates)) for door, gates in behind.items() if gates]


def _opener(door: PrefilterGroup) -> Expressions:
    return ((_PLACES if door.reach else _PLACE, door.pattern),)


@lru_cache(maxsize=64)
def _compiled(expressions: Expressions) -> hyperscan.Database:
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for _, pattern in expressions],
        ids=[number for number, _ in expressions],
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH if number in ONCE or number == _PLACE else 0 for number, _ in expressions],
    )
    return database


def _loaded(dump: bytes, groups: Sequence[PrefilterGroup]) -> list[tuple[hyperscan.Database | None, hyperscan.Database]]:
    """What ``dump`` holds for each door.

    Raises:
        ValueError: it is no dump of these doors.
    """
    loaded = []
    for door in groups:
        opener, dump = _first(dump)
        gates, dump = _first(dump)
        if gates is None or (opener is None) == bool(door.pattern):
            raise ValueError("no dump of an engine")
        loaded.append((opener, gates))
    if dump:
        raise ValueError("more than the dump of an engine")
    return loaded


def _first(dump: bytes) -> tuple[hyperscan.Database | None, bytes]:
    end = 8 + int.from_bytes(dump[:8])
    return hyperscan.loadb(dump[8:end], hyperscan.HS_MODE_BLOCK) if end > 8 else None, dump[end:]


def _stretches(door: hyperscan.Database, data: bytes, reach: int, scratch: hyperscan.Scratch) -> Iterator[tuple[int, int]]:
    """What lies within ``reach`` bytes of where a door matches, in order and apart; all, where that is in many places."""
    ends: list[int] = []
    try:
        door.scan(data, _open, 0, ends, scratch)
    except hyperscan.ScanTerminated:
        yield 0, len(data)
        return
    start = stop = 0
    for end in sorted(ends):
        if end - reach > stop:
            if stop:
                yield start, stop
            start = end - reach
        stop = min(end + reach, len(data))
    if stop:
        yield start, stop


def _open(_number: int, _start: int, end: int, _flags: int, ends: Any) -> bool | None:
    ends.append(end)
    return True if len(ends) >= _PLACES_MAX else None


def _note_from(rank: int, start: int, end: int, flags: int, context: tuple[Hits, int]) -> bool | None:
    hits, offset = context
    return _note(rank, start, end + offset, flags, hits)


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
