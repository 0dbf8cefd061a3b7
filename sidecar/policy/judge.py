"""One message to one verdict: every rule is judged on the original message, and the strictest enforced action wins.

Order never matters, and adding a rule never makes a verdict milder.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from sidecar import limits
from sidecar.events import ACTIONS, SEVERITIES, Action, Finding, Message, Mode, Scan, Severity, Span, Verdict
from sidecar.policy.access import AccessResult, ask, is_listed
from sidecar.policy.conditions.protocol import HOLDS, Evidence, Subject
from sidecar.policy.facts import Facts, Unjudged
from sidecar.policy.memory import State
from sidecar.policy.policy_set import PolicySet, Rule, Section
from sidecar.policy.result_copies import TooMany, in_other_copy, of_one_kind
from sidecar.policy.spans import CANNOT_REDACT, FindingBuilder, resolve_overlaps, split_redactable

__all__ = ["is_listed", "judge"]

_ACTION_RANK: Final = {action: rank for rank, action in enumerate(ACTIONS)} | {"tokenize": ACTIONS.index("redact")}
_SEVERITY_RANK: Final = {severity: rank for rank, severity in enumerate(SEVERITIES)}
_PLACEHOLDER: Final = re.compile(r"\{(rule|tool|server|kinds)\}")
_TOOL_CHARS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class _RuleOutcome:
    """What one rule, or access, comes to: its findings, and what it asks for should it be enforced."""

    rule: str
    severity: Severity
    mode: Mode
    action: Action
    message: str
    findings: tuple[Finding, ...]
    redactions: tuple[Span, ...] = ()
    tokens: tuple[Span, ...] = ()


def judge(
    policies: PolicySet,
    message: Message,
    scan: Scan,
    state: State,
    now: float,
    fingerprint: Callable[[str], str],
    cap: Mode,
) -> Verdict:
    """The verdict on ``message``, in which the detectors saw ``scan``.

    ``state`` is updated, nothing else. ``now`` is in unix seconds, ``fingerprint`` is a keyed hash of a value, and
    ``cap`` the most any rule may do. Never raises for what a message holds: a rule that fails becomes a finding of kind
    ``error``, with the consequence that its ``on_error`` names.
    """
    if cap == "off":
        return policies.empty_verdict
    is_call = message.direction == "request" and message.kind in ("request", "notification")
    if is_call:
        state.add_call(message.session, message.server)
    is_complete = not scan.skipped
    is_empty = is_complete and not scan.spans
    is_defined = message.definition is not None
    rules = policies.of_definitions if is_defined else policies.applicable(message.direction, message.method, is_empty=is_empty)
    has_access = is_call and bool(policies.sections)
    if not rules and not has_access:
        return policies.empty_verdict
    facts = Facts(message, now, *state.session(message.session))
    outcomes = _access(policies, facts) if has_access else []
    subject = Subject(facts, scan, state)
    builder = FindingBuilder(scan, fingerprint)
    kinds = {span.kind for span in scan.spans}
    for rule in rules:
        # Most rules look for values that most messages do not have: those are not even matched.
        if is_empty:
            if rule.needs_values:
                continue
        elif is_complete and rule.first_kinds and rule.first_kinds.isdisjoint(kinds):
            continue
        outcome = _judge_rule(rule, subject, builder)
        if outcome is not None:
            outcomes.append(outcome)
    return _verdict(policies, outcomes, cap) if outcomes else policies.empty_verdict


def _access(policies: PolicySet, facts: Facts) -> list[_RuleOutcome]:
    results = ask(policies.enforced, facts)
    outcomes = [_refusal(each, each.section.mode, facts.message) for each in results]
    if policies.has_monitored_access and not any(each.is_denial for each in results):
        known = {each.rule for each in results}
        intended = (each for each in ask(policies.intended, facts) if each.rule not in known)
        outcomes.extend(_refusal(each, "monitor", facts.message) for each in intended)
    return outcomes


def _refusal(result: AccessResult, mode: Mode, message: Message) -> _RuleOutcome:
    section: Section = result.section
    action: Action = "block" if result.is_denial else "alert"
    what = "Access denied" if result.is_denial else "An entry of access could not be judged"
    finding = Finding(
        rule=result.rule,
        policy=section.policy,
        severity=section.severity,
        mode=mode,
        action=action,
        kind="error" if result.failure else "access",
        preview=result.failure,
        title=what,
    )
    text = _filled(section.message or "You may not use this here.", result.rule, message, "access")
    return _RuleOutcome(result.rule, section.severity, mode, action, text, (finding,))


def _judge_rule(rule: Rule, subject: Subject, builder: FindingBuilder) -> _RuleOutcome | None:
    """What ``rule`` comes to, or nothing when it does not hold. Whatever goes wrong is an outcome too."""
    message = subject.facts.message
    try:
        evidence = _hold(rule, subject)
        return None if evidence is None else _outcome(rule, message, subject.scan, evidence, builder)
    except Unjudged as error:
        return _failed(rule, message, str(error))
    except Exception as error:
        return _failed(rule, message, type(error).__name__)


def _hold(rule: Rule, subject: Subject) -> Evidence | None:
    """Why it holds, all its conditions together, or ``None`` when it does not hold.

    Raises:
        Unjudged: a condition failed, or it would hold if something stood in the part that was not looked at.
    """
    facts = subject.facts
    message, now = facts.message, facts.now
    if not rule.match.fits(message, now) or (rule.unless is not None and rule.unless.fits(message, now)):
        return None
    whole, is_certain = HOLDS, True
    for condition in rule.conditions:
        evidence = condition.hold(subject)
        if evidence is None:
            return None
        if evidence is not HOLDS:
            is_certain = is_certain and bool(evidence.spans or not evidence.unseen)
            whole = evidence if whole is HOLDS else whole.joined(evidence)
    if not is_certain:
        raise Unjudged(whole.unseen)
    return whole


def _outcome(rule: Rule, message: Message, scan: Scan, evidence: Evidence, builder: FindingBuilder) -> _RuleOutcome:
    """One finding for each kind that the conditions name, beside those for the values; one in any case."""
    spans, kinds = evidence.spans, evidence.kinds
    if not spans and not kinds:
        kinds = {rule.finding_kind: ""}
    most = limits.FINDING_PREVIEW_CHARS_MAX
    named = [_finding(rule, rule.action, kind, preview[:most]) for kind, preview in kinds.items()] if kinds else ()
    if rule.action in ("redact", "tokenize"):
        outcome = _redacting(rule, message, scan, evidence, builder)
        return replace(outcome, findings=(*named, *outcome.findings)) if named else outcome
    findings = (*named, *builder.findings(rule, rule.action, spans))
    text = _message(rule, message, ", ".join(kinds) or _kinds(spans))
    return _RuleOutcome(rule.id, rule.severity, rule.mode, rule.action, text, findings)


def _redacting(rule: Rule, message: Message, scan: Scan, evidence: Evidence, builder: FindingBuilder) -> _RuleOutcome:
    """Replace what can be; block where something cannot, or where the detectors stopped before the last value."""
    spans = evidence.spans
    has_time, copies = True, list(spans)
    try:
        copies += in_other_copy(message, spans)
    except TooMany:
        has_time = False
    redactable, rest = split_redactable(copies)
    findings = (*builder.findings(rule, rule.action, redactable), *builder.findings(rule, "block", rest))
    is_cut = bool(evidence.unseen)
    action: Action = "block" if rest or (is_cut and "spans" in scan.skipped) or not has_time else rule.action
    if is_cut:
        findings = (*findings, _finding(rule, rule.on_error, "error", evidence.unseen))
        action = "block" if rule.on_error == "block" else action
    text = _message(rule, message, _kinds(spans), action) + (f" ({CANNOT_REDACT})" if rest or not has_time else "")
    alike = of_one_kind(redactable)
    redactions, tokens = (alike, []) if rule.action == "redact" else ([], alike)
    return _RuleOutcome(rule.id, rule.severity, rule.mode, action, text, findings, tuple(redactions), tuple(tokens))


def _kinds(spans: Iterable[Span]) -> str:
    return ", ".join(sorted({span.kind for span in spans}))


def _failed(rule: Rule, message: Message, why: str) -> _RuleOutcome:
    finding = _finding(rule, rule.on_error, "error", why)
    text = _filled("This could not be judged, so it was stopped to be safe.", rule.id, message, "error")
    return _RuleOutcome(rule.id, rule.severity, rule.mode, rule.on_error, text, (finding,))


def _finding(rule: Rule, action: Action, kind: str, preview: str = "") -> Finding:
    return Finding(rule.id, rule.policy, rule.severity, rule.mode, action, kind, preview=preview, title=rule.title)


def _message(rule: Rule, message: Message, kinds: str, action: Action | None = None) -> str:
    if rule.message:
        return _filled(rule.message, rule.id, message, kinds)
    if (action or rule.action) != "block":
        return ""
    return _filled(f"{rule.title}.", rule.id, message, kinds)


def _filled(text: str, rule: str, message: Message, kinds: str) -> str:
    """Every placeholder replaced in one pass, so that a name cannot smuggle in another placeholder."""
    values = {"rule": rule, "tool": message.tool[:_TOOL_CHARS_MAX], "server": message.server, "kinds": kinds}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _verdict(policies: PolicySet, outcomes: Iterable[_RuleOutcome], cap: Mode) -> Verdict:
    """The strictest enforced action; among equals the higher severity, then the id, decides whose message is shown."""
    outcomes = sorted(outcomes, key=lambda each: each.rule)
    findings: list[Finding] = []
    enforced: list[_RuleOutcome] = []
    for each in outcomes:
        mode: Mode = "monitor" if cap == "monitor" else each.mode
        findings.extend(each.findings if mode == each.mode else (replace(finding, mode="monitor") for finding in each.findings))
        if mode == "enforce":
            enforced.append(each)
    if not enforced:
        return Verdict(findings=tuple(findings), policy_version=policies.version)
    decides = max(enforced, key=lambda each: (_ACTION_RANK[each.action], _SEVERITY_RANK[each.severity]))
    tokenized = {each.rule: each.tokens for each in enforced if each.tokens}
    redactions, tokens = resolve_overlaps((span for each in enforced for span in each.redactions), tokenized)
    return Verdict(decides.action, decides.rule, decides.message, tuple(findings), redactions, policies.version, tokens)
