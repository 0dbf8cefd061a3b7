"""One message to one verdict: every rule is judged on the original message, and the strictest enforced action wins.

Order never matters, and adding a rule never makes a verdict milder.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar import limits
from sidecar.events import ACTIONS, SEVERITIES, Action, Definition, Finding, Message, Mode, Scan, Severity, Span, Verdict
from sidecar.policy.access import AccessResult, ask, is_listed
from sidecar.policy.facts import Facts, Unjudged
from sidecar.policy.policy_set import PolicySet, Rule, Section, Window
from sidecar.policy.result_copies import TooMany, in_other_copy, of_one_kind
from sidecar.policy.spans import CANNOT_REDACT, FindingBuilder, is_blind, resolve_overlaps, sought, split_redactable
from sidecar.policy.state import State

__all__ = ["is_listed", "judge"]

_ACTION_RANK: Final = {action: rank for rank, action in enumerate(ACTIONS)} | {"tokenize": ACTIONS.index("redact")}
_SEVERITY_RANK: Final = {severity: rank for rank, severity in enumerate(SEVERITIES)}
_PLACEHOLDER: Final = re.compile(r"\{(rule|tool|server|kinds)\}")
_TOOL_CHARS_MAX: Final = 100
_PARTS: Final[Mapping[str, Callable[[Message], str]]] = {
    "session": lambda message: message.session,
    "tool": lambda message: message.tool,
    "server": lambda message: message.server,
    "user": lambda message: message.caller.user,
    "method": lambda message: message.method,
}
"""What ``rate.per`` can name. A user who is not verified is one user together with all others who are not."""


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
        return policies.nothing
    is_call = message.direction == "request" and message.kind in ("request", "notification")
    if is_call:
        state.add_call(message.session, message.server)
    facts = Facts(message, now, *state.session(message.session))
    told = FindingBuilder(scan, fingerprint)
    outcomes = _access(policies, facts) if is_call and policies.sections else []
    is_blank = not scan.spans and not scan.skipped
    is_defined = message.definition is not None
    for rule in policies.of_definitions if is_defined else policies.applicable(message.direction, message.method):
        if is_blank and rule.detect is not None and rule.rate is None:
            continue
        outcome = _judge_rule(rule, facts, scan, state, told)
        if outcome is not None:
            outcomes.append(outcome)
    return _verdict(policies, outcomes, cap) if outcomes else policies.nothing


def _access(policies: PolicySet, facts: Facts) -> list[_RuleOutcome]:
    remarks = ask(policies.enforced, facts)
    outcomes = [_refusal(each, each.section.mode, facts.message) for each in remarks]
    if policies.has_monitored_access and not any(each.is_denial for each in remarks):
        known = {each.rule for each in remarks}
        intended = (each for each in ask(policies.intended, facts) if each.rule not in known)
        outcomes.extend(_refusal(each, "monitor", facts.message) for each in intended)
    return outcomes


def _refusal(remark: AccessResult, mode: Mode, message: Message) -> _RuleOutcome:
    section: Section = remark.section
    action: Action = "block" if remark.is_denial else "alert"
    what = "Access denied" if remark.is_denial else "An entry of access could not be judged"
    finding = Finding(
        rule=remark.rule,
        policy=section.policy,
        severity=section.severity,
        mode=mode,
        action=action,
        kind="error" if remark.failure else "access",
        preview=remark.failure,
        title=what,
    )
    told = section.message or "You may not use this here."
    return _RuleOutcome(remark.rule, section.severity, mode, action, _filled(told, remark.rule, message, "access"), (finding,))


def _judge_rule(rule: Rule, facts: Facts, scan: Scan, state: State, told: FindingBuilder) -> _RuleOutcome | None:
    """What ``rule`` comes to, or nothing when it does not hold. Whatever goes wrong is an outcome too."""
    try:
        spans = _holds(rule, facts, scan, state)
        return None if spans is None else _held(rule, facts.message, scan, spans, told)
    except Unjudged as error:
        return _failed(rule, facts.message, str(error))
    except Exception as error:
        return _failed(rule, facts.message, type(error).__name__)


def _holds(rule: Rule, facts: Facts, scan: Scan, state: State) -> Sequence[Span] | None:
    """The spans it holds for (none, for a rule without detectors), or ``None`` when it does not hold.

    The rate comes first: it counts every call that the rule is meant for, whatever else the rule asks.

    Raises:
        Unjudged: its expression failed, or it would hold if something stood in the part that was not looked at.
    """
    message, now = facts.message, facts.now
    if not rule.match.fits(message, now) or (rule.unless is not None and rule.unless.fits(message, now)):
        return None
    if rule.rate is not None and not _is_too_often(rule.id, rule.rate, facts, state):
        return None
    if rule.signs and not _is_one_of(rule.signs, message.definition):
        return None
    spans: Sequence[Span] = ()
    if rule.detect is not None:
        spans = sought(rule.detect, message, scan)
        if not spans and not is_blind(rule.detect, scan):
            return None
    if rule.expr is not None and not rule.expr.holds(facts):
        return None
    if rule.detect is not None and not spans:
        raise Unjudged(_unseen(scan))
    return spans


def _is_one_of(signs: Sequence[str], definition: Definition | None) -> bool:
    """Whether a definition is ``changed``, ``new`` or what else is asked for.

    Raises:
        Unjudged: it is none of them as far as is known, but not all is known.
    """
    if definition is None:
        return False
    if any(sign in definition.signs for sign in signs):
        return True
    if not definition.unknown.isdisjoint(signs):
        raise Unjudged("the definition is too long or too deep to be looked at")
    return False


def _unseen(scan: Scan) -> str:
    return f"not all of the message was looked at ({', '.join(scan.skipped)})"


def _is_too_often(rule_id: str, rate: Window, facts: Facts, state: State) -> bool:
    """Count this call. Answers to a server's requests are no calls."""
    message = facts.message
    if message.direction == "request" and message.kind in ("result", "error"):
        return False
    key = (rule_id, *(_PARTS[each](message) for each in rate.per))
    return state.is_above(key, facts.now, rate.over_s, rate.above)


