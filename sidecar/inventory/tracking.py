"""Tracks every server's tools and prompts: which definitions were accepted, when each was first seen, what changed.

The first definitions of a server are taken as they are. From then on a definition that differs from all that were accepted
has *changed*, and a tool that appears later is *new*, until a person approves it or the server goes back. It is plain state:
time is an argument, and ``dump``/``restore`` turn it into JSON and back.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sidecar import limits
from sidecar.events import Definition
from sidecar.inventory.comparison import UNREAD, TooDeep, build_definition, digest_of, select_counted, skeleton, to_canonical
from sidecar.inventory.entry import DefinitionEvent, Event, InventoryEntry, Key, Variant, parse_entry
from sidecar.inventory.hidden_text import show_invisible

VERSION: Final = 1
_DAY_S: Final = 24 * 3600.0
_SIGNS_MAX: Final = 5


@dataclass(slots=True)
class _Listing:
    """One kind of list of one server: when it was first seen, and whether a list came to its end since."""

    first_seen: float
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a definition: ``masked``, as it may be kept (None: not at all), and its hidden text in words.

    ``is_unread``: not all of it was searched.
    """

    masked: Any
    hidden: str = ""
    is_unread: bool = False


class Inventory:
    """Remembers definitions. ``is_dirty`` says that something should be saved; whoever saves it resets it."""

    def __init__(self) -> None:
        self.is_dirty = False
        self.is_full = False
        """Whether a server listed more names than are remembered."""
        self.approvals_read = 0
        self._known: dict[Key, InventoryEntry] = {}
        self._listings: dict[tuple[str, str], _Listing] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._alike: dict[tuple[str, str], set[Key]] = {}
        self._beyond: dict[tuple[str, str], InventoryEntry] = {}
        """Findings reported about tools that are not remembered, because their server has too many."""

    def __iter__(self) -> Iterator[tuple[Key, InventoryEntry]]:
        return iter(sorted(self._known.items()))

    def get(self, key: Key) -> InventoryEntry | None:
        """What is known of one tool."""
        return self._known.get(key)

    def record_listed(
        self, key: Key, entry: Mapping[str, Any], now: float, inspect: Callable[[], Inspection]
    ) -> tuple[Definition, DefinitionEvent | None]:
        """A server lists ``entry``: its definition as policies see it, and an event where that is not known yet.

        ``inspect`` is called for unknown definitions only.
        """
        try:
            text = to_canonical(select_counted(entry))
        except TooDeep:
            return UNREAD, None
        digest = digest_of(text)
        known, event = self._recall(key, digest, now)
        variant, change = known.variants.get(digest), None
        if variant is None:
            variant = self._learn(known, digest, now, inspect())
            if event and self.should_report(key, "history", digest, now):
                diff = "\n".join(known.changes())
                previous = known.previous if event == "changed" else ""
                change = DefinitionEvent(*key, event, digest, previous, variant.kept, diff, variant.hidden, now)
        return self._describe(key, known, entry), change

    def finish_list(self, server: str, kind: str, now: float, *, is_last: bool) -> None:
        """A list, or one page of it, was recorded; ``is_last``: no page follows. What comes later counts as new."""
        listing = self._listings.setdefault((server, kind), _Listing(now))
        if is_last and not listing.is_settled:
            listing.is_settled = self.is_dirty = True

    def get_standing(self, key: Key) -> Definition | None:
        """The current definition of a tool as policies see it, from what is kept of it; None when none was ever listed."""
        known = self._known.get(key)
        if known is None:
            return None
        kept = known.variants[known.current].kept if known.current in known.variants else ""
        return self._describe(key, known, json.loads(kept) if kept else None)

    def approve(self, key: Key, digest: str, by: str, at: float) -> DefinitionEvent | None:
        """A person accepts one definition of a tool; an event unless it was accepted already or the tool is unknown."""
        known = self._known.get(key)
        if known is None or digest in known.accepted:
            return None
        previous = known.accepted[-1] if known.accepted else ""
        known.accepted.append(digest)
        self.is_dirty = True
        variant = known.variants.get(digest) or Variant(at)
        return DefinitionEvent(*key, "approved", digest, previous, variant.kept, "", variant.hidden, at, by)

    def should_report(self, key: Key, rule: str, about: str, now: float) -> bool:
        """Whether a finding of ``rule`` should be reported: not the same one again, and not too many in a day."""
        known = self._known.get(key) or self._beyond.setdefault(key[:2], InventoryEntry(now, now, ""))
        about, head = (
            f"{rule} {hashlib.sha256(f'{key[2]} {about}'.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}",
            f"{rule} ",
        )
        if about in known.told:
            return False
        recent = sum(1 for each, at in known.told.items() if each.startswith(head) and now - at < _DAY_S)
        if recent >= limits.DEFINITION_EVENTS_PER_DAY:
            return False
        known.told[about] = now
        for each in list(known.told)[: -limits.DEFINITION_TOLD_MAX]:
            del known.told[each]
        self.is_dirty = True
        return True

    def _recall(self, key: Key, digest: str, now: float) -> tuple[InventoryEntry, Event | Literal[""]]:
        """The tool, remembered if it is new, and the event that this definition would be in its history."""
        listing = self._listings.setdefault(key[:2], _Listing(now))
        known = self._known.get(key)
        event: Event | Literal[""] = "changed"
        if known is None:
            is_new = listing.is_settled or now - listing.first_seen > limits.DEFINITION_SETTLES_S
            event = "new" if is_new else "first"
            known = InventoryEntry(now, now, digest, accepted=[] if is_new else [digest])
            if self._counts.get(key[:2], 0) >= limits.DEFINITIONS_MAX:
                self.is_full = True
            else:
                self._remember(key, known)
        elif not known.accepted:
            event = "new"
        elif digest in known.accepted:
            event = ""
        if known.current != digest:
            known.current, known.changed_at, self.is_dirty = digest, now, True
        if now - known.last_seen > _DAY_S:
            self.is_dirty = True
        known.last_seen = max(known.last_seen, now)
        return known, event

    def _remember(self, key: Key, known: InventoryEntry) -> None:
        self._known[key] = known
        self._counts[key[:2]] = self._counts.get(key[:2], 0) + 1
        self._alike.setdefault((key[1], skeleton(key[2])), set()).add(key)
        self.is_dirty = True

    def _learn(self, known: InventoryEntry, digest: str, now: float, inspection: Inspection) -> Variant:
        kept = to_canonical(select_counted(inspection.masked)) if isinstance(inspection.masked, dict) else ""
        variant = Variant(
            now, kept if len(kept) <= limits.DEFINITION_CHARS_MAX else "", inspection.hidden, inspection.is_unread
        )
        known.variants[digest] = variant
        others = [each for each in known.variants if each not in known.accepted]
        for each in others[: -limits.DEFINITION_VARIANTS_MAX]:
            del known.variants[each]
        self.is_dirty = True
        return variant

    def _describe(self, key: Key, known: InventoryEntry, entry: Mapping[str, Any] | None) -> Definition:
        variant = known.variants.get(known.current, Variant(0.0))
        signs: dict[str, str] = {}
        if known.state == "changed":
            signs["changed"] = "; ".join(known.changes())
        elif known.state == "new":
            signs["new"] = f"not in the lists of {key[0]} before"
        if variant.hidden:
            signs["hidden-text"] = variant.hidden
        if alike := self._find_shadowed(key, known):
            signs["shadows"] = alike
        unknown = {"hidden-text"} if variant.unread else set()
        return build_definition(
            known.current, known.previous, entry, signs, unknown if entry is not None else unknown | {"expr"}
        )

    def _find_shadowed(self, key: Key, known: InventoryEntry) -> str:
        """The tools of other servers that had this name before, or one that looks like it; the first one is not reported."""
        found = []
        for other in sorted(self._alike.get((key[1], skeleton(key[2])), ())):
            its = self._known[other]
            is_live = known.last_seen - its.last_seen < limits.DEFINITION_STALE_S
            if other[0] != key[0] and is_live and (its.first_seen, other) < (known.first_seen, key):
                found.append(f"{show_invisible(other[2])!r} on {other[0]}")
        return f"the name of {', '.join(found[:_SIGNS_MAX])}" if found else ""

    def dump(self) -> dict[str, Any]:
        """All of it as JSON."""
        listings = [[*key, listing.first_seen, listing.is_settled] for key, listing in self._listings.items()]
        known = [[*key, asdict(each)] for key, each in self._known.items()]
        return {"version": VERSION, "approvals_read": self.approvals_read, "listings": listings, "known": known}

    def restore(self, kept: Any) -> None:
        """Load what ``dump`` gave into an empty inventory.

        Raises:
            ValueError: it is not what ``dump`` gives; then nothing is loaded.
        """
        try:
            if kept["version"] != VERSION:
                raise ValueError("it is of another version")
            listings = {
                (str(server), str(kind)): _Listing(float(at), done is True) for server, kind, at, done in kept["listings"]
            }
            known = {(str(a), str(b), str(c)): parse_entry(each) for a, b, c, each in kept["known"]}
            read = int(kept["approvals_read"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"it is not an inventory ({type(error).__name__})") from None
        self._listings, self.approvals_read = listings, read
        for key, each in known.items():
            self._remember(key, each)
        self.is_dirty = False
