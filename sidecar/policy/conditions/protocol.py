"""What a condition of a rule is: read from ``when``, compiled, evaluated for a message, and explained.

A condition is one class, in a file beside this one, and one line in ``CONDITIONS``. Its ``spec`` becomes the field
``when.NAME`` of the file format. ``compile`` turns what an author wrote into an instance, or says what is wrong and where.
``hold`` runs for every message that the rule is for, ``explain`` only when a person wants to know why.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Self

from sidecar.document import Document
from sidecar.errors import Problem
from sidecar.events import Direction, Path, Scan, Span
from sidecar.policy.expr import Scope
from sidecar.policy.facts import Facts
from sidecar.policy.memory import State


class Subject(NamedTuple):
    """One message at one moment, with all that a condition may look at. ``hold`` may change ``state``, nothing else may."""

    facts: Facts
    scan: Scan
    state: State


class Evidence(NamedTuple):
    """Why a condition holds."""

    spans: Sequence[Span] = ()
    """The values that it found; none for a condition that looks for none."""
    kinds: Mapping[str, str] = MappingProxyType({})
    """Findings of its own: the kind of each, with its preview."""
    unseen: str = ""
    """What the detectors left out, as a sentence. Without ``spans`` the condition would hold only if a value stood there:
    then the rule cannot be judged, unless another of its conditions does not hold."""

    def joined(self, other: "Evidence") -> "Evidence":
        """This and that of another condition of the same rule."""
        return Evidence((*self.spans, *other.spans), {**self.kinds, **other.kinds}, other.unseen or self.unseen)


HOLDS: Final = Evidence()
"""Yes, and there is nothing more to say."""


class Explanation(NamedTuple):
    """Whether something holds, and one sentence on why, or why not. It never quotes a value of the message."""

    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class SpecPlace:
    """Where a condition is written, and what the rule around it is about."""

    document: Document
    path: Path
    rule: str
    direction: Direction
    """Of the messages that the rule is about."""
    is_of_definitions: bool

    def problem(self, code: str, text: str, *below: str | int, is_warning: bool = False) -> Problem:
        """A mistake in the condition, or at the path ``below`` it."""
        return self.document.problem((*self.path, *below), code, text, is_warning=is_warning)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the conditions of one file may name."""

    kinds: Collection[str]
    """The built-in kinds of data."""
    custom: Mapping[str, str]
    """The kinds that policy files define, each with its family."""
    scope: Scope
    """The names in expressions."""


class Condition[Spec](ABC):
    """One compiled condition, as a subclass that is a frozen dataclass. ``Spec`` is what pydantic reads ``when.NAME`` into."""

    __slots__ = ()

    name: ClassVar[str]
    """Its field under ``when``."""
    spec: ClassVar[Any]
    """The type of that field: a pydantic model, or an annotation."""
    cost: ClassVar[int]
    """The conditions of a rule are evaluated in this order: a cheap one that does not hold saves the expensive ones."""
    direction: ClassVar[Direction | None] = None
    """What a rule with this condition is about when its ``match`` names no direction."""
    finding_kind: ClassVar[str] = ""
    """The kind of a rule's finding where no value and no other kind is found; empty: this condition names none."""
    finds_values: ClassVar[bool] = False
    """Whether it holds for values that detectors found: then it cannot hold where they saw everything and found nothing."""
    counts_calls: ClassVar[bool] = False
    """Whether ``hold`` has to run for every message, because it counts them."""

    @classmethod
    def is_about_definitions(cls, spec: Spec) -> bool:
        """Whether a rule with this condition is about each tool or prompt that a list defines, not about messages."""
        return False

    @classmethod
    @abstractmethod
    def compile(cls, spec: Spec, place: SpecPlace, vocabulary: Vocabulary) -> tuple[Self | None, tuple[Problem, ...]]:
        """The condition, and what is wrong with it. Without an error among the problems there is a condition."""

    @classmethod
    def check(cls, spec: Spec, place: SpecPlace) -> Iterator[Problem]:
        """What is well-formed and still cannot work, beside the rest of its rule."""
        yield from ()

    def required_kinds(self) -> frozenset[str]:
        """The kinds of values of which it needs one to hold; none for a condition that looks for no value."""
        return frozenset()

    @abstractmethod
    def hold(self, subject: Subject) -> Evidence | None:
        """Why it holds for a message; ``None`` when it does not hold.

        Raises:
            Unjudged: it cannot be decided. The rule is then not judged, whatever its other conditions say.
        """

    @abstractmethod
    def explain(self, subject: Subject) -> Explanation:
        """Whether and why it holds, for a message that was judged before. Counts nothing.

        Raises:
            Unjudged: it cannot be decided.
        """


Conditions = tuple[type[Condition[Any]], ...]
"""A table of conditions."""
