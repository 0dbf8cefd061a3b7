"""One pass over a message for all detectors at once, then an exact look at the few places where something may be."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import hyperscan
import re2

from sidecar.detect import named, personal, secrets
from sidecar.detect.fields import joined_fields
from sidecar.detect.gates import GATES
from sidecar.detect.kinds import CONTEXT_CHARS, Candidate, Detector
from sidecar.detect.text import Texts
from sidecar.detect.views import Left, Surface, View, view
from sidecar.events import Scan, Span
from sidecar.limits import ENCODING_DEPTH_MAX, HITS_PER_DETECTOR_MAX, SPANS_MAX

DETECTORS: Final[tuple[Detector, ...]] = (*secrets.DETECTORS, *personal.DETECTORS, *named.DETECTORS)
"""The more specific first: where two recognise the same stretch with the same confidence, the first one keeps it."""

_CUT: Final = -1
_CUT_GATES: Final = -2
_FIRST_GATE: Final = 10_000
"""Numbers of gates in the database begin here, those of detectors at 0."""
_SURE: Final = 0.9
"""How sure a detector must be of a value that was put together from parts."""
_LINE_BYTES_MIN: Final = 24
"""Shorter than any border of a private key (25), longer than ``application/json``."""
_ONCE: Final = frozenset(_FIRST_GATE + index for index, each in enumerate(GATES) if each.is_once)
_FOREIGN: Final = frozenset(_FIRST_GATE + index for index, each in enumerate(GATES) if each.is_foreign)
"""What stands in no ASCII text is sought in a database of its own, because its many letters slow the other one down."""
_OPTIONS: Final = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


@dataclass(slots=True)
class _Found:
    """A confirmed stretch of the joined bytes; ``rank`` is its detector's place in the list."""

    start: int
    end: int
    rank: int
    confidence: float
    via: str = ""
    plain: str = ""


