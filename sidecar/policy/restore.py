"""Whether a token may turn back into its value in the request at hand: every rule that asked for the token has to let it."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sidecar.decode.mcp import facts
from sidecar.events import Message
from sidecar.policy.policy_set import PolicySet, Rule
from sidecar.policy.vault import FoundToken, Restored, StoredValue, Vault


def may_restore(policies: PolicySet, rules: Collection[str], servers: Collection[str], message: Message, now: float) -> bool:
    """Whether all of ``rules`` let a value go where ``message`` goes; ``servers`` are those that gave it in answers.

    A rule that is no longer there, or asks for something else now, lets nothing go.
    """
    known = [rule for rule in policies.rules if rule.id in rules and rule.action == "tokenize"]
    return len(known) == len(set(rules)) > 0 and all(_allows(rule, servers, message, now) for rule in known)


def _allows(rule: Rule, servers: Collection[str], message: Message, now: float) -> bool:
    """What the rule says with ``restore``; else what it says of requests anyway.

    A rule about requests hides a value that the client knows, and lets it go wherever it does not apply. Of what a server
    answered the client has seen nothing but the token, so there it takes a word: the rule's ``unless``, or that the server
    gave the value itself.
    """
    if rule.restore is not None:
        return rule.restore.fits(message, now)
    is_spared = rule.unless is not None and rule.unless.fits(message, now)
    if rule.match.direction == "request":
        return is_spared or not rule.match.fits(message, now)
    return message.server in servers if rule.match.direction == "response" else is_spared


def restore_tokens(
    vault: Vault, policies: PolicySet, message: Message, standing: Collection[FoundToken], now: float
) -> Restored:
    """What the tokens that stand in a request turn back into under these policies."""

    def may(kept: StoredValue) -> bool:
        return may_restore(policies, kept.rules, kept.servers, message, now)

    return vault.restored(message.session, standing, may, now)


def with_payload(message: Message, payload: Any) -> Message:
    """A message with another payload, and what that says of itself; what an answer is about stays."""
    if message.kind not in ("request", "notification"):
        return replace(message, payload=payload)
    before, after = facts(message.payload), facts(payload)
    return replace(message, payload=payload, args=after.args, tool=after.tool if message.tool == before.tool else message.tool)
