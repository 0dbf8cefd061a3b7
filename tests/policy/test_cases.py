"""Tests inside policy files: run through the real path, and told without values."""

import json

import pytest

from sidecar.act.redact import redact_value
from sidecar.detect import IDS, Engine
from sidecar.policy import cases, fakes
from sidecar.policy.cases import Result
from sidecar.policy.load import load_texts

RULES = """
version: 1
policy: p
mode: enforce
rules:
  - id: out
    title: A key leaves
    match: {direction: request}
    when: {detect: {any: secrets.aws-key}}
    action: block
    message: Take the key out of {tool}.
  - id: cut
    title: A key comes
    match: {direction: response}
    when: {detect: {any: secrets.aws-key}}
    action: redact
  - id: failing
    title: A tool failed
    mode: monitor
    match: {direction: response}
    when: {expr: result.is_error}
    action: alert
  - id: often
    title: Often
    mode: monitor
    when: {rate: {per: session, over: 1m, above: 3}}
    action: alert
  - id: noted
    title: Noted
    match: {server: noted}
    action: alert
tests:
  - {name: enough, call: {server: x, args: {a: "${fake:aws_key}"}}, expect: {verdict: block, rules: [out]}}
  - {name: cut, call: {server: x, result: {a: "${fake:aws_key}"}}, expect: {verdict: redact, rules: [cut]}}
  - {name: noted, call: {server: noted}, expect: {verdict: allow, rules: [noted]}}
  - {name: plain, call: {server: x}, expect: {verdict: allow}}
"""


def run(engine: Engine, *tests: str, keyword: str = "") -> list[Result]:
    """The results of these tests, each written as one YAML flow mapping without its name."""
    lines = "".join(f"  - {{name: t{number}, {test}}}\n" for number, test in enumerate(tests))
    return cases.run(load_texts([("p.yaml", RULES + lines)], engine.kinds), engine, redact_value, keyword)[4:]


def differences(engine: Engine, test: str) -> tuple[str, ...]:
    """What one test complains of."""
    return run(engine, test)[0].differences


@pytest.mark.parametrize(
    "test",
    [
        (
            'call: {server: x, tool: t, args: {a: "key ${fake:aws_key}"}}, expect: {verdict: block, rules: [out], '
            "would: [], message: out of t}"
        ),
        (
            'call: {server: x, tool: t, args: {a: 1}, result: {b: "x ${fake:aws_key} y"}}, expect: {verdict: '
            'redact, rules: [cut], sent: {a: 1}, returned: {b: "x [secrets.aws-key] y"}}'
        ),
        'call: {server: x, result: "x ${fake:aws_key}"}, expect: {verdict: redact, returned: "x [secrets.aws-key]"}',
        (
            'call: {server: x, result: [1, "${fake:aws_key}"]}, expect: {verdict: redact, returned: '
            '"[1,\\"[secrets.aws-key]\\"]"}'
        ),
        "call: {server: x, result: {a: 1}, is_error: true}, expect: {verdict: allow, would: [failing]}",
        (
            'call: {server: x, method: resources/read, tool: "file:///a", result: {contents: [{text: '
            '"${fake:aws_key}"}]}}, expect: {verdict: redact, returned: {contents: [{text: "[secrets.aws-key]"}]}}'
        ),
        'call: {server: x, method: prompts/get, tool: p, args: {a: "${fake:aws_key}"}}, expect: {verdict: block}',
        (
            "call: {server: x, method: notifications/message, direction: response, args: {data: "
            '"${fake:aws_key}"}}, expect: {verdict: redact, returned: {data: "[secrets.aws-key]"}}'
        ),
        (
            "call: {server: x, method: sampling/createMessage, direction: response, args: {m: hi}, result: {text: "
            '"${fake:aws_key}"}}, expect: {verdict: block, rules: [out]}'
        ),
        "call: {server: noted}, expect: {verdict: alert, rules: [noted]}",
        "call: {server: x, repeat: 3}, expect: {verdict: allow, would: []}",
        "call: {server: x, repeat: 4}, expect: {verdict: allow, would: [often]}",
        "steps: [{server: x, repeat: 3}, {server: x, session: other}], expect: {verdict: allow, would: []}",
        (
            'steps: [{server: x, repeat: 3, at: "2026-11-23T10:00:00+00:00"}, {server: x, at: '
            '"2026-11-23T10:01:00+00:00"}], expect: {verdict: allow, would: []}'
        ),
        'steps: [{server: x, args: {a: "${fake:aws_key}"}}, {server: x}], expect: {verdict: allow, rules: []}',
    ],
)
def test_a_test_passes_as_a_live_call_would(engine: Engine, test: str) -> None:
    """Calls, answers, messages of servers, all methods, and several calls in a row are judged as live ones are."""
    assert differences(engine, test) == ()


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("call: {server: x}, expect: {verdict: block}", ["verdict: expected block, got allow"]),
        (
            "call: {server: x}, expect: {verdict: allow, rules: [out], would: [often]}",
            ["rules: expected out, got none", "would: expected often, got none"],
        ),
        ("call: {server: noted}, expect: {verdict: log}", ["verdict: expected log, got alert"]),
        (
            'call: {server: x, args: {a: "${fake:aws_key}"}}, expect: {verdict: block, message: sorry}',
            ["message: expected 'sorry', got 'Take the key out of .'"],
        ),
        (
            'call: {server: x, args: {a: "${fake:aws_key}"}}, expect: {verdict: block, sent: {}}',
            ["sent: expected a payload, got nothing: it was stopped, or the step has no 'result'"],
        ),
        (
            "call: {server: x}, expect: {verdict: allow, returned: {}}",
            ["returned: expected a payload, got nothing: it was stopped, or the step has no 'result'"],
        ),
        (
            (
                "call: {server: x, args: {a: hidden, b: 1, d: [1], e: {f: hidden}}}, expect: {verdict: allow, "
                "sent: {a: other, b: 2, c: 3, d: [1, 2], e: [], g: null}}"
            ),
            [
                "sent: at $.a: expected a text of 5 characters, got a text of 6 characters",
                "sent: at $.b: expected a number, got another",
                "sent: at $.c: missing",
                "sent: at $.d: expected a list of 2, got a list of 1",
                "sent: at $.e: expected a list of 0, got a mapping",
                "sent: at $.g: missing",
            ],
        ),
    ],
)
def test_a_failing_test_says_what_was_expected_and_what_came(engine: Engine, test: str, said: list[str]) -> None:
    """The difference is told by rule, place and kind, never by what stood there."""
    assert list(differences(engine, test)) == said
    assert "hidden" not in repr(said)


