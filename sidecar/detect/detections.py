"""What detectors have confirmed, as stretches of bytes, and which of them overlap or were found before."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.detect.kinds import REGISTERED_KIND, SIGNALS

CUSTOM_RANK: Final = -1
"""The rank of what custom kinds have found."""
VALUES: Final = ""
"""The family of all values; each signal and each custom kind is a family of its own."""
_NOTHING: Final = (0, 0)


@dataclass(slots=True)
class Detection:
    """A confirmed stretch of the joined bytes. ``rank`` is its detector's place in the list, or ``CUSTOM_RANK``."""

    start: int
    end: int
    rank: int
    kind: str
    confidence: float
    is_strict_only: bool = False
    via: str = ""
    plain: str = ""


def family_of(found: Detection) -> str:
    """Values hide one another where they overlap; signals and custom kinds differ in meaning and hide only their own kind."""
    return found.kind if found.rank == CUSTOM_RANK or found.kind.startswith(SIGNALS) else VALUES


def resolve_overlaps(found: list[Detection]) -> list[Detection]:
    """``found`` without overlap within each family."""
    if len(found) < 2:
        return found
    families: dict[str, list[Detection]] = {}
    for each in found:
        families.setdefault(family_of(each), []).append(each)
    return [each for mine in families.values() for each in _drop_overlaps(mine)]


class KnownStretches:
    """Stretches by their kinds, for quick look-up."""

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


def index_by_family(found: Iterable[Detection]) -> dict[str, KnownStretches]:
    """What was found without decoding anything, by family."""
    families: dict[str, list[tuple[int, int, str]]] = {}
    for each in found:
        families.setdefault(family_of(each), []).append((each.start, each.end, each.kind))
    return {name: KnownStretches(mine) for name, mine in families.items()}


def is_known(inner: Detection, known: Mapping[str, KnownStretches]) -> bool:
    """Whether it was found without decoding anything: the same kind there, or the same letters as another kind of its family.

    A registered secret is recognised by its encoded forms too, and these reach less far than all of an encoded run.
    """
    mine = known.get(family_of(inner), NOTHING_KNOWN)
    if inner.via and inner.kind != REGISTERED_KIND:
        return mine.is_held(inner.start, inner.end, inner.kind)
    return mine.is_touched(inner.start, inner.end)


def _drop_overlaps(found: list[Detection]) -> list[Detection]:
    """In order of place; of two that overlap the surer one stays, then the longer, then the more specific."""
    kept: list[Detection] = []
    for each in sorted(found, key=lambda item: (item.start, -item.end)):
        while kept and kept[-1].end > each.start and _strength(each) > _strength(kept[-1]):
            kept.pop()
        if not kept or kept[-1].end <= each.start:
            kept.append(each)
    return kept


def _strength(found: Detection) -> tuple[float, int, int]:
    return found.confidence, found.end - found.start, -found.rank
