"""``detectors`` of policy files: what may be written, what is said when it is wrong, and how tests speak of it."""

import pytest

from sidecar.act.redact import redact_value
from sidecar.detect import Engine
from sidecar.errors import PolicyError
from sidecar.policy import cases
from sidecar.policy.load import PolicySet, load_texts

HEAD = "version: 1\npolicy: p\ndetectors:\n"
RULES = """
rules:
  - id: r
    title: t
    when: {detect: {any: "*"}}
    action: redact
"""


def problems(*texts: str) -> list[str]:
    """Everything said of these files, warnings too, but of the default of access."""
    try:
        found = load_texts([(f"{number}.yaml", text) for number, text in enumerate(texts)], ["pii.email"]).warnings
    except PolicyError as error:
        found = error.problems
    return [str(each) for each in found if each.code != "no-default"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("  a.b: {regex: x}", "4:3: error[invalid]: detectors.a.b: 'a.b' cannot name a detector"),
        ("  pii: {regex: x}", "4:3: error[invalid]: detectors.pii: 'pii' is reserved for built-in findings"),
        ("  a: {}", "4:6: error[invalid]: detectors.a: a detector has one of 'regex', 'keywords' and 'exact', found none"),
        ("  a: {regex: x, keywords: [y]}", "4:6: error[invalid]: detectors.a: a detector has one of"),
        ("  a: {regx: x}", "4:7: error[unknown-field]: detectors.a.regx: 'regx' is not a field here; did you mean 'regex'?"),
        ("  a: {regex: x, within: 9}", "4:6: error[invalid]: detectors.a: 'within' is the distance to words of 'near'"),
        ("  a: {regex: x, checksum: lun}", "error[invalid]: detectors.a.checksum: 'lun' is not one of luhn,"),
        ("  a: {keywords: ['+']}", "4:18: error[invalid]: detectors.a.keywords.0: a word has a letter or digit"),
        ("  a: {regex: x, confidence: 2}", "error[wrong-type]: detectors.a.confidence: found 2,"),
        ("  a: {regex: 'k(?=:)'}", "4:14: error[bad-regex]: detectors.a.regex: character 2: '(?=': RE2 has no look-around"),
        (r"  a: {regex: '(a)\1'}", r"4:14: error[bad-regex]: detectors.a.regex: character 4: '\1': RE2 has no backreferences"),
        ("  a: {regex: 'a++'}", "error[bad-regex]: detectors.a.regex: character 2: '++': RE2 does not backtrack"),
        (r"  a: {regex: '\Aabc'}", "error[bad-regex]: detectors.a.regex: character 1: '\\A': a message has many texts"),
        ("  a: {regex: 'b*'}", "error[bad-regex]: detectors.a.regex: it also matches empty text"),
        ("  a: {regex: '[z-a]'}", "error[bad-regex]: detectors.a.regex: character 2: RE2 says invalid character class range"),
        ("  a: {regex: '(ab'}", "error[bad-regex]: detectors.a.regex: "),
        ("  a: {regex: '(?:(?:a{1,100}){1,10}\\pL{1,900}){1,1}'}", "error[bad-regex]: detectors.a.regex: "),
        (
            "  a: {exact: {file: f, column: c, key: a-key-itself}}",
            "detectors.a.exact.key: this is no reference to a key; write env:NAME",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(written: str, told: str) -> None:
    """Each mistake in an own kind is one line with file, line, column, what is wrong and how to mend it."""
    (said,) = problems(HEAD + written + RULES)
    assert f"0.yaml:{told}" in said or (said.startswith("0.yaml:4:") and told in said)
    assert "a-key-itself" not in said


def test_names_are_checked_over_all_files() -> None:
    """A kind stands in one file and serves the rules of all; one that nobody asks for is warned of."""
    first = HEAD + "  codes: {regex: 'OC-1'}\n  unused: {regex: xyz}\n"
    second = "version: 1\npolicy: q\nrules:\n  - {id: r, title: t, when: {detect: {any: [codes]}}, action: log}\n"
    said = problems(first, second)
    assert len(said) == 1 and said[0].startswith("0.yaml:5:3: warning[unused-detector]: no rule uses 'unused'")
    (clash,) = [each for each in problems(first, second + "detectors:\n  codes: {regex: x}\n") if "error" in each]
    assert clash.startswith("1.yaml:6:3: error[duplicate-detector]: 'codes' is already defined at 0.yaml:4;")
    (unknown,) = problems(second)
    assert "error[unknown-detector]: 'codes' names no detector" in unknown


def test_a_broken_file_does_not_make_rules_of_another_look_wrong() -> None:
    """One mistake is one message: kinds count as named though something else in their file is wrong."""
    second = "version: 1\npolicy: q\nrules:\n  - {id: r, title: t, when: {detect: {any: [codes]}}, action: log}\n"
    (only,) = problems(HEAD + "  codes: {regex: x, nope: 1}\n", second)
    assert "'nope' is not a field here" in only


def test_a_pattern_that_cannot_be_looked_for_with_the_others_is_warned_of() -> None:
    """It works, and its author learns that it costs more."""
    (said,) = problems(HEAD + r"  a: {regex: '[\S,]x{3}'}" + RULES)
    assert said.startswith("0.yaml:4:14: warning[slow-regex]: detectors.a.regex: this pattern cannot run in the shared pass")


TESTED = (
    HEAD
    + """  staff: {regex: '\\bOC-\\d{6}\\b', kind: personal}
  names: {keywords: [Bluefin, Lantern], near: [price], within: 20}
  customers: {exact: {file: c.hmac, column: name, key: env:NO_SUCH_KEY_ANYWHERE}, kind: personal}
mode: enforce
rules:
  - id: own.personal
    title: Somebody
    match: {direction: request}
    when: {detect: {any: [personal], confidence: 0.9}}
    action: redact
  - id: own.names
    title: A name
    match: {direction: request}
    when: {detect: {any: [names]}}
    action: block
tests:
  - name: a number and a name are cut out, and redaction says which
    given: {exact: {customers: [Grace Hopper, "${fake:email}"]}}
    call: {server: s, tool: t, args: {text: OC-123456 is grace hopper at ada.lovelace@example.org}}
    expect: {verdict: redact, rules: [own.personal], sent: {text: "[staff] is [customers] at [customers]"}}
  - name: words need another near
    call: {server: s, tool: t, args: {text: bluefin price}}
    expect: {verdict: block, rules: [own.names]}
  - name: a list that is not given holds nothing
    call: {server: s, tool: t, args: {text: Grace Hopper ate bluefin}}
    expect: {verdict: allow, rules: []}
"""
)


def loaded(text: str) -> PolicySet:
    return load_texts([("p.yaml", text)], ["pii.email"])


def test_tests_of_a_policy_run_without_list_and_key(engine: Engine) -> None:
    """What a list would hold is said in the test, so that it comes out the same on every machine."""
    results = cases.run(loaded(TESTED), engine, redact_value)
    assert [each.differences for each in results] == [(), (), ()]


def test_a_test_that_expects_another_thing_fails(engine: Engine) -> None:
    """Without the value on its list, the test of the list does not pass."""
    results = cases.run(loaded(TESTED.replace("customers: [Grace Hopper,", "customers: [Grace Murray,")), engine, redact_value)
    assert [each.has_passed for each in results] == [False, True, True]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            "{exact: {customer: [Grace Hopper]}}",
            "error[unknown-detector]: 'customer' is not an 'exact' detector; did you mean 'cust",
        ),
        ("{exact: {customers: [Bo]}}", "error[no-value]: a list cannot hold this value"),
        ("{exact: {customers: {a: b}}}", "error[wrong-type]: tests.0.given.exact.customers: found a mapping"),
        ("{exakt: {}}", "error[unknown-field]: tests.0.given.exakt: 'exakt' is not a field here; did you mean 'exact'?"),
    ],
)
def test_what_is_given_is_checked(given: str, told: str) -> None:
    """A name that is no list, or a value that no list can hold, would make a test say nothing."""
    written = TESTED.replace('{exact: {customers: [Grace Hopper, "${fake:email}"]}}', given)
    with pytest.raises(PolicyError) as caught:
        loaded(written)
    assert any(told in str(each) for each in caught.value.problems)