def _held(rule: Rule, message: Message, scan: Scan, spans: Sequence[Span], told: FindingBuilder) -> _RuleOutcome:
    if message.definition is not None:
        return _of_definition(rule, message.definition, message, scan, spans, told)
    if rule.detect is None:
        finding = _finding(rule, rule.action, rule.kind)
        return _RuleOutcome(rule.id, rule.severity, rule.mode, rule.action, _message(rule, message, rule.kind), (finding,))
    if rule.action in ("redact", "tokenize"):
        return _redacting(rule, message, scan, spans, told)
    findings = tuple(told.findings(rule, rule.action, spans))
    return _RuleOutcome(rule.id, rule.severity, rule.mode, rule.action, _message(rule, message, _kinds(spans)), findings)


def _of_definition(
    rule: Rule, definition: Definition, message: Message, scan: Scan, spans: Sequence[Span], told: FindingBuilder
) -> _RuleOutcome:
    """One finding for each sign the rule asks for, beside those for the spans it seeks."""
    signs = [sign for sign in rule.signs if sign in definition.signs]
    kinds = {f"definition.{sign}": definition.signs[sign] for sign in signs} or ({} if spans else {rule.kind: ""})
    most = limits.FINDING_PREVIEW_CHARS_MAX
    own = tuple(_finding(rule, rule.action, kind, said[:most]) for kind, said in kinds.items())
    if rule.action == "redact":
        outcome = _redacting(rule, message, scan, spans, told)
        return replace(outcome, findings=(*own, *outcome.findings))
    findings = (*own, *told.findings(rule, rule.action, spans))
    text = _message(rule, message, ", ".join(kinds) or _kinds(spans))
    return _RuleOutcome(rule.id, rule.severity, rule.mode, rule.action, text, findings)


def _redacting(rule: Rule, message: Message, scan: Scan, spans: Sequence[Span], told: FindingBuilder) -> _RuleOutcome:
    """Replace what can be; block where something cannot, or where the detectors stopped before the last value."""
    has_time, copies = True, list(spans)
    try:
        copies += in_other_copy(message, spans)
    except TooMany:
        has_time = False
    redactable, rest = split_redactable(copies)
    findings = (*told.findings(rule, rule.action, redactable), *told.findings(rule, "block", rest))
    is_cut = is_blind(rule.detect, scan)
    action: Action = "block" if rest or (is_cut and "spans" in scan.skipped) or not has_time else rule.action
    if is_cut:
        findings = (*findings, _finding(rule, rule.on_error, "error", _unseen(scan)))
        action = "block" if rule.on_error == "block" else action
    text = _message(rule, message, _kinds(spans), action) + (f" ({CANNOT_REDACT})" if rest or not has_time else "")
    alike = of_one_kind(redactable)
    redactions, tokens = (alike, []) if rule.action == "redact" else ([], alike)
    return _RuleOutcome(rule.id, rule.severity, rule.mode, action, text, findings, tuple(redactions), tuple(tokens))


def _kinds(spans: Iterable[Span]) -> str:
    return ", ".join(sorted({span.kind for span in spans}))


def _failed(rule: Rule, message: Message, why: str) -> _RuleOutcome:
    finding = _finding(rule, rule.on_error, "error", why)
    told = "This could not be judged, so it was stopped to be safe."
    return _RuleOutcome(rule.id, rule.severity, rule.mode, rule.on_error, _filled(told, rule.id, message, "error"), (finding,))


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
    """The strictest enforced action; among equals the higher severity, then the id, decides whose message is told."""
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
