"""The engine: prefilters of all detectors over a whole message, then exact patterns at the few places they point to."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any, Final

import re2

from sidecar.detect import binary_content
from sidecar.detect.budget import Budget, fair_shares
from sidecar.detect.custom.registered import Registered
from sidecar.detect.custom.scan import NO_CUSTOM_KINDS, CustomKinds
from sidecar.detect.databases import FIRST_ENCODING, ONCE, STOPPED, Databases, Hits, version
from sidecar.detect.detections import (
    CUSTOM_RANK,
    NOTHING_KNOWN,
    VALUES,
    Detection,
    KnownStretches,
    index_by_family,
    is_known,
    resolve_overlaps,
)
from sidecar.detect.encoding_prefilters import ENCODING_PREFILTERS
from sidecar.detect.families import DETECTORS, REGISTERED
from sidecar.detect.kinds import Candidate, Detector, Surface
from sidecar.detect.split_values import join_fields
from sidecar.detect.text import Texts
from sidecar.detect.views import View, build_view
from sidecar.events import Scan, Span
from sidecar.limits import EFFORT_MAX, ENCODING_DEPTH_MAX, HITS_PER_DETECTOR_MAX, SPANS_MAX

_SURE: Final = 0.9
"""The confidence a detector must have in a value that was put together from parts."""
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_AMID_BYTES: Final = 400
_BY_CHANCE: Final = 0.5
"""Pictures in base64 hold about one credential of a short form in 10 MB, by chance; nobody should have to look at it."""
_LINE_BYTES_MIN: Final = 24
"""Shorter than any border of a private key (25), longer than ``application/json``."""
_BASE64_PREFILTER: Final = FIRST_ENCODING + next(
    index for index, each in enumerate(ENCODING_PREFILTERS) if each.encoding == "base64"
)
_SEARCH_EFFORT: Final = 3
_BYTES_PER_EFFORT: Final = 128
_SURE_EFFORT: Final = 15
"""Cost of one search for a pattern, bytes searched for one unit more, and cost of a value that is certain."""
_ANYWHERE: Final = re2._re2.RE2.Anchor.UNANCHORED
_OPTIONS: Final = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1


class Engine:
    """All detectors: their prefilters together, then their RE2 patterns and checks. Thread-safe.

    ``kinds`` is what it can find, ``version`` names all it looks for.
    """

    def __init__(
        self, detectors: Sequence[Detector] = DETECTORS, registered: Sequence[str] = (), compiled: bytes | None = None
    ) -> None:
        """``registered`` are secrets to find as they are, by text.

        ``compiled`` is what ``databases.dump()`` of an engine with the same ``version`` gave on this machine.
        """
        self._detectors = (*detectors, REGISTERED)
        self.kinds = frozenset(each.kind for each in self._detectors)
        self.version = version(detectors)
        self._registered = Registered(registered)
        self._searches: list[Any] = [None] * len(detectors)
        self.databases = Databases(detectors, compiled)
        self._last = len(detectors)

    def scan(self, texts: Texts, custom: CustomKinds = NO_CUSTOM_KINDS) -> Scan:
        """What all detectors, and the ``custom`` kinds of the policies in force, find in ``texts``, in order of place.

        Beyond ``SPANS_MAX``, ``skipped`` says ``spans``, and beyond ``EFFORT_MAX`` or ``HITS_PER_DETECTOR_MAX`` ``candidates``:
        the kinds of which there are few are seen and kept in full, and ``kinds_cut`` names the others. Where only signals
        were more, ``unseen`` says ``signals``: a flood of words stops no call.
        """
        data = texts.joined()
        hits = self.databases.find_hits(data)
        ends, unread = binary_content.inspect(texts)
        unseen = ("binary",) if unread else ()
        if ends:
            hits[_BASE64_PREFILTER] = [*hits.get(_BASE64_PREFILTER, ()), *ends]
        count, version = len(self._detectors) + len(custom), _version_with(self.version, custom.version)
        if not (hits or self._registered or custom):
            return Scan((), len(data), texts.bytes_skipped + unread, texts.skipped, 0, count, version, unseen)
        budget = Budget()
        found_custom = _find_custom(custom, texts, budget)
        found = self._find(texts, hits, budget) + found_custom
        has_split_fields = not ONCE.isdisjoint(hits)
        budget.effort = max(budget.effort, EFFORT_MAX // 2)
        found += self._find_encoded(texts, hits, found, budget, custom)
        if has_split_fields:
            found += self._find_split(texts, found, budget)
        found = self._limit(found, budget)
        spans = tuple(islice(self._to_spans(found, data, texts), SPANS_MAX + 1)) if found else ()
        if len(spans) > SPANS_MAX:
            budget.cut("spans", {span.kind for span in spans}, 0)
        skipped = (*texts.skipped, *sorted(budget.skipped))
        bytes_skipped = texts.bytes_skipped + min(budget.bytes_skipped, len(data)) + unread
        kinds_cut, unseen = frozenset() if texts.skipped else budget.kinds_cut, (*unseen, *sorted(budget.unseen))
        return Scan(spans[:SPANS_MAX], len(data), bytes_skipped, skipped, budget.bytes_done, count, version, unseen, kinds_cut)

    def _limit(self, found: list[Detection], budget: Budget) -> list[Detection]:
        """What was found, within ``SPANS_MAX``: all of the kinds of which there are few, and the first of the others."""
        if len(found) <= SPANS_MAX:
            return found
        kinds: dict[str, list[Detection]] = {}
        for each in found:
            kinds.setdefault(each.kind, []).append(each)
        kept: list[Detection] = []
        for kind, share in fair_shares({kind: len(mine) for kind, mine in kinds.items()}, SPANS_MAX):
            kept += kinds[kind][:share]
            if rest := kinds[kind][share:]:
                budget.cut("spans", (kind,), sum(each.end - each.start for each in rest))
        return kept

    def _find(self, surface: Surface, hits: Hits, budget: Budget) -> list[Detection]:
        """What detectors confirm on one surface, without overlap. A flood of one detector takes nothing from the others."""
        data = surface.joined()
        if STOPPED in hits:
            budget.cut("candidates", self.kinds, len(data) - hits[STOPPED][0])
        found = [
            Detection(start, end, self._last, REGISTERED.kind, REGISTERED.confidence)
            for start, end in self._registered.find(data)
        ]
        ranks = sorted((rank for rank in hits if 0 <= rank < FIRST_ENCODING), key=lambda rank: len(hits[rank]))
        for index, rank in enumerate(ranks):
            found += self._confirm(rank, hits[rank], surface, budget, budget.effort // (len(ranks) - index))
        return resolve_overlaps(found)

    def _find_encoded(
        self, texts: Texts, hits: Hits, plain: list[Detection], budget: Budget, custom: CustomKinds
    ) -> list[Detection]:
        """What is found in encoded stretches, as stretches of the message's own text."""
        found: dict[tuple[str, int, int, str], Detection] = {}
        surface: Surface = texts
        known: dict[str, KnownStretches] = {}
        for depth in range(ENCODING_DEPTH_MAX + 1):
            for number in ONCE & hits.keys():
                del hits[number]
            ends = _encoded_ends(hits, surface, budget)
            if not ends:
                break
            if depth == ENCODING_DEPTH_MAX:
                budget.skip("encoding-depth", len(surface.joined()))
                break
            made = build_view(surface, ends, budget)
            if not made:
                break
            hits, surface = self.databases.find_hits(made.joined()), made
            known = known or index_by_family(plain)
            for each in (*self._find(made, hits, budget), *_find_custom(custom, made, budget)):
                for inner in self._trace(each, made):
                    key = (inner.kind, inner.start, inner.end, inner.plain)
                    if key not in found and not is_known(inner, known):
                        found[key] = inner
        return list(found.values())

    def _find_split(self, texts: Texts, found: list[Detection], budget: Budget) -> Iterator[Detection]:
        """Credentials of which each part stands in a field of its own; of other kinds chance makes too many."""
        made = join_fields(texts)
        if not made:
            return
        known = index_by_family(found).get(VALUES, NOTHING_KNOWN)
        for each in self._find(made, self.databases.find_hits(made.joined()), budget):
            parts = made.sources(each.start, each.end)[0]
            is_named = each.kind.startswith("secrets.") and each.confidence >= _SURE
            if len(parts) > 1 and is_named and not known.is_touched(*parts[0]):
                plain = made.joined()[each.start : each.end].decode("utf-8", "replace")
                for start, end in parts:
                    yield replace(each, start=start, end=end, via="fields", plain=plain)

    def _trace(self, found: Detection, made: View) -> Iterator[Detection]:
        """Stretches of the message's own text for what was found in a view; none for what only stood beside decoded text."""
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

    def _confirm(self, rank: int, ends: list[int], surface: Surface, budget: Budget, share: int) -> list[Detection]:
        """The hits of one detector whose pattern and check agree, each value once, for at most ``share`` of effort."""
        detector, search, data = self._detectors[rank], self._searches[rank], surface.joined()
        if search is None:
            search = self._searches[rank] = _compile_search(detector.pattern)
        found: list[Detection] = []
        done = spent = 0
        for end in ends[:HITS_PER_DETECTOR_MAX]:
            at, limit = max(done, end - detector.lead), min(len(data), end + detector.tail)
            stop_at = limit if detector.is_ahead else end
            if detector.precheck is None or at >= stop_at or detector.precheck(data, end):
                spent += _SEARCH_EFFORT + max(limit - at, 0) // _BYTES_PER_EFFORT
            else:
                spent += detector.effort
                stop_at = at
            while at < stop_at and spent < share:
                (begin, _), (start, stop) = search(_ANYWHERE, data, at, limit)[:2]
                # What begins after the prefilter's end has a prefilter, and a window, of its own.
                if begin < 0 or begin >= stop_at:
                    break
                candidate = Candidate(surface, start, stop)
                sure = 1 if detector.check is None else detector.check(candidate)
                if sure and _is_amid_base64(data, start, stop):
                    sure *= _BY_CHANCE
                confidence = round(detector.confidence * sure, 2)
                if confidence > 0:
                    is_doubtful = detector.doubt is not None and detector.doubt(candidate)
                    found.append(Detection(start, stop, rank, detector.kind, confidence, is_doubtful))
                spent += detector.effort if confidence < detector.confidence else _SURE_EFFORT
                done = at = start + 1 if confidence == 0 and detector.may_overlap else stop
            if spent >= share or len(found) > SPANS_MAX:
                budget.cut("spans" if spent < share else "candidates", (detector.kind,), len(data) - max(done, end))
                break
        else:
            if len(ends) > HITS_PER_DETECTOR_MAX:
                budget.cut("candidates", (detector.kind,), len(data) - max(done, ends[-1]))
        budget.effort -= spent
        return found

    def _to_spans(self, found: list[Detection], data: bytes, texts: Texts) -> Iterator[Span]:
        """Stretches of the joined bytes as stretches of leaves, in characters; one across leaves becomes several.

        Of those, object keys and short texts are left out: they are words of the protocol between the lines of a key.
        """
        starts = texts.starts()
        parts: list[tuple[int, int, int, Detection]] = []
        for each in found:
            index = texts.index_at(each.start)
            low = each.start
            while each.end > (stop := starts[index + 1] - 1):
                if low < stop:
                    parts.append((index, low, stop, each))
                index += 1
                low = stop + 1
            if low < each.end:
                parts.append((index, low, each.end, each))
        parts.sort(key=itemgetter(0, 1, 2))
        leaves = texts.leaves({part[0] for part in parts})
        last, byte, char = -1, 0, 0
        for index, low, high, each in parts:
            if index != last:
                last, byte, char = index, starts[index], 0
            start = char + _chars(data, byte, low)
            byte, char, end = low, start, start + _chars(data, low, high)
            is_whole = low == each.start and high == each.end
            if is_whole or (high - low >= _LINE_BYTES_MIN and not leaves[index].is_key):
                yield Span(each.kind, leaves[index], start, end, each.confidence, each.is_strict_only, each.via, each.plain)


