"""Policies that tokenize: what their tests can say, and what is wrong with them."""

import pytest

from sidecar.act.redact import redact_value
from sidecar.detect import Engine
from sidecar.policy import cases
from sidecar.policy.load import load_texts
from tests.policy.test_load import HEAD, said, warned

PERSONAL = """
version: 1
policy: personal-data
owner: privacy@ourco.example
description: Personal data goes to outside servers only as tokens, and in bulk not at all.
mode: enforce
lists:
  inside: [crm, billing, hr]
rules:
  - id: pii.out
    title: Personal data in a call to an outside server
    match: {direction: request}
    unless: {server: [crm, billing, hr]}
    when:
      detect: {any: [pii.card, pii.iban, pii.email], confidence: 0.8}
    action: tokenize
  - id: pii.in
    title: Personal data in what a server answers
    match: {direction: response, server: [crm, hr]}
    when:
      detect: {any: [pii.email]}
    action: tokenize
  - id: pii.staff
    title: An account in what billing answers
    match: {direction: response, server: billing}
    when:
      detect: {any: [pii.iban]}
    action: tokenize
    restore: {server: crm, tool: pay}
  - id: pii.bulk
    title: Many different people in one call to an outside server
    severity: critical
    match: {direction: request}
    when:
      detect: {any: [pii.email], count: 5, distinct: true}
      expr: '!(call.server in lists.inside)'
    action: block
    message: This call carries data on several people. Send one record at a time, or ask for an export.
tests:
  - name: a card number leaves as a token
    call: {server: tickets, tool: create_ticket, args: {text: "card ${fake:card} was charged twice"}}
    expect: {verdict: tokenize, rules: [pii.out], sent: {text: "card ${token:pii.card} was charged twice"}}
  - name: inside servers get the real value
    call: {server: crm, tool: update, args: {email: "${fake:email}"}}
    expect: {verdict: allow, sent: {email: ada.lovelace@example.org}}
  - name: five different people are too many
    call: {server: sheets, tool: append, args: {rows: [a@x.example, b@x.example, c@x.example, d@x.example, e@x.example]}}
    expect: {verdict: block, rules: [pii.bulk, pii.out]}
  - name: one person named three times is one person
    call: {server: sheets, tool: append, args: {rows: [a@x.example, a@x.example, a@x.example]}}
    expect:
      verdict: tokenize
      rules: [pii.out]
      sent: {rows: ["${token:pii.email}", "${token:pii.email}", "${token:pii.email}"]}
  - name: a token turns back for a server that may know
    steps:
      - {server: tickets, tool: create_ticket, args: {text: "from a@x.example and b@x.example"}}
      - {server: hr, tool: find, args: {who: "Ask ${token:pii.email#2}, not ${token:pii.email#1}"}}
    expect: {verdict: allow, rules: [], sent: {who: "Ask b@x.example, not a@x.example"}}
  - name: elsewhere it stays a token
    steps:
      - {server: tickets, tool: create_ticket, args: {text: from a@x.example}}
      - {server: web, tool: post, args: {text: "${token:pii.email}"}}
    expect: {verdict: allow, rules: [], sent: {text: "${token:pii.email}"}}
  - name: another session cannot use it
    steps:
      - {server: tickets, tool: create_ticket, session: a, args: {text: from a@x.example}}
      - {server: crm, tool: find, session: b, args: {text: "${token:pii.email}"}}
    expect: {verdict: allow, rules: [], sent: {text: "${token:pii.email}"}}
  - name: the server that gave a value gets it back, and no other
    steps:
      - {server: crm, tool: find, args: {id: 7}, result: {email: a@x.example, tier: gold}}
      - {server: crm, tool: note, args: {to: "${token:pii.email}"}}
    expect: {verdict: allow, sent: {to: a@x.example}}
  - name: not one inside either
    steps:
      - {server: crm, tool: find, args: {id: 7}, result: {email: a@x.example, tier: gold}}
      - {server: hr, tool: find, args: {to: "${token:pii.email}"}}
    expect: {verdict: allow, sent: {to: "${token:pii.email}"}}
  - name: what came back is in both copies
    call: {server: crm, tool: find, args: {id: 7}, result: {email: a@x.example, tier: gold}}
    expect: {verdict: tokenize, rules: [pii.in], returned: {email: "${token:pii.email}", tier: gold}}
  - name: a rule names where its tokens turn back
    steps:
      - {server: billing, tool: get, args: {}, result: {account: "${fake:iban}"}}
      - {server: crm, tool: pay, args: {to: "${token:pii.iban}"}}
    expect: {verdict: allow, sent: {to: "${fake:iban}"}}
  - name: an account is hidden
    call: {server: billing, tool: get, args: {}, result: {account: "${fake:iban}"}}
    expect: {verdict: tokenize, rules: [pii.staff], returned: {account: "${token:pii.iban}"}}
  - name: and nowhere else
    steps:
      - {server: billing, tool: get, args: {}, result: {account: "${fake:iban}"}}
      - {server: billing, tool: pay, args: {to: "${token:pii.iban}"}}
    expect: {verdict: allow, sent: {to: "${token:pii.iban}"}}
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """All detectors."""
    return Engine()


def results(engine: Engine, *tests: str) -> list[tuple[str, ...]]:
    """What each further test complains of."""
    text = PERSONAL + "".join(f"  - {{name: t{number}, {test}}}\n" for number, test in enumerate(tests))
    found = cases.run(load_texts([("p.yaml", text)], engine.kinds), engine, redact_value)
    assert [each.differences for each in found[: len(found) - len(tests)] if not each.has_passed] == []
    return [each.differences for each in found[len(found) - len(tests) :]]


def test_a_policy_shows_by_its_tests_what_becomes_of_values(engine: Engine) -> None:
    """Tests say which value got which token, where it turned back, and where not."""
    assert results(engine) == []


def test_a_wrong_test_is_told_without_a_value(engine: Engine) -> None:
    """A test that expects another token, or names one that nothing made, says so in words."""
    one, other, none = results(
        engine,
        "call: {server: web, tool: t, args: {x: a@x.example}}, expect: {verdict: tokenize, sent: {x: '${token:pii.card}'}}",
        "call: {server: web, tool: t, args: {x: a@x.example}}, expect: {verdict: redact}",
        "call: {server: web, tool: t, args: {x: '${token:pii.email#2}'}}, expect: {verdict: allow}",
    )
    assert one == ("sent: at $.x: expected a text of 17 characters, got a text of 18 characters",)
    assert other == ("verdict: expected redact, got tokenize",)
    assert none == ("${token:pii.email#2} names no token that an earlier step of this test made",)


def complaints(rule: str) -> list[str]:
    """What is said of a file with this rule alone, errors or else warnings."""
    text = HEAD + f"rules:\n  - {{id: a, title: t, {rule}}}\n"
    return said(text) or [each for each in warned(text) if "no-default" not in each]


@pytest.mark.parametrize(
    ("rule", "place", "code", "text"),
    [
        ("match: {server: x}, action: tokenize", "4:5", "invalid", "nothing to tokenize otherwise"),
        ("match: {server: x}, when: {detect: {any: pii}}, action: redact, restore: {server: y}", "4:5", "invalid", "'restore'"),
        ("when: {detect: {any: pii}}, action: tokenize, restore: {server: [crm], client: a}", "", "unverified-identity", ""),
        ("when: {detect: {any: pii}}, action: tokenize, restore: {direction: response}", "", "never-matches", "'direction'"),
        ("when: {detect: {any: pii}}, action: tokenize, restore: {}", "", "invalid", "this is empty"),
        ("when: {detect: {any: pii}}, action: tokenize", "4:59", "never-restored", "add 'restore: {server: ...}'"),
        ("match: {direction: request}, when: {detect: {any: pii}}, action: tokenize", "", "never-restored", ""),
        ("match: {server: x}, when: {detect: {any: pii}}, action: tokenize", "", "never-restored", ""),
    ],
)
def test_what_cannot_work_is_told_with_its_place(rule: str, place: str, code: str, text: str) -> None:
    """A rule whose tokens could never turn back, or would on a claim, is found before it judges anything."""
    told = complaints(rule)
    assert len(told) == 1
    assert f"[{code}]" in told[0] and text in told[0] and place in told[0]


@pytest.mark.parametrize(
    "rule",
    [
        "match: {direction: response}, when: {detect: {any: pii}}, action: tokenize",
        "match: {direction: request, server: web}, when: {detect: {any: pii}}, action: tokenize",
        "unless: {server: crm}, when: {detect: {any: pii}}, action: tokenize",
    ],
)
def test_what_works_is_not_complained_of(rule: str) -> None:
    """A rule that says by its own match where values may go needs no 'restore'."""
    assert complaints(rule) == []
