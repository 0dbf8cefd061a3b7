"""``access``: whether a caller may use something at all. Deny wins over allow, allow over the default, in any order."""

from dataclasses import dataclass

from sidecar.events import Message, Mode
from sidecar.policy.facts import Facts, Unjudged
from sidecar.policy.fields import DEFAULT_ENTRY
from sidecar.policy.policy_set import AccessEntries, AccessEntry, PolicySet, Section


@dataclass(frozen=True, slots=True)
class AccessResult:
    """What a gate has to say: that it denies, or that an entry could not be judged. ``failure`` says why not."""

    rule: str
    section: Section
    is_denial: bool
    failure: str = ""


def ask(gate: AccessEntries, facts: Facts) -> tuple[AccessResult, ...]:
    """A denial, or nothing; beside it every entry that was tried and could not be judged.

    A ``deny`` whose expression fails denies; an ``allow`` whose expression fails does not allow.
    """
    remarks: list[AccessResult] = []
    for entry, section in gate.deny:
        does_fit, failure = _fits(entry, facts)
        if does_fit or failure:
            return (AccessResult(entry.id, section, True, failure),)
    if gate.default is None:
        return ()
    for entry, section in gate.allow:
        does_fit, failure = _fits(entry, facts)
        if does_fit:
            return tuple(remarks)
        if failure:
            remarks.append(AccessResult(entry.id, section, False, failure))
    return (*remarks, AccessResult(DEFAULT_ENTRY, gate.default, True))


def _fits(entry: AccessEntry, facts: Facts) -> tuple[bool, str]:
    try:
        return entry.match.fits(facts.message, facts.now) and (entry.expr is None or entry.expr.holds(facts)), ""
    except Unjudged as error:
        return False, str(error)
    except Exception as error:
        return False, type(error).__name__


def is_listed(policies: PolicySet, message: Message, now: float, cap: Mode = "enforce") -> bool:
    """Whether a tool may stand in the list a caller sees; ``message`` is the ``tools/call`` the caller could make.

    The arguments are not known yet, so an entry that asks for them hides nothing: with others it may fit, or not.
    ``cap`` is the same as for ``judge``: what may not be enforced hides nothing either.
    """
    if cap != "enforce" or not policies.hides:
        return True
    gate, facts = policies.enforced, Facts(message, now)
    for entry, section in gate.deny:
        if section.hide and _is_of_the_caller(entry) and any(_fits(entry, facts)):
            return False
    if gate.default is None or not gate.default.hide:
        return True
    return any(
        _fits(entry, facts)[0] if _is_of_the_caller(entry) else entry.match.fits(message, now) for entry, _section in gate.allow
    )


def _is_of_the_caller(entry: AccessEntry) -> bool:
    return entry.expr is None or entry.expr.is_of_the_caller
