"""``when.detect``: values of certain kinds, which the detectors found in the message."""

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field

from sidecar.document import suggest
from sidecar.errors import Problem
from sidecar.events import Message, Scan, Span
from sidecar.policy.base_model import PolicyModel
from sidecar.policy.conditions.protocol import Condition, Evidence, Explanation, SpecPlace, Subject, Vocabulary
from sidecar.policy.fields import Globs
from sidecar.policy.fields import Where as WhereText
from sidecar.policy.match import is_glob
from sidecar.policy.where import Where, base_of, parse_where

Profile = Literal["strict", "default"]


class DetectSpec(PolicyModel):
    """At least ``count`` findings of these detectors, optionally of different values, optionally below a path.

    ``profile: strict`` also counts credentials that look as if they were written for documentation (``…EXAMPLE``, an
    alphabet, one character over and over), ``default`` does not. Without it, a rule is strict about what leaves for a
    server and uses the default profile for what comes back.
    """

    any: Globs
    profile: Profile | None = None
    confidence: float = Field(default=0.0, ge=0, le=1)
    count: int = Field(default=1, ge=1)
    distinct: bool = False
    where: WhereText | None = None


@dataclass(frozen=True, slots=True)
class DetectCondition(Condition[DetectSpec]):
    """At least ``count`` spans of these kinds below a path. Without ``profile`` the direction decides."""

    name: ClassVar[str] = "detect"
    spec: ClassVar[type[DetectSpec]] = DetectSpec
    cost: ClassVar[int] = 2
    finds_values: ClassVar[bool] = True

    kinds: frozenset[str]
    confidence: float
    count: int
    is_distinct: bool
    where: Where | None
    profile: Profile | None = None

    @classmethod
    def compile(cls, spec: DetectSpec, place: SpecPlace, vocabulary: Vocabulary) -> tuple[Self | None, tuple[Problem, ...]]:
        """A name that stands for no detector is an error."""
        kinds: set[str] = set()
        problems = []
        for index, pattern in enumerate(spec.any):
            named = kinds_named(pattern, vocabulary.kinds) | _custom_named(pattern, vocabulary.custom)
            kinds |= named
            if not named:
                text = f"'{pattern}' names no detector{suggest(pattern, _known_names(vocabulary))}"
                problems.append(place.problem("unknown-detector", text, "any", index))
        where = parse_where(spec.where) if spec.where is not None else None
        condition = cls(frozenset(kinds), spec.confidence, spec.count, spec.distinct, where, spec.profile)
        return condition, tuple(problems)

    def required_kinds(self) -> frozenset[str]:
        """Those that its names stand for."""
        return self.kinds

    def hold(self, subject: Subject) -> Evidence | None:
        """The spans found. Where a part of the message was not looked at, that too: a value may stand there."""
        scan = subject.scan
        spans = self.find(subject.facts.message, scan)
        if scan.skipped and self._is_blind(scan):
            return Evidence(spans, unseen=f"not all of the message was looked at ({', '.join(scan.skipped)})")
        return Evidence(spans) if spans else None

    def explain(self, subject: Subject) -> Explanation:
        """How many values of which kinds there are, and what more is asked of them."""
        message, scan = subject.facts.message, subject.scan
        if spans := self.find(message, scan):
            return Explanation(True, f"found {_counted(spans)}")
        spans = [span for span in scan.spans if span.kind in self.kinds]
        text = f"found {_counted(spans)}, but {self._demands(message)}" if spans else "found no value of these kinds"
        return Explanation(False, f"{text}; not all of the message was looked at" if self._is_blind(scan) else text)

    def find(self, message: Message, scan: Scan) -> Sequence[Span]:
        """The spans it asks for; none when there are fewer than it asks for.

        A rule that names no profile is strict about what leaves, and spares what documentation writes in what comes back.
        """
        kinds, least, is_strict = self.kinds, self.confidence, self._is_strict(message)
        spans = [
            span
            for span in scan.spans
            if span.kind in kinds and span.confidence >= least and (is_strict or not span.is_strict_only)
        ]
        if spans and self.where is not None:
            base = base_of(message)
            spans = [span for span in spans if self.where.covers(span.leaf.path, base)]
        count = len({(span.kind, span.value) for span in spans}) if self.is_distinct else len(spans)
        return spans if count >= self.count else ()

    def _is_strict(self, message: Message) -> bool:
        return self.profile == "strict" or (self.profile is None and message.direction == "request")

    def _is_blind(self, scan: Scan) -> bool:
        """Whether the detectors left out a part of the message in which a value of these kinds may stand."""
        return bool(scan.skipped) and (not scan.kinds_cut or not self.kinds.isdisjoint(scan.kinds_cut))

    def _demands(self, message: Message) -> str:
        """What it asks of values beside their kinds."""
        demands = [f"asks for {self.count} {'different ' if self.is_distinct else ''}or more"] if self.count > 1 else []
        if self.confidence:
            demands.append(f"asks for a confidence of {self.confidence}")
        if self.where is not None:
            demands.append("looks only at the place that 'where' names")
        if not self._is_strict(message):
            demands.append("leaves out what is written for documentation")
        return " and ".join(demands)


def kinds_named(pattern: str, kinds: Collection[str]) -> set[str]:
    """The kinds that a detector's name, a prefix of names (``secrets``) or a glob stands for."""
    if is_glob(pattern):
        return {kind for kind in kinds if fnmatch.fnmatchcase(kind, pattern)}
    return {kind for kind in kinds if kind == pattern or kind.startswith(pattern + ".")}


def _custom_named(pattern: str, custom: Mapping[str, str]) -> set[str]:
    """The custom kinds that a name, a family or a glob stands for."""
    if is_glob(pattern):
        return {name for name in custom if fnmatch.fnmatchcase(name, pattern)}
    return {name for name, family in custom.items() if pattern in (name, family)}


def _known_names(vocabulary: Vocabulary) -> list[str]:
    kinds, custom = vocabulary.kinds, vocabulary.custom
    families = {family for family in custom.values() if family}
    return sorted({*kinds, *(kind.partition(".")[0] for kind in kinds), *custom, *families})


def _counted(spans: Iterable[Span]) -> str:
    """How many there are of each kind."""
    counts: dict[str, int] = {}
    for span in spans:
        counts[span.kind] = counts.get(span.kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
