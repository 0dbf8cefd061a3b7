"""A condition is one class: this file writes one, and takes it through a policy file, a verdict and an explanation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pytest
from pydantic import Field

from sidecar.errors import PolicyError, Problem
from sidecar.events import Message, Scan, Verdict
from sidecar.policy.base_model import PolicyModel
from sidecar.policy.conditions import CONDITIONS
from sidecar.policy.conditions.protocol import (
    HOLDS,
    Condition,
    Conditions,
    Evidence,
    Explanation,
    SpecPlace,
    Subject,
    Vocabulary,
)
from sidecar.policy.explain import explain
from sidecar.policy.facts import Facts, Unjudged
from sidecar.policy.judge import judge
from sidecar.policy.load import PolicySet, load_texts
from sidecar.policy.memory import State


class FirstSeenSpec(PolicyModel):
    """A tool that the session has not called before, but for ``spare``."""

    spare: list[str] = Field(default_factory=list)


class Called:
    """The tools that each session has called."""

    def __init__(self) -> None:
        self.tools: dict[str, dict[str, int]] = {}


@dataclass(frozen=True, slots=True)
class FirstSeenCondition(Condition[FirstSeenSpec]):
    """Holds at the first call of each tool in a session."""

    name: ClassVar[str] = "first_seen"
    spec: ClassVar[type[FirstSeenSpec]] = FirstSeenSpec
    cost: ClassVar[int] = 0
    finding_kind: ClassVar[str] = "first-seen"
    counts_calls: ClassVar[bool] = True

    spare: frozenset[str]

    @classmethod
    def compile(cls, spec: FirstSeenSpec, place: SpecPlace, vocabulary: Vocabulary) -> tuple[Self | None, tuple[Problem, ...]]:
        wrong = [
            place.problem("unknown-tool", f"'{name}' is no tool", "spare", index)
            for index, name in enumerate(spec.spare)
            if not name
        ]
        return cls(frozenset(spec.spare)), tuple(wrong)

    @classmethod
    def check(cls, spec: FirstSeenSpec, place: SpecPlace) -> Iterator[Problem]:
        if place.direction == "response":
            yield place.problem("never-matches", "an answer is no call", is_warning=True)

    def hold(self, subject: Subject) -> Evidence | None:
        message = subject.facts.message
        if message.tool == "broken":
            raise Unjudged("this tool cannot be told")
        tools = subject.state.memory(Called).tools.setdefault(message.session, {})
        tools[message.tool] = tools.get(message.tool, 0) + 1
        return HOLDS if tools[message.tool] == 1 and message.tool not in self.spare else None

    def explain(self, subject: Subject) -> Explanation:
        message = subject.facts.message
        count = subject.state.memory(Called).tools[message.session][message.tool]
        return Explanation(count == 1, f"call number {count} of this tool")


TABLE: Conditions = (*CONDITIONS, FirstSeenCondition)

HEAD = "version: 1\npolicy: p\naccess: {default: allow}\nrules:\n"
RULE = "  - {id: new, title: A new tool, match: {server: crm}, when: {first_seen: {spare: [list]}}, action: block}\n"


def loaded(rules: str, table: Conditions = TABLE) -> PolicySet:
    """The policies of one text that enforces these rules."""
    tests = "tests:\n" + "".join(
        f"  - {{name: n{number}, call: {{server: x}}, expect: {{verdict: {verdict}, rules: {ids}}}}}\n"
        for number, (verdict, ids) in enumerate((("allow", "[]"), ("block", "[new]")))
    )
    return load_texts(
        [("p.yaml", HEAD.replace("policy: p", "policy: p\nmode: enforce") + rules + tests)], ["pii.card"], conditions=table
    )


def complaints(rules: str, table: Conditions = TABLE) -> list[str]:
    """Everything that is said of one text, which enforces nothing."""
    try:
        return [str(each) for each in load_texts([("p.yaml", HEAD + rules)], ["pii.card"], conditions=table).warnings]
    except PolicyError as error:
        return [str(each) for each in error.problems]


def call(tool: str, server: str = "crm", **more: Any) -> Message:
    return Message(server, "request", "request", "tools/call", tool, session="s", **more)


def verdict_on(policies: PolicySet, message: Message, state: State) -> Verdict:
    """The verdict on a message in which nothing was found."""
    return judge(policies, message, Scan(), state, 0.0, str, "enforce")


def test_a_condition_in_the_table_judges() -> None:
    """A rule holds as its new condition says, remembers what that remembers, and its finding is of that condition's kind."""
    policies, state = loaded(RULE), State()
    verdict = verdict_on(policies, call("pay"), state)
    assert (verdict.action, verdict.message, [each.kind for each in verdict.findings]) == (
        "block",
        "A new tool.",
        ["first-seen"],
    )
    for other in (call("pay"), call("list"), call("pay", server="mail")):
        assert verdict_on(policies, other, state) is policies.empty_verdict


