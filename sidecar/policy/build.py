"""A well-formed policy file compiled: its rules and its access as they judge, and what turns out to be wrong."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from sidecar.document import Document
from sidecar.errors import Problem
from sidecar.events import Action, Path
from sidecar.policy import fields, model
from sidecar.policy.conditions import in_order
from sidecar.policy.conditions.expression import compile_expression
from sidecar.policy.conditions.protocol import Condition, SpecPlace, Vocabulary
from sidecar.policy.expr import Scope
from sidecar.policy.match import ANY, DAYS, Hours, Match, Names, compile_names
from sidecar.policy.policy_set import AccessEntry, PlacedCase, Rule, Section


@dataclass(frozen=True, slots=True)
class Source:
    """One policy file: its text with places, and what stands in it."""

    document: Document
    file: model.File


@dataclass(frozen=True, slots=True)
class Built:
    """What one file comes to; ``problems`` may hold warnings only."""

    rules: tuple[Rule, ...]
    section: Section | None
    tests: tuple[PlacedCase, ...]
    problems: tuple[Problem, ...]
    kinds: frozenset[str]
    """The kinds that its rules look for, also those that are off."""


def build(source: Source, kinds: Collection[str], custom: Mapping[str, str]) -> Built:
    """Compile one file; ``kinds`` are the built-in detectors, ``custom`` those of policy files, each with its family."""
    builder = _Builder(source, Vocabulary(kinds, custom, Scope(source.file.lists)))
    section = builder.section()
    rules = [builder.rule(rule, index) for index, rule in enumerate(source.file.rules)]
    document = source.document
    tests = tuple(
        PlacedCase(document.file, source.file.policy, *document.position(("tests", index)), case)
        for index, case in enumerate(source.file.tests)
    )
    named = frozenset(kind for rule in rules for each in rule.conditions for kind in each.required_kinds())
    return Built(tuple(each for each in rules if each.mode != "off"), section, tests, tuple(builder.problems), named)


def conditions_of(source: Source, index: int) -> Iterator[tuple[type[Condition[Any]], Any, SpecPlace]]:
    """The conditions of one rule of a file, each with its spec and where that stands."""
    rule = source.file.rules[index]
    # Of two conditions that name a direction one can never hold, which its own ``check`` reports.
    implied = [each.direction for each, _ in rule.given if each.direction]
    direction = (rule.match.direction if rule.match else None) or (implied[-1] if implied else "request")
    for condition, spec in rule.given:
        path: Path = ("rules", index, "when", condition.name)
        yield condition, spec, SpecPlace(source.document, path, rule.id, direction, rule.is_of_definitions)


@dataclass(slots=True)
class _Builder:
    source: Source
    vocabulary: Vocabulary
    problems: list[Problem] = field(default_factory=list)

    def section(self) -> Section | None:
        """The file's ``access``, unless there is none or it is off."""
        file = self.source.file
        access = file.access
        if access is None:
            return None
        allow = tuple(self._entry(entry, ("access", "allow", index)) for index, entry in enumerate(access.allow))
        deny = tuple(self._entry(entry, ("access", "deny", index)) for index, entry in enumerate(access.deny))
        if file.mode == "off":
            return None
        return Section(file.policy, file.severity, file.mode, access.hide, access.message, access.default, allow, deny)

    def rule(self, rule: model.RuleSpec, index: int) -> Rule:
        """One rule, also one that is off: its mistakes are reported all the same."""
        file = self.source.file
        match = compile_match(rule.match) if rule.match else ANY
        if match.direction is None:
            match = replace(match, direction=next((each.direction for each, _ in rule.given if each.direction), None))
        return Rule(
            id=rule.id,
            policy=file.policy,
            title=rule.title,
            severity=rule.severity or file.severity,
            mode=rule.mode or file.mode,
            action=rule.action,
            message=rule.message,
            on_error=_on_error(rule),
            match=match,
            unless=compile_match(rule.unless) if rule.unless else None,
            restore=compile_match(rule.restore) if rule.restore else None,
            conditions=in_order(self._conditions(index)),
            is_of_definitions=rule.is_of_definitions,
        )

    def _conditions(self, index: int) -> Iterator[Condition[Any]]:
        for condition, spec, place in conditions_of(self.source, index):
            compiled, problems = condition.compile(spec, place, self.vocabulary)
            self.problems.extend(problems)
            if compiled is not None:
                yield compiled

    def _entry(self, entry: model.AccessEntrySpec, path: Path) -> AccessEntry:
        expr = None
        if entry.expr:
            here = (*path, "expr")
            expr, problems = compile_expression(entry.expr, self.vocabulary.scope, self.source.document, here, "request")
            self.problems.extend(problems)
        return AccessEntry(entry.id, compile_match(entry.match) if entry.match else ANY, expr)


def compile_match(match: model.MatchSpec) -> Match:
    """``match`` or ``unless`` as it judges."""

    def names(patterns: list[str] | None) -> Names | None:
        return compile_names(patterns) if patterns is not None else None

    return Match(
        server=names(match.server),
        tool=names(match.tool),
        method=names(match.method),
        direction=match.direction,
        client=names(match.client),
        user=names(match.user),
        group=names(match.group),
        hours=_hours(match.hours) if match.hours else None,
    )


def _hours(hours: model.HoursSpec) -> Hours:
    start_min, end_min = fields.minutes(hours.between)
    return Hours(frozenset(DAYS.index(day) for day in hours.days), start_min, end_min, ZoneInfo(hours.zone))


def _on_error(rule: model.RuleSpec) -> Action:
    """What a rule that fails asks for. Where the message may pass, somebody should still hear that a rule failed."""
    wanted = rule.on_error or ("block" if rule.action == "block" else "allow")
    if wanted == "block":
        return "block"
    return "log" if rule.action == "log" else "alert"