def _compile_search(pattern: str) -> Any:
    """RE2's search for ``pattern``, which gives the bounds of all groups, -1 for none.

    The match object that its package makes of them takes as long as the search.
    """
    return re2.compile(pattern.encode(), _OPTIONS)._regexp.Match


def _find_custom(custom: CustomKinds, surface: Surface, budget: Budget) -> list[Detection]:
    """What custom kinds find; they overlap built-in kinds and one another, because none may take another's finding away."""
    places, cuts = custom.find(surface)
    for reason, kind, count in cuts:
        budget.cut(reason, (kind,), count)
    return [Detection(each.start, each.end, CUSTOM_RANK, each.kind, each.confidence) for each in places]


@lru_cache(maxsize=16)
def _version_with(version: str, custom: str) -> str:
    """Which detectors and which custom kinds these are: 12 hex digits."""
    return hashlib.sha256(f"{version}+{custom}".encode()).hexdigest()[:12] if custom else version


def _encoded_ends(hits: Hits, surface: Surface, budget: Budget) -> dict[str, list[int]]:
    """The ends of encodings' prefilters, by encoding; on a view only those in what was decoded for it."""
    by_encoding: dict[str, list[int]] = {}
    unread = 0
    for number in sorted(hits):
        if number >= FIRST_ENCODING:
            ends = hits[number]
            if len(ends) > HITS_PER_DETECTOR_MAX:
                unread = max(unread, len(surface.joined()) - ends[-1])
            if isinstance(surface, View):
                ends = [end for end in ends if surface.is_fresh(max(0, end - 2))]
            if ends:
                by_encoding.setdefault(ENCODING_PREFILTERS[number - FIRST_ENCODING].encoding, []).extend(ends)
    if unread:
        budget.skip("encoded", unread)
    return by_encoding


def _chars(data: bytes, start: int, end: int) -> int:
    """How many characters ``data[start:end]`` is."""
    part = data[start:end]
    return len(part) if part.isascii() else len(part.decode("utf-8", "surrogatepass"))


def _is_amid_base64(data: bytes, start: int, stop: int) -> bool:
    """Whether a stretch is nothing but a part of much more base64."""
    if data[start:stop].strip(_BASE64):
        return False
    before, after = data[max(0, start - _AMID_BYTES) : start], data[stop : stop + _AMID_BYTES]
    around = len(before) - len(before.rstrip(_BASE64)) + len(after) - len(after.lstrip(_BASE64))
    return around >= _AMID_BYTES
