"""Scans for the kinds of data that policy files define: patterns, words and lists.

They are not part of the database that is kept on disk: the few patterns of a policy set are compiled when it is loaded, and
belong to that set, so that a message is never judged by the rules of one version with the kinds of another.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import hyperscan
import re2

from sidecar.detect.custom.checksums import has_valid_checksum
from sidecar.detect.custom.exact import ExactTable, build_table
from sidecar.detect.custom.exact_form import LEAF_END
from sidecar.detect.custom.keywords import is_near, is_word
from sidecar.detect.custom.regex_prefilter import BYTES, RegexPrefilter, build_regex_prefilter
from sidecar.detect.kinds import Surface
from sidecar.detect.scanner import Scanner
from sidecar.limits import CUSTOM_CANDIDATES_MAX, CUSTOM_MATCH_BYTES_MAX, CUSTOM_REGEX_MEMORY_BYTES, CUSTOM_SPANS_MAX

_ESCAPED: Final = re.compile("[\udc80-\udcff]")
_BLANKS: Final = (b"%20", b"&nbsp;", b"\\n", b"\\r", b"\\t")
_BLANK: Final = -1
_BLANK_PREFILTER: Final = RegexPrefilter(r"%20|&nbsp;|\\[nrt]", BYTES)
_VALUE: Final = "value"
"""The group of a pattern that is the value, where it is not all of the match."""


@dataclass(frozen=True, slots=True)
class CustomKind:
    """One custom kind. Either ``pattern`` (RE2) or ``table`` is given.

    ``prefilters`` are what Hyperscan looks for first; without any, the pattern is run over every message. Where ``is_word``,
    a match must be whole words. One of the words that ``near`` (RE2) knows must stand at most ``within`` characters from a
    value, and its check digits must be right by ``checksum``, a name in ``checksums.py``.
    """

    kind: str
    confidence: float
    pattern: str = ""
    prefilters: tuple[RegexPrefilter, ...] = ()
    is_word: bool = False
    near: str = ""
    within: int = 0
    checksum: str = ""
    table: ExactTable | None = None


@dataclass(frozen=True, slots=True)
class CustomSpan:
    """A stretch of bytes in which a custom kind was found."""

    start: int
    end: int
    kind: str
    confidence: float


Cut = tuple[str, str, int]
"""Why a kind was not searched in full, which kind, and about how many bytes."""


def prepare_regex(pattern: str) -> tuple[str, tuple[RegexPrefilter, ...]]:
    """An author's pattern as it is matched, with ``^`` and ``$`` as edges of lines, and its prefilter if it has one.

    Raises:
        re2.error: it is not a pattern; the text says which part is wrong.
    """
    compile_pattern(pattern)
    prefilter = build_regex_prefilter(pattern)
    return f"(?m){pattern}", (prefilter,) if prefilter and is_taken(prefilter) else ()


def compile_pattern(pattern: str) -> Any:
    """An RE2 pattern compiled within our bounds.

    Raises:
        re2.error: RE2 refuses it, or it needs more memory than ``CUSTOM_REGEX_MEMORY_BYTES``.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = CUSTOM_REGEX_MEMORY_BYTES
    return re2.compile(pattern, options)


def is_taken(prefilter: RegexPrefilter) -> bool:
    """Whether Hyperscan can compile it."""
    return _database_or_none((prefilter,)) is not None


