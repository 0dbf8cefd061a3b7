"""Policies as they judge: frozen values, with every glob, path and expression compiled. No pydantic past this point."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from sidecar.detect.custom import NO_CUSTOM_KINDS, CustomKinds
from sidecar.errors import Problem
from sidecar.events import Action, Direction, Mode, Severity, Verdict
from sidecar.methods import METHODS
from sidecar.policy.case_model import Case
from sidecar.policy.conditions.protocol import Condition
from sidecar.policy.expr import Expression
from sidecar.policy.match import Match

_DIRECTIONS: Final[tuple[Direction, ...]] = ("request", "response")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``on_error`` is what it asks for when it cannot be judged itself."""

    id: str
    policy: str
    title: str
    severity: Severity
    mode: Mode
    action: Action
    message: str
    on_error: Action
    match: Match
    unless: Match | None = None
    restore: Match | None = None
    conditions: tuple[Condition[Any], ...] = ()
    """All of them must hold; in the order in which they are evaluated."""
    is_of_definitions: bool = False
    finding_kind: str = field(init=False)
    """The kind of its finding when nothing that it found has one."""
    finds_values: bool = field(init=False)
    """Whether it holds only for values that detectors found."""
    needs_values: bool = field(init=False)
    """Whether it need not be asked about a message in which detectors saw everything and found nothing."""
    first_kinds: frozenset[str] = field(init=False)
    """The kinds that its first condition looks for: where detectors saw everything and found none of them, it does not hold."""

    def __post_init__(self) -> None:
        conditions = self.conditions
        finds_values = any(each.finds_values for each in conditions)
        derived = {
            "finding_kind": next((each.finding_kind for each in conditions if each.finding_kind), "match"),
            "finds_values": finds_values,
            "needs_values": finds_values and not any(each.counts_calls for each in conditions),
            "first_kinds": conditions[0].required_kinds() if conditions else frozenset(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def condition[Kind: Condition[Any]](self, kind: type[Kind]) -> Kind | None:
        """Its condition of this class, if it has one."""
        return next((each for each in self.conditions if isinstance(each, kind)), None)


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One entry of an ``access`` section."""

    id: str
    match: Match
    expr: Expression | None


@dataclass(frozen=True, slots=True)
class Section:
    """The ``access`` of one file."""

    policy: str
    severity: Severity
    mode: Mode
    hide: bool
    message: str
    default: Literal["allow", "deny"] | None
    allow: tuple[AccessEntry, ...]
    deny: tuple[AccessEntry, ...]


@dataclass(frozen=True, slots=True)
class AccessEntries:
    """The entries of several sections together, the cheap ones first, then by id."""

    deny: tuple[tuple[AccessEntry, Section], ...] = ()
    allow: tuple[tuple[AccessEntry, Section], ...] = ()
    default: Section | None = None
    """The section that says ``default: deny``, if one does."""


@dataclass(frozen=True, slots=True)
class PlacedCase:
    """A test and where it stands."""

    file: str
    policy: str
    line: int
    column: int
    case: Case


@dataclass(frozen=True)
class PolicySet:
    """All policies in force, as one immutable value: a call keeps the set it began with.

    ``version`` is 12 hex digits over names and texts of ``files`` and what lists hold; ``warnings`` is what is odd but valid.
    ``custom`` kinds are looked for in every message that this set judges; ``lists`` are the files that its lists are in.
    """

    version: str
    files: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...]
    sections: tuple[Section, ...]
    tests: tuple[PlacedCase, ...]
    warnings: tuple[Problem, ...] = ()
    custom: CustomKinds = NO_CUSTOM_KINDS
    lists: tuple[Path, ...] = ()

    @cached_property
    def empty_verdict(self) -> Verdict:
        """The verdict on a message in which nothing was found."""
        return Verdict(policy_version=self.version)

    @cached_property
    def enforced(self) -> AccessEntries:
        """Access as it is enforced."""
        return _entries_of(tuple(each for each in self.sections if each.mode == "enforce"))

    @cached_property
    def intended(self) -> AccessEntries:
        """Access as it would be if every section that is only monitored were enforced too."""
        return _entries_of(self.sections)

    @cached_property
    def has_monitored_access(self) -> bool:
        """Whether ``intended`` can differ from ``enforced``."""
        return any(each.mode == "monitor" for each in self.sections)

    @property
    def hides(self) -> bool:
        """Whether tools that a caller may not use are left out of lists."""
        return any(each.hide and each.mode == "enforce" for each in self.sections)

    @cached_property
    def of_definitions(self) -> tuple[Rule, ...]:
        """The rules about each tool or prompt that a list defines; all others are about messages."""
        return tuple(rule for rule in self.rules if rule.is_of_definitions)

    @cached_property
    def withholding(self) -> "PolicySet":
        """Of those the ones that withhold a definition from lists, as far as that can be decided again when it is used."""
        rules = (each for each in self.of_definitions if each.mode == "enforce" and each.action == "block")
        return replace(self, rules=tuple(each for each in rules if not each.finds_values), sections=(), tests=())

    @cached_property
    def _of_messages(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if not rule.is_of_definitions)

    @cached_property
    def _tables(self) -> Mapping[tuple[Direction, str], tuple[Rule, ...]]:
        return {
            (direction, method): tuple(rule for rule in self._of_messages if rule.match.may_fit(direction, method))
            for direction in _DIRECTIONS
            for method in METHODS
        }

    @cached_property
    def _tables_of_empty(self) -> Mapping[tuple[Direction, str], tuple[Rule, ...]]:
        return {key: tuple(rule for rule in rules if not rule.needs_values) for key, rules in self._tables.items()}

    def applicable(self, direction: Direction, method: str, *, is_empty: bool = False) -> tuple[Rule, ...]:
        """The rules that may hold for a message of this direction and method.

        ``is_empty``: detectors looked at all of it, and found nothing.
        """
        return (self._tables_of_empty if is_empty else self._tables).get((direction, method), self._of_messages)

    @cached_property
    def _ids(self) -> Mapping[tuple[Direction, str], tuple[str, ...]]:
        return {key: tuple(sorted(rule.id for rule in rules)) for key, rules in self._tables.items()}

    def rule_ids(self, direction: Direction, method: str) -> tuple[str, ...]:
        """The ids of the ``applicable`` rules, in order."""
        known = self._ids.get((direction, method))
        return tuple(sorted(rule.id for rule in self._of_messages)) if known is None else known

    def only(self, policy: str) -> "PolicySet":
        """The part of it that stands in the file of one policy: what the tests of that file are about."""
        return replace(
            self,
            rules=tuple(each for each in self.rules if each.policy == policy),
            sections=tuple(each for each in self.sections if each.policy == policy),
            tests=tuple(each for each in self.tests if each.policy == policy),
        )


def _entries_of(sections: tuple[Section, ...]) -> AccessEntries:
    def in_order(pairs: list[tuple[AccessEntry, Section]]) -> tuple[tuple[AccessEntry, Section], ...]:
        return tuple(sorted(pairs, key=lambda pair: (pair[0].expr is not None, pair[0].id)))

    return AccessEntries(
        deny=in_order([(entry, section) for section in sections for entry in section.deny]),
        allow=in_order([(entry, section) for section in sections for entry in section.allow]),
        default=next((section for section in sections if section.default == "deny"), None),
    )