@pytest.mark.parametrize(
    ("test", "reasons"),
    [
        (
            "call: {server: x, result: {a: 1}}, expect: {verdict: allow, rules: [out, cut], would: [often]}",
            [
                "cut does not hold for the request: match: another direction",
                "cut does not hold for the response: detect: found no value of these kinds",
                "often does not hold for the request: rate: 1 call in 60 s with the same session; at most 3 allowed",
                "often does not hold for the response: match: another direction",
                "out does not hold for the request: detect: found no value of these kinds",
                "out does not hold for the response: match: another direction",
            ],
        ),
        (
            'call: {server: x, args: {a: "${fake:aws_key}"}}, expect: {verdict: allow}',
            ["out holds for the request: detect: found 1 secrets.aws-key"],
        ),
        (
            "call: {server: x, result: {a: 1}, is_error: true}, expect: {verdict: allow, would: []}",
            [
                "failing does not hold for the request: match: another direction",
                "failing holds for the response: expr: the expression is true",
            ],
        ),
        ('call: {server: x, args: {a: "${fake:aws_key}"}}, expect: {verdict: block, message: sorry}', []),
        ("call: {server: noted}, expect: {verdict: allow, rules: [noted]}", []),
    ],
)
def test_a_failing_test_says_why_its_rules_held_or_did_not(engine: Engine, test: str, reasons: list[str]) -> None:
    """Who wrote the rule sees which part of it did not fit, or what it was that held, and nothing where all is as expected."""
    assert list(run(engine, test)[0].reasons) == reasons


def test_no_value_is_ever_told(engine: Engine) -> None:
    """A test that fails over a made-up credential does not print it."""
    for result in run(
        engine,
        'call: {server: x, result: {a: "${fake:aws_key}"}}, expect: {verdict: allow, returned: {a: "${fake:aws_key}"}}',
    ):
        assert not result.has_passed
        assert fakes.fake("aws_key") not in repr(result)


def test_a_result_names_its_test(engine: Engine) -> None:
    """Who reads the report finds the test."""
    (result,) = run(engine, "call: {server: x}, expect: {verdict: block}")
    assert (result.file, result.policy, result.name, result.column) == ("p.yaml", "p", "t0", 5)
    assert RULES.count("\n") + 1 == result.line


def test_tests_can_be_chosen(engine: Engine) -> None:
    """One test can be run alone by a part of its name."""
    policies = load_texts([("p.yaml", RULES)], engine.kinds)
    assert [each.name for each in cases.run(policies, engine, redact_value, "not")] == ["noted"]
    assert len(cases.run(policies, engine, redact_value, "p.yaml")) == 4
    assert cases.run(policies, engine, redact_value, "nothing like it") == []


