"""``access``: whether a caller may use something at all. Deny wins over allow, allow over the default, in any order."""

from dataclasses import dataclass

from sidecar.events import Message, Mode
from sidecar.policy.facts import Facts, Unjudged
from sidecar.policy.fields import DEFAULT_ENTRY
from sidecar.policy.policy_set import AccessEntries, AccessEntry, PolicySet, Section


@dataclass(frozen=True, slots=True)
class AccessResult:
    """One outcome of access: a denial, or an entry that could not be judged. ``failure`` says why not."""

    rule: str
    section: Section
    is_denial: bool
    failure: str = ""


def ask(entries: AccessEntries, facts: Facts) -> tuple[AccessResult, ...]:
    """A denial, or nothing; beside it every entry that was tried and could not be judged.

    A ``deny`` whose expression fails denies; an ``allow`` whose expression fails does not allow.
    """
    results: list[AccessResult] = []
    for entry, section in entries.deny:
        does_fit, failure = _fits(entry, facts)
        if does_fit or failure:
            return (AccessResult(entry.id, section, True, failure),)
    if entries.default is None:
        return ()
    for entry, section in entries.allow:
        does_fit, failure = _fits(entry, facts)
        if does_fit:
            return tuple(results)
        if failure:
            results.append(AccessResult(entry.id, section, False, failure))
    return (*results, AccessResult(DEFAULT_ENTRY, entries.default, True))


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
    entries, facts = policies.enforced, Facts(message, now)
    for entry, section in entries.deny:
        if section.hide and _needs_only_caller(entry) and any(_fits(entry, facts)):
            return False
    if entries.default is None or not entries.default.hide:
        return True
    return any(
        _fits(entry, facts)[0] if _needs_only_caller(entry) else entry.match.fits(message, now) for entry, _ in entries.allow
    )


def _needs_only_caller(entry: AccessEntry) -> bool:
    return entry.expr is None or entry.expr.needs_only_caller
