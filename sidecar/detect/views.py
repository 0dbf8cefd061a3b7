"""Views: the encoded stretches of a text, decoded to a text of its own that can be traced back to the original."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.detect import encoded_runs, escapes
from sidecar.detect.budget import Budget
from sidecar.detect.kinds import CONTEXT_CHARS, Surface
from sidecar.limits import INFLATED_BYTES_MAX

RUNS: Final = ("base64", "base32", "hex")
_AROUND: Final = 2 * CONTEXT_CHARS
_WORD_MAX: Final = 16_384
"""How far from an escaped letter the value it belongs to may reach: as long as the longest token."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``data[start:end]`` of a view stands for ``low:high`` of what it is a view of.

    ``via`` is how it was read, empty where it was copied. ``is_fresh`` is false for what only stands beside what was decoded.
    ``group`` is the same for the pieces of one stretch.
    """

    start: int
    end: int
    low: int
    high: int
    via: str
    is_fresh: bool
    group: int


class View:
    """The decoded stretches of a surface, each with its surroundings, as one text to be scanned."""

    __slots__ = ("_data", "_parts", "_pieces", "_starts", "parent", "size", "stretches")

    def __init__(self, parent: Surface) -> None:
        self.parent = parent
        self._parts: list[bytes] = []
        self._pieces: list[Piece] = []
        self.size = 0
        self._data: bytes | None = None
        self._starts: list[int] = []
        self.stretches: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, text: bytes, low: int, high: int, via: str, group: int, is_fresh: bool = True) -> None:
        """Append ``text``, which stands for ``low:high`` of the parent."""
        if text or low < high:
            self._pieces.append(Piece(self.size, self.size + len(text), low, high, via, is_fresh, group))
            self._parts.append(text)
            self.size += len(text)

    def joined(self) -> bytes:
        """The text of the view."""
        if self._data is None:
            self._data = b"".join(self._parts)
            self._starts = [piece.start for piece in self._pieces]
        return self._data

    def around(self, offset: int) -> tuple[int, int]:
        """Begin and end of the stretch that was decoded in one go and holds ``offset``."""
        return self.stretches[max(0, bisect_right(self.stretches, (offset, self.size)) - 1)]

    def is_whole(self, start: int, end: int) -> bool:
        """Whether line ends stand on both sides."""
        data = self.joined()
        return data[max(0, start - 1) : start] in (b"", b"\n") and data[end : end + 1] in (b"", b"\n")

    def is_fresh(self, offset: int) -> bool:
        """Whether what stands at ``offset`` belongs to what was decoded."""
        return self._pieces[self._at(offset)].is_fresh

    def sources(self, start: int, end: int) -> tuple[list[tuple[int, int]], str]:
        """Where in the parent ``start:end`` comes from, one stretch for each group, and how it was read (empty: copied)."""
        self.joined()
        found: dict[int, tuple[int, int]] = {}
        ways: dict[str, None] = {}
        for index in range(self._at(start), len(self._pieces)):
            piece = self._pieces[index]
            if piece.start >= end:
                break
            low, high = piece.low, piece.high
            if not piece.via:
                low, high = low + max(0, start - piece.start), high - max(0, piece.end - end)
            else:
                ways[piece.via] = None
            first, last = found.get(piece.group, (low, high))
            found[piece.group] = min(first, low), max(last, high)
        return list(found.values()), ",".join(ways)

    def _at(self, offset: int) -> int:
        return max(0, bisect_right(self._starts, offset) - 1)


def build_view(surface: Surface, hits: Mapping[str, Iterable[int]], budget: Budget) -> View:
    """What the encoded stretches stand for, within ``budget``. ``hits`` are the ends of prefilters' matches, by encoding."""
    made = View(surface)
    group = 0
    for name, ends in hits.items():
        for fresh in (
            _decode_runs(name, surface, ends, budget) if name in RUNS else _decode_escapes(name, surface, ends, budget)
        ):
            _append(made, surface.joined(), fresh, group)
            group += 1
    return made


_Decoded = list[tuple[bytes, int, int, str]]


def _append(made: View, data: bytes, fresh: _Decoded, group: int) -> None:
    low, high = fresh[0][1], fresh[-1][2]
    before, after = max(0, low - _AROUND), min(len(data), high + _AROUND)
    made.add(data[before:low], before, low, "", group, is_fresh=False)
    begin = made.size
    for text, start, end, via in fresh:
        made.add(text, start, end, via, group)
    made.stretches.append((begin, made.size))
    made.add(data[high:after], high, after, "", group, is_fresh=False)
    made.add(b"\n", after, after, "", group, is_fresh=False)


def _decode_runs(name: str, surface: Surface, ends: Iterable[int], budget: Budget) -> Iterator[_Decoded]:
    data, done = surface.joined(), 0
    for end in sorted(ends):
        if end <= done:
            continue
        low, high = surface.around(max(0, end - 2))
        start, stop = encoded_runs.find_bounds(name, data, end, max(low, done), high)
        done = max(done, stop)
        if budget.runs <= 0 or budget.unwrapped <= 0:
            budget.skip("encoded", stop - start)
            continue
        budget.runs -= 1
        for via, text, made, is_cut in encoded_runs.decode(name, data[start:stop], min(INFLATED_BYTES_MAX, budget.unwrapped)):
            text = text[: budget.unwrapped] if len(text) > budget.unwrapped else text
            budget.unwrapped -= made
            if is_cut or budget.unwrapped <= 0:
                budget.skip("encoded", stop - start)
            yield [(text, start, stop, via)]


def _decode_escapes(name: str, surface: Surface, ends: Iterable[int], budget: Budget) -> Iterator[_Decoded]:
    data = surface.joined()
    for start, stop in _regions(data, ends):
        done, fresh = start, []
        for low, high, letter in escapes.DECODERS[name](data[start:stop]):
            # The end of one text and the beginning of the next are no line that was broken.
            if name == "quoted-printable" and surface.around(start + low)[1] < start + high:
                continue
            budget.changes -= 1
            if budget.changes < 0:
                budget.skip("encoded", stop - done)
                break
            if start + low > done:
                fresh.append((data[done : start + low], done, start + low, ""))
            fresh.append((letter, start + low, start + high, name))
            done = start + high
        budget.unwrapped -= done - start
        if done < stop:
            fresh.append((data[done:stop], done, stop, ""))
        if len(fresh) > 1 or (fresh and fresh[0][3]):
            yield fresh


def _regions(data: bytes, ends: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Stretches around the hits that cut no word; those that touch are joined."""
    first = last = -1
    for end in sorted(ends):
        if end <= last - CONTEXT_CHARS:
            continue
        low, high = max(0, end - 2 * CONTEXT_CHARS), min(len(data), end + 2 * CONTEXT_CHARS)
        floor, ceiling = max(0, low - _WORD_MAX), min(len(data), high + _WORD_MAX)
        low = max(data.rfind(b" ", floor, low), data.rfind(b"\n", floor, low), floor - 1) + 1
        edges = [edge for edge in (data.find(b" ", high, ceiling), data.find(b"\n", high, ceiling)) if edge >= 0]
        high = min(edges, default=ceiling)
        if low > last:
            if last > 0:
                yield first, last
            first = low
        last = max(last, high)
    if last > 0:
        yield first, last