def test_a_file_is_tested_alone(engine: Engine) -> None:
    """A default of deny in one file does not fail the tests of another."""
    deny = (
        "version: 1\npolicy: closed\nmode: enforce\naccess: {default: deny, allow: [{id: a, match: {server: "
        "ok}}]}\ntests: [{name: n, call: {server: ok}, expect: {verdict: allow}}]\n"
    )
    results = cases.run(load_texts([("a.yaml", deny), ("p.yaml", RULES)], engine.kinds), engine, redact_value)
    assert [each.differences for each in results] == [()] * 5


def test_a_broken_detector_fails_the_test_and_not_the_program(engine: Engine) -> None:
    """Whatever goes wrong inside a test is that test's failure."""

    class Broken:
        def scan(self, texts: object, custom: object) -> object:
            raise RuntimeError("a value")

    policies = load_texts([("p.yaml", RULES)], engine.kinds)
    results = cases.run(policies, Broken(), redact_value)  # type: ignore[arg-type]
    assert {each.differences for each in results} == {("the test itself failed (RuntimeError); fix its call",)}


EXPECTED_KINDS = {
    "aws_key": "secrets.aws-key",
    "documented_aws_key": "secrets.aws-key",
    "github_token": "secrets.github-token",
    "gitlab_token": "secrets.gitlab-token",
    "google_key": "secrets.google-api-key",
    "jwt": "secrets.jwt",
    "npm_token": "secrets.npm-token",
    "password": "secrets.password",
    "private_key": "secrets.private-key",
    "slack_token": "secrets.slack-token",
    "slack_webhook": "secrets.slack-webhook",
    "stripe_key": "secrets.stripe-key",
    "card": "pii.card",
    "card_number": "pii.card",
    "iban": "pii.iban",
    "ssn": "pii.us-ssn",
    "email": "pii.email",
    "phone": "pii.phone",
    "birth_date": "pii.birth-date",
    "passport": "pii.passport",
    "ip": "pii.ip",
    **{kind.removeprefix("pii.").replace("-", "_"): kind for kind in IDS},
}
FIELDS = {"password": "password", "birth_date": "birth_date"}
FIELDS |= {
    name: IDS[kind].words.partition(",")[0].partition("|")[0]
    for name, kind in EXPECTED_KINDS.items()
    if kind in IDS and name != "ssn"
}
"""What only its name gives away needs its name."""


def test_every_fake_has_a_kind() -> None:
    """A new fake is tried against the detectors."""
    assert set(EXPECTED_KINDS) == set(fakes.NAMES)


@pytest.mark.parametrize("name", fakes.NAMES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_fakes_are_taken_for_real(engine: Engine, name: str, number: int) -> None:
    """What stands for a credential in a test is found as one, whole, and each number is another value."""
    from sidecar.detect import walk

    text = fakes.expand(f"${{fake:{name}#{number}}}") if name != fakes.NUMBER else fakes.expand(f"${{fake:{name}}}")
    field = FIELDS.get(name, "field")
    spans = engine.scan(walk({field: text, "note": "nothing here"})).spans
    assert [(each.kind, each.leaf.path) for each in spans] == [(EXPECTED_KINDS[name], (field,))]
    assert spans[0].is_strict_only is name.startswith("documented")
    if name not in ("slack_webhook", fakes.NUMBER):
        assert spans[0].value == text
    if name != fakes.NUMBER:
        assert fakes.fake(name, number) != fakes.fake(name, number + 1)
        assert fakes.fake(name, number) == text


def test_fakes_stand_anywhere_in_a_value() -> None:
    """Texts, keys, lists and numbers are filled; what is no fake stays."""
    card = fakes.fake("card")
    given = {"a ${fake:card} b": ["${fake:card}", 5, None, "${fake:nothing} ${other}"], "n": "${fake:card_number}"}
    assert fakes.expand(given) == {f"a {card} b": [card, 5, None, "${fake:nothing} ${other}"], "n": int(card)}
    assert fakes.unknown_in(given) == {"nothing"}


def test_no_fake_stands_in_the_source() -> None:
    """Neither this program's files nor its policies hold anything that another scanner would report."""
    from pathlib import Path

    root = Path(__file__).parents[2]
    texts = [
        file.read_text() for folder in ("sidecar/policy", "policies") for file in (root / folder).iterdir() if file.is_file()
    ]
    for name in fakes.NAMES:
        if name not in ("email", fakes.NUMBER):
            assert not any(fakes.fake(name) in text for text in texts)
    assert json.dumps(texts)
