"""The first stage: Hyperscan finds where in a text detectors and encodings may have something, group by group."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import lru_cache
from typing import Any, Final, NamedTuple

import hyperscan

from sidecar.detect.encoding_prefilters import ENCODING_PREFILTERS
from sidecar.detect.kinds import Detector
from sidecar.detect.prefilter_groups import PREFILTER_GROUPS, PrefilterGroup
from sidecar.limits import BYTES_PER_SURPLUS_HIT, HITS_PER_DETECTOR_MAX, HITS_SURPLUS_MAX

Hits = dict[int, list[int]]
"""Where matches end, by number: below ``FIRST_ENCODING`` the rank of a detector, from there on an encoding's prefilter."""

FIRST_ENCODING: Final = 10_000
STOPPED: Final = -1
"""Stands among the hits, with its place, where a flood of them ended the pass."""
_SURPLUS: Final = -2
_CONDITION_ONCE: Final = 20_000
_CONDITION_EACH: Final = 20_001
"""Numbers of a group's condition: one match is enough, or (for a group with a reach) each match is needed."""
_PLACES_MAX: Final = 16
ONCE: Final = frozenset(FIRST_ENCODING + index for index, each in enumerate(ENCODING_PREFILTERS) if each.is_once)
Expressions = tuple[tuple[int, str], ...]
"""Patterns with the numbers under which they are reported."""


class _CompiledGroup(NamedTuple):
    """The prefilters of one group, compiled, with the condition under which they are asked."""

    byte: int | None
    is_foreign: bool
    reach: int
    condition: hyperscan.Database | None
    prefilters: hyperscan.Database


