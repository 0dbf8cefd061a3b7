"""Policies as they judge: frozen values, with every glob, path and expression compiled. No pydantic past this point."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from sidecar.detect.custom import NO_CUSTOM_KINDS, CustomKinds
from sidecar.errors import Problem
from sidecar.events import Action, Direction, Mode, Severity, Verdict
from sidecar.methods import METHODS
from sidecar.policy.expr import Expression
from sidecar.policy.match import Match
from sidecar.policy.model import Case, Profile
from sidecar.policy.where import Where

_DIRECTIONS: Final[tuple[Direction, ...]] = ("request", "response")


@dataclass(frozen=True, slots=True)
class Seek:
    """``when.detect``: at least ``count`` spans of these kinds below a path. Without ``profile`` the direction decides."""

    kinds: frozenset[str]
    confidence: float
    count: int
    is_distinct: bool
    where: Where | None
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """``when.rate``: more than ``above`` calls in ``over_s`` seconds, for each combination of ``per``."""

    per: tuple[str, ...]
    over_s: int
    above: int


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
    detect: Seek | None = None
    expr: Expression | None = None
    rate: Window | None = None
    restore: Match | None = None
    signs: tuple[str, ...] = ()
    """``when.definition``: it holds for a definition that is one of these."""
    is_of_definitions: bool = False

    @property
    def kind(self) -> str:
        """The kind of its finding when no detector names one."""
        return "rate" if self.rate is not None else "expr" if self.expr is not None else "match"


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
    """The entries of several sections together, in an order of their own: the cheap ones first, then by id."""

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
    ``own`` is looked for in every message that this set judges; ``lists`` are the files that its lists are in.
    """

    version: str
    files: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...]
    sections: tuple[Section, ...]
    tests: tuple[PlacedCase, ...]
    warnings: tuple[Problem, ...] = ()
    own: CustomKinds = NO_CUSTOM_KINDS
    lists: tuple[Path, ...] = ()

    @cached_property
    def nothing(self) -> Verdict:
        """The verdict on a message in which nothing was found."""
        return Verdict(policy_version=self.version)

    @cached_property
    def enforced(self) -> AccessEntries:
        """Access as it is enforced."""
        return _gate(tuple(each for each in self.sections if each.mode == "enforce"))

    @cached_property
    def intended(self) -> AccessEntries:
        """Access as it would be if every section that is only monitored were enforced too."""
        return _gate(self.sections)

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
        """Of those the ones that take a definition out of lists, as far as it can be told again when it is used."""
        rules = (each for each in self.of_definitions if each.mode == "enforce" and each.action == "block")
        return replace(self, rules=tuple(each for each in rules if each.detect is None), sections=(), tests=())

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

    def applicable(self, direction: Direction, method: str) -> tuple[Rule, ...]:
        """The rules that may fit a message of this direction and method."""
        return self._tables.get((direction, method), self._of_messages)

    @cached_property
    def _ids(self) -> Mapping[tuple[Direction, str], tuple[str, ...]]:
        return {key: tuple(sorted(rule.id for rule in rules)) for key, rules in self._tables.items()}

    def asked(self, direction: Direction, method: str) -> tuple[str, ...]:
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


def _gate(sections: tuple[Section, ...]) -> AccessEntries:
    def in_order(pairs: list[tuple[AccessEntry, Section]]) -> tuple[tuple[AccessEntry, Section], ...]:
        return tuple(sorted(pairs, key=lambda pair: (pair[0].expr is not None, pair[0].id)))

    return AccessEntries(
        deny=in_order([(entry, section) for section in sections for entry in section.deny]),
        allow=in_order([(entry, section) for section in sections for entry in section.allow]),
        default=next((section for section in sections if section.default == "deny"), None),
    )
