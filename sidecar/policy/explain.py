"""Why a rule holds for a message or does not, in one sentence that quotes no value."""

from dataclasses import fields

from sidecar.policy.conditions.protocol import Explanation, Subject
from sidecar.policy.facts import Unjudged
from sidecar.policy.match import Match
from sidecar.policy.policy_set import Rule


def explain(rule: Rule, subject: Subject) -> Explanation:
    """The first reason why ``rule`` does not hold, or all the reasons why it does.

    It changes no state, so call it after the message was judged: a rate then counts that call too.
    """
    message, now = subject.facts.message, subject.facts.now
    if not rule.match.fits(message, now):
        names = [each.name for each in fields(Match) if not _fits(rule.match, each.name, subject)]
        return Explanation(False, f"match: another {' and '.join(names)}")
    if rule.unless is not None and rule.unless.fits(message, now):
        return Explanation(False, "unless: it leaves this message out")
    reasons = []
    for condition in rule.conditions:
        try:
            reason = condition.explain(subject)
        except Unjudged as error:
            return Explanation(False, f"{condition.name}: it could not be judged: {error}")
        if not reason.holds:
            return Explanation(False, f"{condition.name}: {reason.text}")
        reasons.append(f"{condition.name}: {reason.text}")
    return Explanation(True, "; ".join(reasons) or "match: it fits")


def _fits(match: Match, name: str, subject: Subject) -> bool:
    """Whether the message fits one field of ``match``."""
    return Match(**{name: getattr(match, name)}).fits(subject.facts.message, subject.facts.now)