class Databases:
    """The prefilters of all detectors and encodings in groups (block mode, bytes, no start of match).

    Thread-safe: a database is read-only, and every thread has its own scratch space.
    """

    def __init__(self, detectors: Sequence[Detector], dump: bytes | None = None) -> None:
        """``dump`` is what ``dump()`` gave for the same ``version`` on this machine; compiling takes seconds.

        It is trusted as code is. One that cannot be used is compiled again, and ``is_compiled`` says so.
        """
        parts = _split_by_group(detectors)
        self.is_compiled = dump is None
        if dump is not None:
            try:
                compiled = _load(dump, [group for group, _ in parts])
            except (hyperscan.HyperscanError, ValueError):
                self.is_compiled = True
        if self.is_compiled:
            compiled = [
                (_compile(_condition_of(group)) if group.pattern else None, _compile(prefilters)) for group, prefilters in parts
            ]
        self._groups = [
            _CompiledGroup(next(iter(group.byte), None), group.is_foreign, group.reach, *databases)
            for (group, _), databases in zip(parts, compiled, strict=True)
        ]
        self._local = threading.local()

    def dump(self) -> bytes:
        """The compiled databases, to be given to one of the same version on this machine."""
        databases = (each for group in self._groups for each in (group.condition, group.prefilters))
        dumps = (b"" if each is None else hyperscan.dumpb(each) for each in databases)
        return b"".join(len(each).to_bytes(8) + each for each in dumps)

    def find_hits(self, data: bytes) -> Hits:
        """Where in ``data`` prefilters match: of each ``HITS_PER_DETECTOR_MAX`` ends and one more, where there are more."""
        hits: Hits = {_SURPLUS: [max(HITS_SURPLUS_MAX, len(data) // BYTES_PER_SURPLUS_HIT)]}
        groups = getattr(self._local, "groups", None)
        if groups is None:
            # A scratch space that two threads share makes their scans fail.
            groups = self._local.groups = [
                (*each, each.condition and hyperscan.Scratch(each.condition), hyperscan.Scratch(each.prefilters))
                for each in self._groups
            ]
        is_ascii = data.isascii()
        for byte, is_foreign, reach, condition, prefilters, condition_scratch, scratch in groups:
            # A byte is looked for as a number: ``bytes in bytes`` takes ten times as long.
            if (byte is not None and byte not in data) or (is_foreign and is_ascii):
                continue
            try:
                if reach:
                    for start, stop in _regions(condition, data, reach, condition_scratch):
                        prefilters.scan(data[start:stop], _note_from, 0, (hits, start), scratch)
                    continue
                # Arguments by position: by name, passing them takes as long as scanning a kilobyte.
                if condition is not None:
                    condition.scan(data, _note, 0, hits, condition_scratch)
                    if hits.pop(_CONDITION_ONCE, None) is None:
                        continue
                prefilters.scan(data, _note, 0, hits, scratch)
            except hyperscan.ScanTerminated:  # The callback ended the scan, as a flood makes it do.
                continue
        del hits[_SURPLUS]
        return hits


def version(detectors: Sequence[Detector]) -> str:
    """Which detectors and encodings these are, by all they look for: 12 hex digits.

    Only values are hashed, so that a renamed class or field changes no version.
    """
    parts = [(astuple(group), prefilters) for group, prefilters in _split_by_group(detectors)]
    values = repr((parts, [(each.kind, each.pattern, each.confidence) for each in detectors]))
    return hashlib.sha256(values.encode()).hexdigest()[:12]


def _split_by_group(detectors: Sequence[Detector]) -> list[tuple[PrefilterGroup, Expressions]]:
    """The numbered prefilters of each group that has any."""
    groups: dict[PrefilterGroup, list[tuple[int, str]]] = {group: [] for group in PREFILTER_GROUPS}
    for rank, detector in enumerate(detectors):
        groups[detector.group].append((rank, detector.prefilter))
    for index, encoding in enumerate(ENCODING_PREFILTERS):
        groups[encoding.group].append((FIRST_ENCODING + index, encoding.pattern))
    return [(group, tuple(prefilters)) for group, prefilters in groups.items() if prefilters]


def _condition_of(group: PrefilterGroup) -> Expressions:
    return ((_CONDITION_EACH if group.reach else _CONDITION_ONCE, group.pattern),)


@lru_cache(maxsize=64)
def _compile(expressions: Expressions) -> hyperscan.Database:
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for _, pattern in expressions],
        ids=[number for number, _ in expressions],
        elements=len(expressions),
        flags=[
            hyperscan.HS_FLAG_SINGLEMATCH if number in ONCE or number == _CONDITION_ONCE else 0 for number, _ in expressions
        ],
    )
    return database


def _load(dump: bytes, groups: Sequence[PrefilterGroup]) -> list[tuple[hyperscan.Database | None, hyperscan.Database]]:
    """The condition and the prefilters of each group in ``dump``.

    Raises:
        ValueError: it is no dump of these groups.
    """
    loaded = []
    for group in groups:
        condition, dump = _load_first(dump)
        prefilters, dump = _load_first(dump)
        if prefilters is None or (condition is None) == bool(group.pattern):
            raise ValueError("no dump of an engine")
        loaded.append((condition, prefilters))
    if dump:
        raise ValueError("more than the dump of an engine")
    return loaded


def _load_first(dump: bytes) -> tuple[hyperscan.Database | None, bytes]:
    """The first database of ``dump``, none where its place is empty, and the rest of ``dump``."""
    end = 8 + int.from_bytes(dump[:8])
    return hyperscan.loadb(dump[8:end], hyperscan.HS_MODE_BLOCK) if end > 8 else None, dump[end:]


def _regions(condition: hyperscan.Database, data: bytes, reach: int, scratch: hyperscan.Scratch) -> Iterator[tuple[int, int]]:
    """What lies within ``reach`` bytes of where ``condition`` matches, in order and apart; all, where it matches often."""
    ends: list[int] = []
    try:
        condition.scan(data, _note_end, 0, ends, scratch)
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


def _note_end(_number: int, _start: int, end: int, _flags: int, ends: Any) -> bool | None:
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
