"""What a person is told of each condition: why it held or did not, without any value of the message."""

from dataclasses import replace
from typing import Any

import pytest

from sidecar.events import Definition, Leaf, Message, Scan, Span
from sidecar.policy import fakes
from sidecar.policy.conditions.protocol import Subject
from sidecar.policy.explain import explain
from sidecar.policy.facts import Facts
from sidecar.policy.judge import judge
from sidecar.policy.load import load_texts
from sidecar.policy.memory import State
from sidecar.policy.policy_set import PolicySet

CARD = fakes.fake("card")
CALL = Message("crm", "request", "request", "tools/call", "pay", {"n": 2}, {"params": {"arguments": {"n": 2}}}, session="s")
EMPTY = Scan()
LISTED = Message("crm", "response", "result", "tools/list", "pay", definition=Definition("b", "a", signs={"changed": "text"}))


def found(path: str = "card", confidence: float = 0.9, *, is_strict_only: bool = False, **more: Any) -> Scan:
    """What detectors saw: one card."""
    span = Span("pii.card", Leaf(("params", "arguments", path), CARD), 0, len(CARD), confidence, is_strict_only)
    return Scan((span,), **more)


def loaded(rule: str) -> PolicySet:
    """The policies of one rule that is monitored."""
    return load_texts([("p.yaml", f"version: 1\npolicy: p\nrules: [{{id: a, title: t, {rule}, action: log}}]\n")], ["pii.card"])


def explained(rule: str, message: Message = CALL, scan: Scan = EMPTY, calls: int = 1) -> str:
    """What is said of a rule and a message that was judged so often."""
    policies, state = loaded(rule), State()
    for moment in range(calls):
        verdict = judge(policies, message, scan, state, float(moment), str, "enforce")
    holds, text = explain(policies.rules[0], Subject(Facts(message, calls - 1.0), scan, state))
    assert holds is any(each.kind != "error" for each in verdict.findings)
    assert CARD not in text
    return text


@pytest.mark.parametrize(
    ("rule", "message", "text"),
    [
        ("match: {server: crm}", CALL, "match: it fits"),
        ("match: {server: mail, tool: send, direction: request}", CALL, "match: another server and tool"),
        ("match: {server: crm}, unless: {tool: pay}", CALL, "unless: it leaves this message out"),
        ("when: {expr: call.args.n > 1}", CALL, "expr: the expression is true"),
        ("when: {expr: call.args.n > 2}", CALL, "expr: the expression is false"),
        (
            "when: {expr: call.args.n > 1 && call.args.to == 'x'}",
            CALL,
            "expr: the expression is false; the call has no argument to",
        ),
        ("when: {expr: call.args.n > 1 || call.args.n / 0 == 1}", CALL, "expr: the expression is true"),
        ("when: {expr: call.args.n / 0 == 1}", CALL, "expr: it could not be judged: a division by zero"),
        ("when: {definition: [new, changed]}", LISTED, "definition: found definition.changed"),
        ("when: {definition: [new, shadows]}", LISTED, "definition: the definition is not new or shadows"),
        (
            "when: {definition: new}",
            replace(LISTED, definition=Definition(unknown=frozenset({"new"}))),
            "definition: it could not be judged: the definition is too long or too deep to be looked at",
        ),
        (
            "match: {direction: response}, when: {definition: new}",
            replace(LISTED, definition=None),
            "definition: this message is no definition of a tool or prompt",
        ),
    ],
)
def test_the_first_reason_is_named(rule: str, message: Message, text: str) -> None:
    """One sentence says which part of the rule decided, and why."""
    assert explained(rule, message) == text


@pytest.mark.parametrize(
    ("detect", "scan", "text"),
    [
        ("any: pii", Scan(), "found no value of these kinds"),
        ("any: pii", Scan(skipped=("depth",)), "found no value of these kinds; not all of the message was looked at"),
        ("any: pii", found(), "found 1 pii.card"),
        ("any: pii, confidence: 0.95", found(), "found 1 pii.card, but asks for a confidence of 0.95"),
        ("any: pii, count: 3", found(), "found 1 pii.card, but asks for 3 or more"),
        (
            "any: pii, count: 3, distinct: true, where: $.to",
            found(),
            "found 1 pii.card, but asks for 3 different or more and looks only at the place that 'where' names",
        ),
        (
            "any: pii, profile: default",
            found(is_strict_only=True),
            "found 1 pii.card, but leaves out what is written for documentation",
        ),
    ],
)
def test_values_are_told_by_kind_and_number(detect: str, scan: Scan, text: str) -> None:
    """What was found is counted by kind; where it was not enough, what more the rule asks for is named."""
    assert explained(f"when: {{detect: {{{detect}}}}}", scan=scan) == f"detect: {text}"


def test_calls_are_counted_for_the_reader() -> None:
    """Below the limit the number of calls is named, above it that there were more; asking counts nothing."""
    rate = "when: {rate: {per: [session, user], over: 1m, above: 2}}"
    window = "in 60 s with the same session, user"
    assert explained(rate, calls=1) == f"rate: 1 call {window}; at most 2 allowed"
    assert explained(rate, calls=2) == f"rate: 2 calls {window}; at most 2 allowed"
    assert explained(rate, calls=5) == f"rate: more than 2 calls {window}"
    answer = replace(CALL, kind="result", method="sampling/createMessage")
    assert explained(rate, answer) == "rate: only calls are counted, and this is an answer"


def test_all_reasons_are_named_when_a_rule_holds() -> None:
    """Every condition of a rule that held says why, in the order in which they were asked."""
    rule = "when: {expr: call.args.n > 1, detect: {any: pii}, rate: {per: session, over: 1m, above: 1}}"
    assert explained(rule, scan=found(), calls=2) == (
        "rate: more than 1 call in 60 s with the same session; detect: found 1 pii.card; expr: the expression is true"
    )