def test_a_condition_that_cannot_tell_is_an_error_of_its_rule() -> None:
    """A blocking rule whose new condition cannot be judged blocks, and says why."""
    verdict = verdict_on(loaded(RULE), call("broken"), State())
    assert verdict.action == "block"
    assert [(each.kind, each.preview) for each in verdict.findings] == [("error", "this tool cannot be told")]


def test_it_goes_with_the_other_conditions() -> None:
    """All conditions of a rule must hold, and a counting one is asked about each call, whatever the others say."""
    rule = RULE.replace("{first_seen:", "{expr: 'call.tool == \"pay\"', detect: {any: pii.card}, first_seen:")
    policies, state = loaded(rule), State()
    assert verdict_on(policies, call("pay"), state) is policies.empty_verdict
    assert state.memory(Called).tools == {"s": {"pay": 1}}


def test_its_form_and_mistakes_are_told_with_their_place() -> None:
    """A wrong field, a wrong value and a rule that cannot hold are named where they stand, by the condition itself."""
    wrong = RULE.replace("spare: [list]", "spar: [list]")
    assert complaints(wrong) == [
        (
            "p.yaml:5:76: error[unknown-field]: rules.0.when.first_seen.spar: 'spar' is not a field here; "
            "did you mean 'spare'? (known here: spare)"
        )
    ]
    assert complaints(RULE.replace("[list]", "[list, '']")) == ["p.yaml:5:90: error[unknown-tool]: '' is no tool"]
    response = RULE.replace("{server: crm}", "{direction: response}")
    assert complaints(response) == ["p.yaml:5:83: warning[never-matches]: an answer is no call"]
    empty = complaints(RULE.replace("{first_seen: {spare: [list]}}", "{}"))
    assert "give it 'detect', 'expr', 'rate', 'definition' or 'first_seen', or remove it" in empty[0]


def test_it_explains_itself() -> None:
    """A person learns why the rule held or did not, from the condition's own words."""
    policies, state = loaded(RULE), State()
    subject = Subject(Facts(call("pay"), 0.0), Scan(), state)
    for expected in ((True, "first_seen: call number 1 of this tool"), (False, "first_seen: call number 2 of this tool")):
        verdict_on(policies, call("pay"), state)
        assert explain(policies.rules[0], subject) == expected


def test_a_condition_that_is_not_in_the_table_is_refused() -> None:
    """What the program's own table does not have is no part of the format: it is refused by name, never ignored."""
    (only,) = complaints(RULE, CONDITIONS)
    assert "error[not-supported-yet]: rules.0.when.first_seen: 'first_seen' is not supported yet" in only
    (other,) = complaints(RULE.replace("first_seen", "last_seen"))
    assert "error[unknown-field]: rules.0.when.last_seen: 'last_seen' is not a field here; did you mean 'first_seen'?" in other


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_is_a_field_of_the_format(condition: type[Condition[Any]]) -> None:
    """Each entry of the table has a name of its own and an order in which it is asked."""
    assert [each.name for each in CONDITIONS].count(condition.name) == 1
    assert [each.cost for each in CONDITIONS].count(condition.cost) == 1