class Engine:
    """All detectors in one Hyperscan database (block mode, bytes, no start of match), and their RE2 patterns.

    Thread-safe: the database is read-only, and every thread has its own scratch space. ``kinds`` is what it can find.
    """

    def __init__(self, detectors: Sequence[Detector] = DETECTORS, compiled: bytes | None = None) -> None:
        """``compiled`` is what ``dump`` of an engine with the same ``version`` gave on this machine; compiling takes seconds.

        It is trusted as code is. One that cannot be used is compiled again, and ``is_compiled`` says so.
        """
        self.kinds = frozenset(each.kind for each in detectors)
        self.version = version(detectors)
        self._detectors = tuple(detectors)
        self._patterns: list[Any] = [None] * len(self._detectors)
        self.is_compiled = compiled is None
        if compiled is not None:
            try:
                self._databases = _loaded(compiled)
            except (hyperscan.HyperscanError, ValueError):
                self.is_compiled = True
        if self.is_compiled:
            expressions = _expressions(detectors)
            foreign = [each for each in expressions if each[0] in _FOREIGN]
            self._databases = (_compiled([each for each in expressions if each[0] not in _FOREIGN]), _compiled(foreign))
        self._local = threading.local()

    def dump(self) -> bytes:
        """The compiled database, to be given to an engine of the same version on this machine."""
        first, second = (hyperscan.dumpb(each) for each in self._databases)
        return len(first).to_bytes(8) + first + second

    def scan(self, texts: Texts) -> Scan:
        """What all detectors see in ``texts``, in order of place.

        Beyond ``SPANS_MAX`` or ``HITS_PER_DETECTOR_MAX``, ``skipped`` says ``spans``; what is kept then is of the more
        specific kinds.
        """
        data = texts.joined()
        hits = self._hits(data)
        if not hits:
            return Scan((), len(data), texts.bytes_skipped, texts.skipped, 0, len(self._detectors), self.version)
        left = Left()
        found, is_cut = self._found(texts, hits)
        is_cut_up = not _ONCE.isdisjoint(hits)
        found += self._hidden(texts, hits, found, left)
        if is_cut_up:
            found += self._cut_up(texts, found)
        if len(found) > SPANS_MAX:
            found = sorted(found, key=lambda each: each.rank)[:SPANS_MAX]
            is_cut = True
        spans = tuple(islice(self._spans(found, data, texts), SPANS_MAX + 1)) if found else ()
        is_cut |= len(spans) > SPANS_MAX
        skipped = (*texts.skipped, *sorted(left.skipped), *(("spans",) if is_cut else ()))
        bytes_skipped, count = texts.bytes_skipped + left.bytes_skipped, len(self._detectors)
        return Scan(spans[:SPANS_MAX], len(data), bytes_skipped, skipped, left.bytes_done, count, self.version)

    def _hits(self, data: bytes) -> dict[int, list[int]]:
        """Where in ``data`` gates of detectors and of encodings end, by their number."""
        hits: dict[int, list[int]] = {}
        scratches = self._scratches()
        for database, scratch in zip(self._databases[: 1 if data.isascii() else 2], scratches, strict=False):
            database.scan(data, _note, context=hits, scratch=scratch)
        return hits

    def _found(self, surface: Surface, hits: dict[int, list[int]]) -> tuple[list[_Found], bool]:
        """What detectors confirm on one surface, without overlap, and whether there was more than is looked at."""
        is_cut, data = _CUT in hits, surface.joined()
        found: list[_Found] = []
        for rank in sorted(hits):
            if 0 <= rank < _FIRST_GATE:
                confirmed = list(islice(self._confirmed(rank, hits[rank], data, surface), SPANS_MAX + 1))
                is_cut |= len(confirmed) > SPANS_MAX
                found += confirmed
        return _without_overlap(found), is_cut

    def _hidden(self, texts: Texts, hits: dict[int, list[int]], plain: list[_Found], left: Left) -> list[_Found]:
        """What stands in encoded stretches, as stretches of the message's own text."""
        found: dict[tuple[str, int, int, str], _Found] = {}
        surface: Surface = texts
        for depth in range(ENCODING_DEPTH_MAX + 1):
            for gate in _ONCE & hits.keys():
                del hits[gate]
            if _CUT_GATES in hits:
                left.skip("encoded", 0)
            gates = _gates(hits, surface)
            if not gates:
                break
            if depth == ENCODING_DEPTH_MAX:
                left.skip("encoding-depth", len(surface.joined()))
                break
            made = view(surface, gates, left)
            if not made:
                break
            hits, surface = self._hits(made.joined()), made
            for each in self._found(made, hits)[0]:
                for inner in self._traced(each, made):
                    kind = self._detectors[inner.rank].kind
                    key = (kind, inner.start, inner.end, inner.plain)
                    if key not in found and not self._is_known(inner, kind, plain):
                        found[key] = inner
        return list(found.values())

    def _cut_up(self, texts: Texts, known: list[_Found]) -> Iterator[_Found]:
        """Credentials of which each part stands in a field of its own; of other kinds chance makes too many."""
        made = joined_fields(texts)
        if not made:
            return
        for each in self._found(made, self._hits(made.joined()))[0]:
            parts = made.sources(each.start, each.end)[0]
            is_named = self._detectors[each.rank].kind.startswith("secrets.") and each.confidence >= _SURE
            if len(parts) > 1 and is_named and not any(old.start < parts[0][1] and parts[0][0] < old.end for old in known):
                plain = made.joined()[each.start : each.end].decode("utf-8", "replace")
                for start, end in parts:
                    yield replace(each, start=start, end=end, via="fields", plain=plain)

    def _traced(self, found: _Found, made: View) -> Iterator[_Found]:
        """What was found in a view, as stretches of the message's own text; nothing for what only stood beside."""
        data = made.joined()
        if not made.is_fresh(found.start) and not made.is_fresh(found.end - 1):
            return
        ranges, ways = [(found.start, found.end)], []
        at: Surface = made
        while isinstance(at, View):
            traced = [at.sources(start, end) for start, end in ranges]
            ranges = [each for sources, _ in traced for each in sources]
            ways += sorted({way for _, way in traced if way})
            at = at.parent
        plain = data[found.start : found.end].decode("utf-8", "replace") if ways else ""
        via = ">".join(reversed(ways))
        for start, end in ranges:
            yield replace(found, start=start, end=end, via=via, plain=plain)

    def _is_known(self, inner: _Found, kind: str, plain: list[_Found]) -> bool:
        """Whether it was found without undoing anything: the same kind there, or the same letters as another kind."""
        return any(
            each.start <= inner.start and inner.end <= each.end and self._detectors[each.rank].kind == kind
            if inner.via
            else each.start < inner.end and inner.start < each.end
            for each in plain
        )

    def _scratches(self) -> tuple[hyperscan.Scratch, ...]:
        """This thread's working memory; a shared one makes scans of two threads fail."""
        scratches: tuple[hyperscan.Scratch, ...] | None = getattr(self._local, "scratches", None)
        if scratches is None:
            scratches = self._local.scratches = tuple(hyperscan.Scratch(each) for each in self._databases)
        return scratches

    def _confirmed(self, rank: int, ends: list[int], data: bytes, texts: Surface) -> Iterator[_Found]:
        """The hits of one detector whose pattern and check agree, each value once."""
        detector, pattern = self._detectors[rank], self._patterns[rank]
        if pattern is None:
            pattern = self._patterns[rank] = re2.compile(detector.pattern.encode(), _OPTIONS)
        done = 0
        for end in ends:
            at, limit = max(done, end - detector.lead), min(len(data), end + detector.tail)
            while at < end and (match := pattern.search(data, at, limit)):
                start, stop = match.span(1)
                confidence = detector.confidence
                if detector.check is not None:
                    confidence *= detector.check(_candidate(data, start, stop, texts))
                if confidence > 0:
                    yield _Found(start, stop, rank, round(confidence, 2))
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
        parts.sort(key=lambda part: part[:3])
        leaves = texts.leaves({index for index, *_ in parts})
        last, byte, char = -1, 0, 0
        for index, low, high, each in parts:
            if index != last:
                last, byte, char = index, starts[index], 0
            start = char + _chars(data, byte, low)
            byte, char, end = low, start, start + _chars(data, low, high)
            is_whole = low == each.start and high == each.end
            if is_whole or (high - low >= _LINE_BYTES_MIN and not leaves[index].is_key):
                kind = self._detectors[each.rank].kind
                yield Span(kind, leaves[index], start, end, each.confidence, via=each.via, plain=each.plain)