class CustomKinds:
    """The custom kinds of one policy set. Thread-safe."""

    def __init__(self, kinds: Sequence[CustomKind] = ()) -> None:
        self._kinds = tuple(kinds)
        self._patterns: list[Any] = [compile_pattern(each.pattern) if each.pattern else None for each in self._kinds]
        self._nears: list[Any] = [compile_pattern(each.near) if each.near else None for each in self._kinds]
        self._has_lists = any(each.table for each in self._kinds)
        prefilters = [(prefilter, index) for index, each in enumerate(self._kinds) for prefilter in each.prefilters]
        if self._has_lists or any(each.is_word for each in self._kinds):
            prefilters.append((_BLANK_PREFILTER, _BLANK))
        self._numbers = [index for _, index in prefilters]
        self._without_prefilter = {index for index, each in enumerate(self._kinds) if not each.prefilters}
        database = _database_or_none(tuple(prefilter for prefilter, _ in prefilters))
        self._scanner = None if database is None else Scanner(database)
        self.kinds = frozenset(each.kind for each in self._kinds)
        self.version = _version(self._kinds) if self._kinds else ""

    def __len__(self) -> int:
        return len(self._kinds)

    def with_lists(self, lists: Mapping[str, Sequence[str]]) -> "CustomKinds":
        """The same kinds with other lists: those of ``lists`` by kind, and no list holds anything else."""
        if not self._has_lists:
            return self
        tables = {name: build_table(values) for name, values in lists.items()}
        nothing = build_table(())
        return CustomKinds(
            [replace(each, table=tables.get(each.kind, nothing)) if each.table else each for each in self._kinds]
        )

    def find(self, surface: Surface) -> tuple[list[CustomSpan], list[Cut]]:
        """Where values of custom kinds stand, without overlap within one kind, and which kinds were not searched in full."""
        places: list[CustomSpan] = []
        cuts: list[Cut] = []
        if not self._kinds:
            return places, cuts
        data = _valid(surface.joined())
        hits = self._hits(data)
        readings = (data, _spaced(data)) if _BLANK in hits else (data,)
        texts = [_leaves(surface, each) for each in readings] if self._has_lists else []
        for index in sorted(self._without_prefilter | (hits - {_BLANK})):
            each = self._kinds[index]
            stretches: list[tuple[int, int]] = []
            if each.table is not None:
                for read, text in zip(readings, texts, strict=True):
                    found, is_cut = each.table.find(text)
                    stretches += (one for one in _in_bytes(text, found) if self._matches_conditions(index, read, *one))
                    if is_cut:
                        cuts.append(("candidates", each.kind, len(data)))
            else:
                for read in readings if each.is_word else (data,):
                    matches = self._matches(index, read, surface, cuts)
                    stretches += islice(matches, CUSTOM_SPANS_MAX + 1)
            if len(readings) > 1:
                stretches = _joined(stretches)
            if len(stretches) > CUSTOM_SPANS_MAX:
                cuts.append(("spans", each.kind, len(data) - stretches[CUSTOM_SPANS_MAX][0]))
            places += (CustomSpan(start, end, each.kind, each.confidence) for start, end in stretches[:CUSTOM_SPANS_MAX])
        return places, cuts

    def _hits(self, data: bytes) -> set[int]:
        """The kinds of which a prefilter was met, and ``_BLANK`` where an escaped blank was."""
        if self._scanner is None:
            return set(self._numbers)
        met: set[int] = set()
        self._scanner.scan(data, _note, met)
        return {self._numbers[number] for number in met}

    def _matches(self, index: int, data: bytes, surface: Surface, cuts: list[Cut]) -> Iterator[tuple[int, int]]:
        """The values of one kind; looked for in windows, so that no pattern searches everything again for each match."""
        pattern, size = self._patterns[index], len(data)
        at, count = 0, 0
        while at < size:
            limit = min(size, at + 2 * CUSTOM_MATCH_BYTES_MAX)
            match = pattern.search(data, at, limit)
            if match is None:
                at = size if limit == size else at + CUSTOM_MATCH_BYTES_MAX
                continue
            start, end = match.span()
            if limit < size and start >= at + CUSTOM_MATCH_BYTES_MAX:
                # It may have been cut by the window's end, so that it gets a window of its own.
                at = start
                continue
            count += 1
            if count > CUSTOM_CANDIDATES_MAX:
                cuts.append(("candidates", self._kinds[index].kind, size - start))
                return
            if (edge := _edge(surface, data, start, end)) is not None:
                match = pattern.search(data, start, edge)
                if match is None:
                    at = edge + 1
                    continue
                start, end = match.span()
            low, high = _value(pattern, match)
            if low < high and self._matches_conditions(index, data, low, high):
                yield low, high
                at = max(end, start + 1)
            else:
                at = start + 1

    def _matches_conditions(self, index: int, data: bytes, start: int, end: int) -> bool:
        """Whether a match is all that its kind asks for."""
        kind, near = self._kinds[index], self._nears[index]
        if kind.is_word and not is_word(data, start, end):
            return False
        if kind.checksum and not has_valid_checksum(kind.checksum, data[start:end].decode("utf-8", "replace")):
            return False
        return near is None or is_near(near, data, start, end, kind.within)


