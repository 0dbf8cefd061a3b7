"""What detectors have confirmed, as stretches of bytes, and which of it stands for the same thing twice."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.detect.kinds import REGISTERED_KIND, SIGNALS

OWN_RANK: Final = -1
"""Stands for a rank with what own kinds of policies have found."""
VALUES: Final = ""
"""The family of all values; a signal or an own kind is a family for itself."""
_NOTHING: Final = (0, 0)


@dataclass(slots=True)
class Found:
    """A confirmed stretch of the joined bytes; ``rank`` is its detector's place in the list, before all for own kinds."""

    start: int
    end: int
    rank: int
    kind: str
    confidence: float
    is_strict_only: bool = False
    via: str = ""
    plain: str = ""


def family(found: Found) -> str:
    """Values hide one another where they overlap; signals and own kinds tell different things, so they hide only their like."""
    return found.kind if found.rank == OWN_RANK or found.kind.startswith(SIGNALS) else VALUES


def apart(found: list[Found]) -> list[Found]:
    """Without overlap within each family."""
    if len(found) < 2:
        return found
    families: dict[str, list[Found]] = {}
    for each in found:
        families.setdefault(family(each), []).append(each)
    return [each for mine in families.values() for each in _without_overlap(mine)]


class KnownStretches:
    """Stretches by their kinds, to be asked about quickly."""

    __slots__ = ("_kinds",)

    def __init__(self, stretches: Iterable[tuple[int, int, str]]) -> None:
        """``stretches`` are begin, end and kind; those of one kind do not overlap."""
        self._kinds: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for start, end, kind in stretches:
            self._kinds[kind].append((start, end))
        for mine in self._kinds.values():
            mine.sort()

    def is_held(self, start: int, end: int, kind: str) -> bool:
        """Whether all of ``start:end`` stands in one stretch of ``kind``."""
        low, high = self._before(kind, end)
        return low <= start and end <= high

    def is_touched(self, start: int, end: int) -> bool:
        """Whether a stretch of any kind holds a part of ``start:end``."""
        return any(self._before(kind, end)[1] > start for kind in self._kinds)

    def _before(self, kind: str, end: int) -> tuple[int, int]:
        """The last stretch of a kind that begins before ``end``; an empty one where there is none."""
        mine = self._kinds.get(kind, [])
        index = bisect_left(mine, (end, 0)) - 1
        return mine[index] if index >= 0 else _NOTHING


NOTHING_KNOWN: Final = KnownStretches(())


def known_by_family(found: Iterable[Found]) -> dict[str, KnownStretches]:
    """What was found without undoing anything."""
    families: dict[str, list[tuple[int, int, str]]] = {}
    for each in found:
        families.setdefault(family(each), []).append((each.start, each.end, each.kind))
    return {name: KnownStretches(mine) for name, mine in families.items()}


def is_known(inner: Found, known: Mapping[str, KnownStretches]) -> bool:
    """Whether it was found without undoing anything: the same kind there, or the same letters as another kind of its family.

    A registered secret is recognised by its encoded forms too, and these reach less far than all of an encoded run.
    """
    mine = known.get(family(inner), NOTHING_KNOWN)
    if inner.via and inner.kind != REGISTERED_KIND:
        return mine.is_held(inner.start, inner.end, inner.kind)
    return mine.is_touched(inner.start, inner.end)


def _without_overlap(found: list[Found]) -> list[Found]:
    """In order of place; of two that overlap the surer one stays, then the longer, then the more specific."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda item: (item.start, -item.end)):
        while kept and kept[-1].end > each.start and _strength(each) > _strength(kept[-1]):
            kept.pop()
        if not kept or kept[-1].end <= each.start:
            kept.append(each)
    return kept


def _strength(found: Found) -> tuple[float, int, int]:
    return found.confidence, found.end - found.start, -found.rank
