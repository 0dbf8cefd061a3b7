"""One tool or prompt as it is remembered: its definitions, which of them were accepted, and a line of its history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sidecar.inventory.comparison import differences

Event = Literal["first", "new", "changed", "approved"]
Key = tuple[str, str, str]
"""Server, kind (``tool`` or ``prompt``), name."""


@dataclass(slots=True)
class Variant:
    """One definition of a tool. ``kept`` is its canonical text as recorded: masked, or empty when it is not kept."""

    first_seen: float
    kept: str = ""
    hidden: str = ""
    """Its hidden text, described in words; empty when there is none."""
    unread: bool = False
    """Whether it was too long to be searched for hidden text."""


@dataclass(slots=True)
class InventoryEntry:
    """One tool of one server. ``accepted`` are the digests taken at first sight or approved, in that order."""

    first_seen: float
    last_seen: float
    current: str
    changed_at: float = 0.0
    accepted: list[str] = field(default_factory=list)
    variants: dict[str, Variant] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> Literal["accepted", "new", "changed"]:
        """How its current definition relates to what was accepted."""
        if self.current in self.accepted:
            return "accepted"
        return "changed" if self.accepted else "new"

    @property
    def previous(self) -> str:
        """The digest its current definition is compared with: its own when that is accepted, none when it is new."""
        return self.current if self.current in self.accepted else self.accepted[-1] if self.accepted else ""

    def changes(self) -> list[str]:
        """How the current definition differs from the accepted one, a line for each difference."""
        before, after = (self.variants.get(digest) for digest in (self.previous, self.current))
        if not self.previous or self.previous == self.current:
            return []
        if before is None or after is None or not before.kept or not after.kept:
            return ["what differs is not known: one of the two definitions is not kept"]
        return [str(each) for each in differences(json.loads(before.kept), json.loads(after.kept))]


@dataclass(frozen=True, slots=True)
class DefinitionEvent:
    """One more line of a definition's history: what the table ``tools`` records."""

    server: str
    kind: str
    name: str
    event: Event
    digest: str
    previous_digest: str
    definition: str
    diff: str
    hidden: str
    at: float
    by: str = ""


def parse_entry(value: Mapping[str, Any]) -> InventoryEntry:
    """The entry that ``dataclasses.asdict`` wrote. Raises ValueError, TypeError or KeyError where it is something else."""
    variants = {str(digest): Variant(**each) for digest, each in value["variants"].items()}
    known = InventoryEntry(**{**value, "variants": variants})
    times = (known.first_seen, known.last_seen, known.changed_at, *known.told.values())
    for each in variants.values():
        if each.kept and not isinstance(json.loads(each.kept), dict):
            raise ValueError("a definition is no object")
    texts = (known.current, *known.accepted, *known.told, *(each.hidden for each in variants.values()))
    if not all(isinstance(each, int | float) for each in times) or not all(isinstance(each, str) for each in texts):
        raise TypeError("a field of another type")
    return known