def _value(pattern: Any, match: Any) -> tuple[int, int]:
    """The group called ``value``, or all of the match."""
    group = pattern.groupindex.get(_VALUE, 0) if pattern.groups else 0
    low, high = match.span(group)
    return (low, high) if low >= 0 else match.span()


def _edge(surface: Surface, data: bytes, start: int, end: int) -> int | None:
    """Where the leaf ends beyond which a match reaches; nothing where it does not."""
    if b"\n" not in data[start:end]:
        return None
    low, high = surface.around(start)
    return high if low <= start <= high < end else None


def _valid(data: bytes) -> bytes:
    """The same with a question mark for each byte that is no UTF-8: Hyperscan follows malformed text blindly."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return _ESCAPED.sub("?", data.decode("utf-8", "surrogateescape")).encode()
    return data


def _spaced(data: bytes) -> bytes:
    """The same with escaped blanks as spaces of the same length; views decode other escapes."""
    for escape in _BLANKS:
        data = data.replace(escape, b" " * len(escape))
    return data


def _joined(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, those that overlap as one."""
    kept: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
        else:
            kept.append((start, end))
    return kept


def _leaves(surface: Surface, data: bytes) -> str:
    """All text, with a sign of its own between two leaves, where it is the message's own text."""
    starts = getattr(surface, "starts", None)
    if starts is None:
        return data.decode()
    marked = bytearray(data)
    for start in starts()[1:-1]:
        marked[start - 1] = ord(LEAF_END)
    return marked.decode()


def _in_bytes(text: str, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Stretches of a text in characters, in order, as stretches of its UTF-8."""
    char, byte = 0, 0
    for start, end in places:
        low = byte + (start - char if text.isascii() else len(text[char:start].encode()))
        high = low + (end - start if text.isascii() else len(text[start:end].encode()))
        yield low, high
        char, byte = end, high


@lru_cache(maxsize=64)
def _database_or_none(prefilters: tuple[RegexPrefilter, ...]) -> hyperscan.Database | None:
    """All prefilters in one database, unless there are none or Hyperscan refuses them.

    Compiling does not hold up other threads, and is not done again for a reload that changes no kind.
    """
    if not prefilters:
        return None
    database = hyperscan.Database()
    try:
        database.compile(
            expressions=[each.expression.encode() for each in prefilters],
            ids=list(range(len(prefilters))),
            elements=len(prefilters),
            flags=[each.flags for each in prefilters],
        )
    except hyperscan.HyperscanError:
        return None
    return database


def _note(number: int, _start: int, _end: int, _flags: int, met: Any) -> None:
    """Hyperscan's callback; it must return nothing, or the scan ends."""
    met.add(number)


def _version(kinds: Sequence[CustomKind]) -> str:
    """Which kinds these are, by their values alone: a renamed field changes no version."""
    values = [
        (*astuple(replace(each, table=None)), astuple(each.table.header) if each.table else None)
        for each in sorted(kinds, key=lambda each: each.kind)
    ]
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


NO_CUSTOM_KINDS: Final = CustomKinds()
"""A policy set without custom kinds."""
