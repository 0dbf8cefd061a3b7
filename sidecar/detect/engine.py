"""One pass over a message for all detectors at once, then an exact look at the few places where something may be."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import hyperscan
import re2

from sidecar.detect import named, personal, secrets
from sidecar.detect.kinds import CONTEXT_CHARS, Candidate, Detector
from sidecar.detect.registered import DETECTOR, Registered
from sidecar.detect.text import Texts
from sidecar.events import Scan, Span
from sidecar.limits import HITS_PER_DETECTOR_MAX, SPANS_MAX

DETECTORS: Final[tuple[Detector, ...]] = (*secrets.DETECTORS, *personal.DETECTORS, *named.DETECTORS)
"""The more specific first: where two recognise the same stretch with the same confidence, the first one keeps it."""

_CUT: Final = -1
_LINE_BYTES_MIN: Final = 24
"""Shorter than any border of a private key (25), longer than ``application/json``."""
_OPTIONS: Final = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


@dataclass(slots=True)
class _Found:
    """A confirmed stretch of the joined bytes; ``rank`` is its detector's place in the list."""

    start: int
    end: int
    rank: int
    confidence: float
    is_strict_only: bool = False


class Engine:
    """All detectors in one Hyperscan database (block mode, bytes, no start of match), and their RE2 patterns.

    Thread-safe: the database is read-only, and every thread has its own scratch space. ``kinds`` is what it can find.
    """

    def __init__(self, detectors: Sequence[Detector] = DETECTORS, registered: Sequence[str] = ()) -> None:
        """Compile; ``registered`` are secrets to find as they are, by text."""
        self._detectors = (*detectors, DETECTOR)
        self.kinds = frozenset(each.kind for each in self._detectors)
        self._registered = Registered(registered)
        self._patterns = tuple(re2.compile(each.pattern.encode(), _OPTIONS) for each in detectors)
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=[each.gate.encode() for each in detectors],
            ids=list(range(len(detectors))),
            elements=len(detectors),
            flags=[0] * len(detectors),
        )
        self._local = threading.local()

    def scan(self, texts: Texts) -> Scan:
        """What all detectors see in ``texts``, in order of place.

        Beyond ``SPANS_MAX`` or ``HITS_PER_DETECTOR_MAX``, ``skipped`` says ``spans``; what is kept then is of the more
        specific kinds.
        """
        data = texts.joined()
        hits: dict[int, list[int]] = {}
        self._database.scan(data, _note, context=hits, scratch=self._scratch())
        found = self._registered_in(data)
        if not hits and not found:
            return Scan((), len(data), texts.bytes_skipped, texts.skipped)
        is_cut = hits.pop(_CUT, None) is not None
        for rank in sorted(hits):
            confirmed = list(islice(self._confirmed(rank, hits[rank], data, texts), SPANS_MAX + 1))
            is_cut |= len(confirmed) > SPANS_MAX
            found += confirmed
        kept = _without_overlap(found)
        if len(kept) > SPANS_MAX:
            kept = sorted(sorted(kept, key=lambda each: each.rank)[:SPANS_MAX], key=lambda each: each.start)
            is_cut = True
        spans = tuple(islice(self._spans(kept, data, texts), SPANS_MAX + 1)) if kept else ()
        is_cut |= len(spans) > SPANS_MAX
        skipped = (*texts.skipped, "spans") if is_cut else texts.skipped
        return Scan(spans[:SPANS_MAX], len(data), texts.bytes_skipped, skipped)

    def _scratch(self) -> hyperscan.Scratch:
        """This thread's working memory; a shared one makes scans of two threads fail."""
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        return scratch

    def _registered_in(self, data: bytes) -> list[_Found]:
        """The registered secrets; their database is apart, because the other one is kept on disk."""
        if self._registered.database is None:
            return []
        scratch = getattr(self._local, "registered", None)
        if scratch is None:
            scratch = self._local.registered = hyperscan.Scratch(self._registered.database)
        rank = len(self._detectors) - 1
        return [_Found(start, end, rank, DETECTOR.confidence) for start, end in self._registered.found(data, scratch)]

    def _confirmed(self, rank: int, ends: list[int], data: bytes, texts: Texts) -> Iterator[_Found]:
        """The hits of one detector whose pattern and check agree, each value once."""
        detector, pattern = self._detectors[rank], self._patterns[rank]
        done = 0
        for end in ends:
            at, limit = max(done, end - detector.lead), min(len(data), end + detector.tail)
            stop_at = limit if detector.is_ahead else end
            while at < stop_at and (match := pattern.search(data, at, limit)):
                start, stop = match.span(1)
                confidence, candidate = detector.confidence, _candidate(data, start, stop, texts)
                if detector.check is not None:
                    confidence *= detector.check(candidate)
                if confidence > 0:
                    is_doubtful = detector.doubt is not None and detector.doubt(candidate)
                    yield _Found(start, stop, rank, round(confidence, 2), is_doubtful)
                done = at = start + 1 if confidence == 0 and detector.may_overlap else stop

    def _spans(self, found: list[_Found], data: bytes, texts: Texts) -> Iterator[Span]:
        """Stretches of the joined bytes as stretches of leaves, in characters; one across leaves becomes several.

        Of those, object keys and short texts are left out: they are words of the protocol between the lines of a key.
        """
        starts = texts.starts()
        parts = [
            (index, max(each.start, starts[index]), min(each.end, starts[index + 1] - 1), each)
            for each in found
            for index in range(texts.index_at(each.start), texts.index_at(each.end - 1) + 1)
        ]
        leaves = texts.leaves({index for index, *_ in parts})
        last, byte, char = -1, 0, 0
        for index, low, high, each in parts:
            if index != last:
                last, byte, char = index, starts[index], 0
            start = char + _chars(data, byte, low)
            byte, char = high, start + _chars(data, low, high)
            is_whole = low == each.start and high == each.end
            if is_whole or (high - low >= _LINE_BYTES_MIN and not leaves[index].is_key):
                yield Span(self._detectors[each.rank].kind, leaves[index], start, char, each.confidence, each.is_strict_only)


def _note(rank: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    """Hyperscan's callback; it must return nothing, or the scan ends."""
    ends = hits.get(rank)
    if ends is None:
        hits[rank] = [end]
    elif len(ends) < HITS_PER_DETECTOR_MAX:
        ends.append(end)
    else:
        hits[_CUT] = ends


def _chars(data: bytes, start: int, end: int) -> int:
    """How many characters ``data[start:end]`` is."""
    part = data[start:end]
    return len(part) if part.isascii() else len(part.decode("utf-8", "surrogatepass"))


def _candidate(data: bytes, start: int, end: int, texts: Texts) -> Candidate:
    index, starts = texts.index_at(start), texts.starts()
    return Candidate(
        data[start:end].decode("utf-8", "replace"),
        data[max(0, start - CONTEXT_CHARS) : start].decode("utf-8", "replace"),
        data[end : end + CONTEXT_CHARS].decode("utf-8", "replace"),
        starts[index] == start and starts[index + 1] - 1 == end,
    )


def _without_overlap(found: list[_Found]) -> list[_Found]:
    """In order of place; of two that overlap the surer one stays, then the longer, then the more specific."""
    kept: list[_Found] = []
    for each in sorted(found, key=lambda item: (item.start, -item.end)):
        while kept and kept[-1].end > each.start and _strength(each) > _strength(kept[-1]):
            kept.pop()
        if not kept or kept[-1].end <= each.start:
            kept.append(each)
    return kept


def _strength(found: _Found) -> tuple[float, int, int]:
    return found.confidence, found.end - found.start, -found.rank
