"""One pass over a message for all detectors at once, then an exact look at the few places where something may be."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import hyperscan
import re2

from sidecar.detect import named, personal, secrets
from sidecar.detect.kinds import CONTEXT_CHARS, Candidate, Detector
from sidecar.detect.text import Texts
from sidecar.events import Leaf, Scan, Span
from sidecar.limits import SPANS_MAX

DETECTORS: Final[tuple[Detector, ...]] = (*secrets.DETECTORS, *personal.DETECTORS, *named.DETECTORS)
"""The more specific first: where two recognise the same stretch with the same confidence, the first one keeps it."""

_HITS_MAX: Final = 8 * SPANS_MAX
_CUT: Final = -1

_OPTIONS: Final = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


@dataclass(slots=True)
class _Found:
    """A confirmed stretch of the joined bytes."""

    start: int
    end: int
    rank: int
    confidence: float


class Engine:
    """All detectors compiled into one Hyperscan database (block mode, bytes, no start of match) and their RE2 patterns.

    Thread-safe: the database is read-only and every thread has its own scratch space. ``kinds`` are the kinds it knows.
    """

    def __init__(self, detectors: Sequence[Detector] = DETECTORS) -> None:
        self.kinds = frozenset(each.kind for each in detectors)
        self._detectors = tuple(detectors)
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
        """What all detectors see in ``texts``. Reaching ``SPANS_MAX`` is recorded in ``skipped`` as ``spans``."""
        data = texts.joined()
        hits: dict[int, list[int]] = {}
        try:
            scratch = self._local.scratch
        except AttributeError:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        self._database.scan(data, _note, context=hits, scratch=scratch)
        if not hits:
            return Scan((), len(data), texts.bytes_skipped, texts.skipped)
        is_cut = hits.pop(_CUT, None) is not None
        found: list[_Found] = []
        for rank in sorted(hits):
            found.extend(self._confirmed(rank, hits[rank], data, texts))
        kept = _disjoint(found)
        skipped = texts.skipped
        if is_cut or len(kept) > SPANS_MAX:
            skipped = (*skipped, "spans")
        return Scan(tuple(self._spans(kept[:SPANS_MAX], data, texts)), len(data), texts.bytes_skipped, skipped)

    def _confirmed(self, rank: int, ends: list[int], data: bytes, texts: Texts) -> Iterator[_Found]:
        """The hits of one detector whose pattern and check agree, each once."""
        detector, pattern = self._detectors[rank], self._patterns[rank]
        done = 0
        for end in ends:
            at = max(done, end - detector.width)
            while at < end and (match := pattern.search(data, at, min(len(data), end + detector.width))):
                start, stop = match.span(1)
                confidence = detector.confidence
                if detector.check is not None:
                    confidence *= detector.check(_candidate(data, start, stop, texts))
                if confidence > 0:
                    yield _Found(start, stop, rank, round(confidence, 2))
                done = at = stop if confidence > 0 else start + 1

    def _spans(self, found: list[_Found], data: bytes, texts: Texts) -> Iterator[Span]:
        """Stretches of the joined bytes as stretches of leaves, in characters; one across leaves becomes several."""
        starts = texts.starts()
        parts: list[tuple[int, int, int, _Found]] = []
        for each in found:
            for index in range(texts.index_at(each.start), texts.index_at(each.end - 1) + 1):
                low, high = max(each.start, starts[index]), min(each.end, starts[index + 1] - 1)
                if low < high:
                    parts.append((index, low, high, each))
        leaves: dict[int, Leaf] = dict(texts.leaves({part[0] for part in parts}))
        place, chars = (-1, 0), 0
        for index, low, high, each in parts:
            leaf, base = leaves[index], starts[index]
            if starts[index + 1] - 1 - base == len(leaf.text):
                start, end = low - base, high - base
            else:
                if place[0] != index:
                    place, chars = (index, base), 0
                start = chars + len(data[place[1] : low].decode("utf-8", "surrogatepass"))
                end = start + len(data[low:high].decode("utf-8", "surrogatepass"))
                place, chars = (index, high), end
            yield Span(self._detectors[each.rank].kind, leaf, start, end, each.confidence)


def _note(rank: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    """Hyperscan's callback; it must return nothing, or the scan ends."""
    ends = hits.get(rank)
    if ends is None:
        hits[rank] = [end]
    elif len(ends) < _HITS_MAX:
        ends.append(end)
    else:
        hits[_CUT] = ends


def _candidate(data: bytes, start: int, end: int, texts: Texts) -> Candidate:
    index, starts = texts.index_at(start), texts.starts()
    return Candidate(
        data[start:end].decode("utf-8", "replace"),
        data[max(0, start - CONTEXT_CHARS) : start].decode("utf-8", "replace"),
        data[end : end + CONTEXT_CHARS].decode("utf-8", "replace"),
        starts[index] == start and starts[index + 1] - 1 == end,
    )


def _disjoint(found: list[_Found]) -> list[_Found]:
    """In order of place. Of two that overlap the surer one stays, of two equally sure ones the more specific."""
    kept: list[_Found] = []
    for each in sorted(found, key=lambda item: (item.start, -item.end)):
        while (
            kept and kept[-1].end > each.start and (-each.confidence, each.rank) < (-kept[-1].confidence, kept[-1].rank)
        ):
            kept.pop()
        if not kept or kept[-1].end <= each.start:
            kept.append(each)
    return kept
