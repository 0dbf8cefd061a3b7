"""A well-formed policy file compiled: its rules and its access as they judge, and what turns out to be wrong."""

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from sidecar.document import Document, suggest
from sidecar.errors import Problem
from sidecar.events import Action, Direction, Path
from sidecar.policy import fields, model
from sidecar.policy.expr import Expression, Scope
from sidecar.policy.match import ANY, DAYS, Hours, Match, Names, compile_names, is_glob
from sidecar.policy.policy_set import AccessEntry, PlacedCase, Rule, Section, Seek, Window
from sidecar.policy.where import parse_where


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
    sought: frozenset[str]
    """The kinds that its rules seek, also those that are off."""


def build(source: Source, kinds: Collection[str], own: Mapping[str, str]) -> Built:
    """Compile one file; ``kinds`` are the built-in detectors, ``own`` those that policy files define, each with its family."""
    builder = _Builder(source, kinds, own)
    section = builder.section()
    rules = [builder.rule(rule, ("rules", index)) for index, rule in enumerate(source.file.rules)]
    document = source.document
    tests = tuple(
        PlacedCase(document.file, source.file.policy, *document.position(("tests", index)), case)
        for index, case in enumerate(source.file.tests)
    )
    sought = frozenset(kind for each in rules if each.detect for kind in each.detect.kinds)
    return Built(tuple(each for each in rules if each.mode != "off"), section, tests, tuple(builder.problems), sought)


@dataclass(slots=True)
class _Builder:
    source: Source
    kinds: Collection[str]
    own: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = Scope(self.source.file.lists)

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

    def rule(self, rule: model.RuleSpec, path: Path) -> Rule:
        """One rule, also one that is off: its mistakes are told all the same."""
        file, when = self.source.file, rule.when or model.WhenSpec.model_construct()
        match = compile_match(rule.match) if rule.match else ANY
        if when.rate is not None and match.direction is None:
            match = replace(match, direction="request")
        direction = rule.match.direction if rule.match else None
        if rule.is_of_definitions and direction is None and when.definition is not None:
            direction = "response"
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
            detect=self._seek(when.detect, (*path, "when", "detect")) if when.detect else None,
            expr=self._expression(when.expr, direction or "request", (*path, "when", "expr")) if when.expr else None,
            rate=Window(tuple(when.rate.per), fields.seconds(when.rate.over), when.rate.above) if when.rate else None,
            signs=tuple(when.definition or ()),
            is_of_definitions=rule.is_of_definitions,
        )

    def _entry(self, entry: model.AccessEntrySpec, path: Path) -> AccessEntry:
        expr = self._expression(entry.expr, "request", (*path, "expr")) if entry.expr else None
        return AccessEntry(entry.id, compile_match(entry.match) if entry.match else ANY, expr)

    def _expression(self, text: str, direction: Direction, path: Path) -> Expression | None:
        document = self.source.document
        expression, wrong = self.scope.compile(text, direction)
        self.problems.extend(document.problem(path, "expr", each) for each in wrong)
        for key in expression.unguarded if expression else ():
            said = f"'{key}' may be missing, and then the expression is false; say so with has(call.args.{key}) && ..."
            self.problems.append(document.problem(path, "missing-key", said, is_warning=True))
        return expression

    def _seek(self, detect: model.DetectSpec, path: Path) -> Seek:
        found: set[str] = set()
        for index, pattern in enumerate(detect.any):
            named = kinds_named(pattern, self.kinds) | self._own_named(pattern)
            found |= named
            if not named:
                families = {family for family in self.own.values() if family}
                known = {*self.kinds, *(kind.partition(".")[0] for kind in self.kinds), *self.own, *families}
                said = f"'{pattern}' names no detector{suggest(pattern, sorted(known))}"
                self.problems.append(self.source.document.problem((*path, "any", index), "unknown-detector", said))
        where = parse_where(detect.where) if detect.where is not None else None
        return Seek(frozenset(found), detect.confidence, detect.count, detect.distinct, where, detect.profile)

    def _own_named(self, pattern: str) -> set[str]:
        """The own kinds that a name, a family or a glob stands for."""
        if is_glob(pattern):
            return {name for name in self.own if fnmatch.fnmatchcase(name, pattern)}
        return {name for name, family in self.own.items() if pattern in (name, family)}


def kinds_named(pattern: str, kinds: Collection[str]) -> set[str]:
    """The kinds that a detector's name, a prefix of names (``secrets``) or a glob stands for."""
    if is_glob(pattern):
        return {kind for kind in kinds if fnmatch.fnmatchcase(kind, pattern)}
    return {kind for kind in kinds if kind == pattern or kind.startswith(pattern + ".")}


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
