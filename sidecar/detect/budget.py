"""The budget of one message: what may still be done for it, and what was skipped because of a bound."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sidecar.detect.kinds import SIGNALS
from sidecar.limits import EFFORT_MAX, UNWRAPPED_BYTES_MAX, UNWRAPPED_CHANGES_MAX, UNWRAPPED_RUNS_MAX

_OF_KINDS: Final = frozenset({"candidates", "spans"})
"""Reasons for which some kinds were not searched in full; others concern all kinds."""


@dataclass(slots=True)
class Budget:
    """What may still be done for one message. ``skipped`` names the bounds that were reached."""

    effort: int = EFFORT_MAX
    unwrapped: int = UNWRAPPED_BYTES_MAX
    runs: int = UNWRAPPED_RUNS_MAX
    changes: int = UNWRAPPED_CHANGES_MAX
    skipped: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    """What was skipped and makes no rule fail: there were only more signals than anybody reads."""
    _bytes: int = 0
    _bytes_cut: int = 0
    _kinds: set[str] = field(default_factory=set)

    @property
    def bytes_done(self) -> int:
        """How many bytes were decoded."""
        return UNWRAPPED_BYTES_MAX - max(0, self.unwrapped)

    @property
    def bytes_skipped(self) -> int:
        """How many bytes were not scanned, or not for all kinds."""
        return self._bytes + self._bytes_cut

    @property
    def kinds_cut(self) -> frozenset[str]:
        """The kinds that were not searched in full; none where a bound was reached that concerns all of them, or no bound."""
        return frozenset(self._kinds) if self.skipped <= _OF_KINDS else frozenset()

    def skip(self, reason: str, count: int) -> None:
        """Note that ``count`` bytes were not decoded because of a bound."""
        self.skipped.add(reason)
        self._bytes += count

    def cut(self, reason: str, kinds: Iterable[str], count: int) -> None:
        """Note that ``count`` bytes were not searched for ``kinds``. Several kinds miss the same bytes: they count once."""
        kinds = set(kinds)
        if all(kind.startswith(SIGNALS) for kind in kinds):
            self.unseen.add("signals")
            return
        self.skipped.add(reason)
        self._kinds |= kinds
        self._bytes_cut = max(self._bytes_cut, count)


def fair_shares(wanted: Mapping[str, int], most: int) -> Iterator[tuple[str, int]]:
    """Max-min fair shares of ``most``: small demands are met in full, the others get equal shares."""
    for index, name in enumerate(sorted(wanted, key=lambda each: wanted[each])):
        share = min(wanted[name], most // (len(wanted) - index))
        most -= share
        yield name, share