def version(detectors: Sequence[Detector] = DETECTORS) -> str:
    """Which detectors and encodings these are, by all they look for: 12 hex digits."""
    said = repr((_expressions(detectors), [(each.kind, each.pattern, each.confidence) for each in detectors]))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _compiled(expressions: list[tuple[int, str]]) -> hyperscan.Database:
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for _, pattern in expressions],
        ids=[number for number, _ in expressions],
        elements=len(expressions),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH if number in _ONCE else 0 for number, _ in expressions],
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
    gates = [(_FIRST_GATE + index, each.pattern) for index, each in enumerate(GATES)]
    return [*((rank, each.gate) for rank, each in enumerate(detectors)), *gates]


def _note(rank: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    """Hyperscan's callback; it must return nothing, or the scan ends."""
    ends = hits.get(rank)
    if ends is None:
        hits[rank] = [end]
    elif len(ends) < HITS_PER_DETECTOR_MAX:
        ends.append(end)
    else:
        hits[_CUT if rank < _FIRST_GATE else _CUT_GATES] = ends


def _gates(hits: dict[int, list[int]], surface: Surface) -> dict[str, list[int]]:
    """The ends of gates by the transformation they call for; on a view only those in what was undone for it."""
    gates: dict[str, list[int]] = {}
    for number in sorted(hits):
        if number >= _FIRST_GATE:
            ends = hits[number]
            if isinstance(surface, View):
                ends = [end for end in ends if surface.is_fresh(max(0, end - 2))]
            if ends:
                gates.setdefault(GATES[number - _FIRST_GATE].undoes, []).extend(ends)
    return gates


def _chars(data: bytes, start: int, end: int) -> int:
    """How many characters ``data[start:end]`` is."""
    part = data[start:end]
    return len(part) if part.isascii() else len(part.decode("utf-8", "surrogatepass"))


def _candidate(data: bytes, start: int, end: int, texts: Surface) -> Candidate:
    return Candidate(
        data[start:end].decode("utf-8", "replace"),
        data[max(0, start - CONTEXT_CHARS) : start].decode("utf-8", "replace"),
        data[end : end + CONTEXT_CHARS].decode("utf-8", "replace"),
        texts.is_whole(start, end),
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
