"""Reading policies: what a user is told, and where."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import PolicyError
from sidecar.limits import POLICY_FILE_BYTES_MAX
from sidecar.policy.conditions.detect import DetectCondition
from sidecar.policy.load import check_policies, load_policies, load_texts, starter_is_off
from sidecar.settings import shipped

KINDS = frozenset({"secrets.aws-key", "secrets.github-token", "pii.card"})
HEAD = "version: 1\npolicy: p\n"
RULE = "  - {id: a, title: t, match: {server: crm}, action: log}\n"
GOOD = HEAD + "access: {default: allow}\nrules:\n" + RULE
OTHER = "version: 1\npolicy: q\nrules:\n" + RULE.replace("id: a", "id: b")


def said(text: str, name: str = "b.yaml") -> list[str]:
    """Every error in one text, as a user reads it."""
    try:
        load_texts([(name, text)], KINDS)
    except PolicyError as error:
        return [str(problem) for problem in error.problems]
    return []


def warned(text: str) -> list[str]:
    """Every warning about one text."""
    return [str(problem) for problem in load_texts([("b.yaml", text)], KINDS).warnings]


def write(folder: Path, **files: str) -> Path:
    """A folder with these policy files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_wrong_word_is_named_with_a_suggestion() -> None:
    """A mode that does not exist is refused, and the one that was meant is offered."""
    assert said(HEAD + "mode: enforced\n") == [
        (
            "b.yaml:3:7: error[unknown-value]: mode: 'enforced' is not one of 'off', 'monitor' or 'enforce'; did "
            "you mean 'enforce'?"
        )
    ]


def test_an_unknown_field_is_named_with_a_suggestion() -> None:
    """A field with a typo is refused rather than ignored."""
    text = HEAD + "rules:\n  - id: a\n    title: t\n    match: {server: x}\n    acton: log\n    action: log\n"
    known = "action, id, match, message, mode, on_error, refs, restore, severity, title, unless, when"
    mean = "did you mean 'action'?"
    assert said(text) == [
        f"b.yaml:7:5: error[unknown-field]: rules.0.acton: 'acton' is not a field here; {mean} (known here: {known})"
    ]


def test_redact_without_detectors_is_refused() -> None:
    """A rule that could never redact anything says so."""
    text = HEAD + "rules:\n  - {id: a, title: t, match: {server: x}, action: redact}\n"
    assert said(text) == [
        "b.yaml:4:5: error[invalid]: rules.0: action redact needs 'when.detect': there is nothing to redact otherwise"
    ]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("call.tols == 'x'", "column 5: unknown name 'call.tols'; did you mean 'call.tool'?"),
        (
            "true && result.bytes > 5",
            "column 15: 'result.bytes' does not exist yet in a request; set match.direction: response",
        ),
        ("session.labels.size() > 0", "column 8: 'session.labels' is not supported yet; remove it"),
        (
            "call.bytes > 'x'",
            "column 12: '>' does not take (int, string); convert one side, for example with double(...) or string(...)",
        ),
        ("call.args.flag", "column 1: this gives dyn, not true or false; compare it with something"),
        ("call.tool == 'a' and call.server == 'b'", "column 18: 'and' is not CEL; write '&&'"),
        ("call.tool = 'a'", "column 11: '=' is not CEL; write '=='"),
        ("call.tool ==", "column 13: something is missing at the end; complete the expression"),
        (
            "call == 'a'",
            "column 1: 'call' alone has no value; write one of call.args, call.bytes, call.method, call.server",
        ),
        ("'x' in lists.insde", "column 13: unknown name 'lists.insde'; did you mean 'lists.inside'?"),
        ("call.tool.startWith('x')", "column 20: unknown name 'startWith'; did you mean 'startsWith'?"),
        ("call.tool.matches('(')", "column 19: the regular expression '(' is not valid RE2"),
        ("now.getHours('Europe/Pariz') > 3", "column 14: 'Europe/Pariz' is not a time zone"),
        ("(" * 200 + "true" + ")" * 200, "column 1: this is nested too deeply; split the rule"),
    ],
)
def test_a_wrong_expression_is_an_error_with_its_column(expr: str, expected: str) -> None:
    """A mistake in an expression is found when the file is loaded, not when a call meets it."""
    text = HEAD + f'lists: {{inside: [crm]}}\nrules:\n  - id: a\n    title: t\n    when: {{expr: "{expr}"}}\n    action: log\n'
    (only,) = said(text)
    assert only.startswith(f"b.yaml:7:18: error[expr]: {expected}")


def test_a_result_may_be_asked_of_in_answers() -> None:
    """The same expression is right once the rule is about answers."""
    rule = "rules:\n  - {id: a, title: t, match: {direction: response}, when: {expr: result.bytes > 5}, action: log}\n"
    assert said(HEAD + rule) == []


def test_a_column_in_a_long_expression_has_a_line() -> None:
    """In an expression of several lines the line is told too."""
    text = HEAD + (
        "rules:\n  - id: a\n    title: t\n    action: log\n    when:\n      expr: |\n        true &&\n        "
        "call.tols == 'x'\n"
    )
    assert "line 2, column 5: unknown name 'call.tols'" in said(text)[0]


def test_a_pattern_in_a_long_expression_has_a_line() -> None:
    """A regular expression that is none is found where it stands."""
    text = (
        HEAD
        + "rules:\n  - id: a\n    title: t\n    action: log\n    when:\n      expr: |\n        true &&\n"
        + "        call.tool.matches('(')\n"
    )
    assert said(text)[0].endswith("line 2, column 19: the regular expression '(' is not valid RE2")


def test_an_unknown_detector_is_named_with_a_suggestion() -> None:
    """A detector that does not exist would never find anything, so it is refused."""
    text = HEAD + "rules:\n  - {id: a, title: t, when: {detect: {any: [secret.aws-key]}}, action: log}\n"
    assert said(text) == [
        "b.yaml:4:45: error[unknown-detector]: 'secret.aws-key' names no detector; did you mean 'secrets.aws-key'?"
    ]


@pytest.mark.parametrize("names", ["secrets", "secrets.*", "[pii.card, secrets]", "'*'", "secrets.aws-key"])
def test_detectors_are_named_whole_by_prefix_or_by_glob(names: str) -> None:
    """One word stands for a family of detectors."""
    policies = load_texts(
        [("b.yaml", HEAD + f"rules:\n  - {{id: a, title: t, when: {{detect: {{any: {names}}}}}, action: log}}\n")],
        KINDS,
    )
    detect = policies.rules[0].condition(DetectCondition)
    assert detect is not None
    assert "secrets.aws-key" in detect.kinds


@pytest.mark.parametrize("method", ["notifications/*", "tools/list", "[ping, initialize]"])
def test_a_rule_that_can_never_match_is_refused(method: str) -> None:
    """A tool beside a method that carries none is a rule that looks healthy and never fires."""
    text = HEAD + f"rules:\n  - {{id: a, title: t, match: {{method: {method}, tool: x}}, action: log}}\n"
    assert "error[never-matches]: 'tool' is set but no method in [" in said(text)[0]


@pytest.mark.parametrize("method", ["tools/call", "tools/*", "'*'", "resources/read", "notifications/resources/updated"])
def test_a_method_that_names_something_may_stand_beside_a_tool(method: str) -> None:
    """Calls, prompts, resources and their notifications carry a name."""
    assert said(HEAD + f"rules:\n  - {{id: a, title: t, match: {{method: {method}, tool: x}}, action: log}}\n") == []


def test_access_to_answers_is_refused() -> None:
    """Access is decided before there is an answer."""
    text = HEAD + "access: {default: allow, deny: [{id: a, match: {direction: response, server: x}}]}\n"
    assert "b.yaml:3:60: error[never-matches]: access is decided on requests only" in said(text)[0]


@pytest.mark.parametrize(
    "part",
    [
        "rules:\n  - {id: a, title: t, match: {server: x}, unless: {client: trusted}, action: log}\n",
        "access: {default: deny, allow: [{id: a, match: {client: trusted}}]}\n",
        "access: {default: deny, allow: [{id: a, expr: 'client.name == \"trusted\"'}]}\n",
    ],
)
def test_what_a_client_calls_itself_cannot_relax_anything(part: str) -> None:
    """Anybody can claim a client's name, so it may narrow a rule but never open a door."""
    expected = "error[unverified-identity]: client names are self-declared, so they cannot relax a rule; match on user or group"
    assert expected in said(HEAD + part)[0]


def test_an_id_is_defined_once() -> None:
    """The second definition is refused and points at the first, also in another file and in access."""
    assert said(HEAD + "rules:\n" + RULE + RULE) == [
        "b.yaml:5:10: error[duplicate-rule]: 'a' is already defined at line 4; give one of the two another name"
    ]
    other = "version: 1\npolicy: q\naccess: {default: allow, deny: [{id: a, match: {server: x}}]}\n"
    with pytest.raises(PolicyError, match=r"b.yaml:4:10: error\[duplicate-rule\]: 'a' is already defined at a.yaml:3"):
        load_texts([("a.yaml", other), ("b.yaml", HEAD + "rules:\n" + RULE)], KINDS)


def test_only_one_file_sets_the_default() -> None:
    """Two defaults would make the order of files matter."""
    second = "version: 1\npolicy: q\naccess: {default: deny}\n"
    with pytest.raises(PolicyError, match=r"c.yaml:3:19: error\[duplicate-default\]: .* at a.yaml:3; exactly one"):
        load_texts([("a.yaml", HEAD + "access: {default: allow}\n"), ("c.yaml", second)], KINDS)


def test_no_default_is_said() -> None:
    """Without a default everything is allowed, and the check says so."""
    assert "warning[no-default]: no file sets access.default" in warned(HEAD + "rules:\n" + RULE)[0]
    assert warned(GOOD) == []


def test_an_enforced_rule_needs_a_test() -> None:
    """What blocks calls was tried before, and an ordinary call was shown to pass."""
    text = HEAD + "mode: enforce\nrules:\n" + RULE
    assert said(text) == [
        (
            "b.yaml:2:9: error[untested]: 'p' is enforced but no test shows an ordinary call that passes; add one "
            "with verdict: allow"
        ),
        "b.yaml:5:5: error[untested]: 'a' is enforced but no test expects it; add a test whose expect.rules names it",
    ]
    tests = "tests:\n  - {name: n, call: {server: crm}, expect: {verdict: allow, rules: [a]}}\n"
    assert said(text + tests) == []


@pytest.mark.parametrize(
    ("part", "place", "name"),
    [
        ("uses: [pack/leaks@1]", "3:1", "uses"),
        ("override: {a: {mode: enforce}}", "3:1", "override"),
        *[
            (
                f"rules:\n  - {{id: a, title: t, match: {{server: x}}, {field}, action: log}}",
                "4:43",
                field.partition(":")[0],
            )
            for field in ("except: []", "rollout: {}", "label: x", "approval: {}", "quarantine: 1h", "locked: true")
        ],
        *[
            (f"rules:\n  - {{id: a, title: t, when: {{{name}: x}}, action: log}}", "4:30", name)
            for name in ("volume", "baseline", "first_seen", "labels", "carries", "any", "not")
        ],
        ("rules:\n  - {id: a, title: t, when: {detect: {any: secrets, across: 5m}}, action: log}", "4:53", "across"),
        *[
            (f"rules:\n  - {{id: a, title: t, when: {{detect: {{any: secrets}}}}, action: {name}}}", "4:63", name)
            for name in ("require_approval", "quarantine")
        ],
        ("tests:\n  - {name: n, given: {seen: []}, call: {server: x}, expect: {verdict: allow}}", "4:23", "seen"),
        ("tests:\n  - {name: n, call: {server: x}, expect: {verdict: allow, excepted: []}}", "4:59", "excepted"),
        ("tests:\n  - {name: n, call: {server: x}, expect: {verdict: quarantine}}", "4:52", "quarantine"),
    ],
)
def test_what_is_not_built_yet_is_refused_by_name(part: str, place: str, name: str) -> None:
    """A part of the format that this version cannot keep is never silently ignored."""
    (only,) = said(HEAD + part + "\n")
    assert only.startswith(f"b.yaml:{place}: error[not-supported-yet]: ")
    assert f"'{name}' is not supported yet" in only


def test_a_rule_that_only_labels_gets_one_complaint() -> None:
    """A rule made wholly of parts that are not built is refused for those parts, not for what then is missing."""
    text = HEAD + "rules:\n  - {id: a, title: t, match: {server: x}, label: y}\n"
    assert len(said(text)) == 1


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("rules: [{id: a, title: t, action: log}]", "a rule needs 'match' or 'when'"),
        ("rules: [{id: a, title: t, match: {}, action: log}]", "this is empty; give it a field such as 'server:'"),
        ("rules: [{id: a, title: t, when: {}, action: log}]", "this is empty; give it 'detect', 'expr', 'rate' or"),
        ("rules: [{id: a b, title: t, match: {server: x}, action: log}]", "'a b' is not an id"),
        ("rules: [{id: access.default, title: t, match: {server: x}, action: log}]", "'access.default' is not an id"),
        (
            "rules: [{id: a, title: t, match: {server: x}, action: log, message: '{rul} x'}]",
            "{rul} is not a placeholder; did you mean 'rule'?",
        ),
        ("rules: [{id: a, title: t, match: {hours: {between: 9-17}}, action: log}]", "'9-17' is not a time range"),
        ("rules: [{id: a, title: t, match: {hours: {zone: Paris}}, action: log}]", "'Paris' is not a time zone"),
        (
            "rules: [{id: a, title: t, when: {rate: {per: tool, over: 2w, above: 1}}, action: log}]",
            "'2w' is not a duration",
        ),
        (
            "rules: [{id: a, title: t, when: {rate: {per: tool, over: 2d, above: 1}}, action: log}]",
            "longer than the longest window",
        ),
        (
            "rules: [{id: a, title: t, when: {rate: {per: client, over: 1m, above: 1}}, action: log}]",
            "'client' is not one of 'session'",
        ),
        ("rules: [{id: a, title: t, when: {detect: {any: pii, where: body}}, action: log}]", "'body' is not a path"),
        (
            "rules: [{id: a, title: t, when: {detect: {any: pii, profile: strickt}}, action: log}]",
            "'strickt' is not one of 'strict' or 'default'; did you mean 'strict'?",
        ),
        ("rules: [{id: a, title: t, when: {detect: {any: []}}, action: log}]", "rules.0.when.detect.any"),
        ("lists: {a-b: [x]}", "'a-b' cannot be written as lists.NAME"),
        ("tests: [{name: n, expect: {verdict: allow}}]", "a test needs either 'call' or 'steps'"),
        ("tests: [{name: n, call: {server: x, at: noon}, expect: {verdict: allow}}]", "'noon' is not a date and time"),
        (
            "tests: [{name: n, call: {server: x}, expect: {verdict: allow, rules: [aa]}}]",
            "'aa' is not a rule of this file",
        ),
        (
            "tests: [{name: n, call: {server: x, args: {a: '${fake:aws_kee}'}}, expect: {verdict: allow}}]",
            "did you mean 'aws_key'?",
        ),
        ("tests: [{name: n, call: {server: x}, expect: {verdict: allow, message: '('}}]", "error[bad-regex]"),
        (
            "tests: [{name: n, call: {server: x, repeat: 1001}, expect: {verdict: allow}}]",
            "a test has at most 1000 calls",
        ),
        ("access: {deny: [{id: a}]}", "an entry needs 'match' or 'expr'"),
    ],
)
def test_other_mistakes_say_what_to_write_instead(part: str, expected: str) -> None:
    """Whatever is wrong in a file, the message names it."""
    assert expected in "\n".join(said(HEAD + part + "\n"))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            "rules: [{id: a, title: t, match: {method: tool/call}, action: log}]",
            "warning[unknown-method]: no revision of MCP has the method 'tool/call'; did you mean 'tools/call'?",
        ),
        (
            "rules: [{id: a, title: t, when: {expr: call.args.amount == 1}, action: log}]",
            (
                "warning[missing-key]: 'amount' may be missing, and then the expression is false; say so with "
                "has(call.args.amount)"
            ),
        ),
        (
            "mode: off\nrules: [{id: a, title: t, mode: monitor, match: {server: x}, action: log}]",
            "warning[mode-off]: the file is off, but 'a' has a mode of its own",
        ),
        ("access: {default: allow, allow: [{id: a, match: {server: x}}]}", "warning[no-effect]: 'a' changes nothing"),
    ],
)
def test_what_is_odd_but_valid_is_a_warning(part: str, expected: str) -> None:
    """A warning does not stop a policy, but the check shows it."""
    assert expected in "\n".join(warned(HEAD + part + "\n"))


def test_a_guarded_argument_is_no_warning() -> None:
    """Who writes has(...) has thought of the missing key."""
    text = HEAD + (
        "access: {default: allow}\nrules: [{id: a, title: t, when: {expr: has(call.args.n) && call.args.n == "
        "1}, action: log}]\n"
    )
    assert warned(text) == []


def test_servers_that_are_not_configured_are_warned_of(tmp_path: Path) -> None:
    """A server's name with a typo is noticed where the names are known."""
    policies = load_policies(write(tmp_path, a=GOOD.replace("crm", "crn")), KINDS, ["crm", "mail"])
    assert "no configured server is called 'crn'; did you mean 'crm'?" in str(policies.warnings[0])
    assert load_policies(tmp_path, KINDS).warnings == ()


def test_a_newer_format_is_refused() -> None:
    """A file for a later version is not half understood."""
    assert said("version: 2\npolicy: p\n") == [
        "b.yaml:1:10: error[newer-version]: version 2 of the format needs a newer sidecar; this one reads 1"
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "word\n"])
def test_a_file_without_a_policy_is_refused(text: str) -> None:
    """A file that an editor has just emptied is not an empty policy."""
    assert "begin with 'version: 1' and 'policy: NAME'" in said(text)[0]


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    """Who mends policies sees everything that is wrong, in order of place."""
    write(tmp_path, a=HEAD + "mode: no\nseverity: huge\n", b=HEAD + "rules: 5\n")
    with pytest.raises(PolicyError) as caught:
        load_policies(tmp_path, KINDS)
    assert [(Path(each.file).name, each.line) for each in caught.value.problems] == [
        ("a.yaml", 3),
        ("a.yaml", 4),
        ("b.yaml", 3),
    ]


def test_a_folder_without_policies_is_one_clear_message(tmp_path: Path) -> None:
    """Nothing to judge by is an error, never a silent open door."""
    for folder, code in (
        (tmp_path / "none", "no-folder"),
        (tmp_path, "no-policies"),
        (write(tmp_path / "f", a="") / "a.yaml", "unreadable"),
    ):
        with pytest.raises(PolicyError) as caught:
            load_policies(folder, KINDS)
        assert [each.code for each in caught.value.problems] == [code]
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_too_large_is_one_clear_message(tmp_path: Path) -> None:
    """Binary rubbish and runaway files are named, not read."""
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.yaml").write_bytes(b"#" * (POLICY_FILE_BYTES_MAX + 1))
    (tmp_path / "c.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(PolicyError) as caught:
        load_policies(tmp_path, KINDS)
    assert [each.code for each in caught.value.problems] == ["unreadable", "too-large", "no-file"]


def test_a_config_map_is_read_once(tmp_path: Path) -> None:
    """Kubernetes keeps files in a hidden folder behind a link: each counts once, a swapped link is a new version."""
    write(tmp_path / "..2026_01", a=GOOD)
    write(tmp_path / "..2026_02", a=GOOD.replace("crm", "mail"))
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    first = load_policies(tmp_path, KINDS)
    (tmp_path / "..new").symlink_to("..2026_02")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    second = load_policies(tmp_path, KINDS)
    assert [name for name, _ in first.files] == ["a.yaml"]
    assert first.warnings == ()
    assert first.version != second.version
    assert "mail" in second.files[0][1]


def test_only_policies_at_the_top_are_read_and_the_others_named(tmp_path: Path) -> None:
    """Examples, notes and hidden files are left alone; policies in a folder below are not silently forgotten."""
    write(tmp_path, a=GOOD)
    for name in (".hidden.yaml", "notes.md", "b.yaml.example"):
        (tmp_path / name).write_text("not a policy: [")
    write(tmp_path / "team", c="not a policy: [")
    (tmp_path / "empty").mkdir()
    policies = load_policies(tmp_path, KINDS)
    assert [name for name, _ in policies.files] == ["a.yaml"]
    assert [str(each) for each in policies.warnings] == [
        (
            f"{tmp_path / 'team'}: warning[ignored]: policies in subfolders are not read; move them up, or name "
            f"this folder with 'policies:'"
        )
    ]


def test_several_folders_judge_as_one(tmp_path: Path) -> None:
    """Policies of all folders are in force, files of one name are told apart, and what is wrong is told of every folder."""
    two = [write(tmp_path / "one" / "p", a=GOOD), write(tmp_path / "two" / "p", a=OTHER)]
    policies = load_policies([*two, two[0]], KINDS)
    assert [rule.id for rule in policies.rules] == ["a", "b"]
    assert [name for name, _ in policies.files] == ["p/a.yaml", "2-p/a.yaml"]
    with pytest.raises(PolicyError) as caught:
        load_policies([tmp_path / "none", *two, tmp_path / "neither"], KINDS)
    assert [Path(each.file).name for each in caught.value.problems] == ["none", "neither"]


def test_starter_policies_that_are_all_off_are_noticed(tmp_path: Path) -> None:
    """A copy of a starter policy counts as one; a folder of others alone does not."""
    folder = write(tmp_path / "mine", a=OTHER)
    assert starter_is_off(load_policies(folder, KINDS))
    shutil.copy(shipped("policies") / "access.yaml", folder)
    assert not starter_is_off(load_policies(folder, KINDS))


def test_the_version_is_of_names_and_texts(tmp_path: Path) -> None:
    """The same texts are the same version wherever they lie; any change is another."""
    one = load_policies(write(tmp_path / "one", a=GOOD), KINDS)
    two = load_policies(write(tmp_path / "two", a=GOOD), KINDS)
    renamed = load_policies(write(tmp_path / "three", b=GOOD), KINDS)
    changed = load_policies(write(tmp_path / "four", a=GOOD + "\n"), KINDS)
    assert one.version == two.version
    assert len({one.version, renamed.version, changed.version}) == 3
    assert len(one.version) == 12
    assert int(one.version, 16) >= 0


def test_check_takes_files_and_folders_together(tmp_path: Path) -> None:
    """What is named on the command line is checked as one set, each file once, and every problem told."""
    folder = write(
        tmp_path / "p", a=GOOD, b="version: 1\npolicy: q\nrules: [{id: a, title: t, match: {server: x}, action: log}]\n"
    )
    policies, problems = check_policies([folder, folder / "a.yaml", tmp_path / "gone.yaml"], KINDS)
    assert policies is None
    assert [each.code for each in problems] == ["no-file", "duplicate-rule"] or [each.code for each in problems] == [
        "duplicate-rule",
        "no-file",
    ]
    assert check_policies([folder / "a.yaml"], KINDS)[0] is not None


@pytest.mark.parametrize("depth", [61, 5_000, 200_000])
def test_very_deep_text_is_refused_before_it_can_hurt(depth: int) -> None:
    """A file nested thousands deep would end a recursive parser, and with it the process."""
    assert said("a: " + "[" * depth + "]" * depth) == [
        "b.yaml:1:63: error[syntax]: nested more than 60 levels deep; flatten it"
    ]


def test_aliases_are_refused() -> None:
    """Aliases of aliases grow without bound when they are written out."""
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert said("a0: &a0 [x]\n" + levels) == ["b.yaml:2:10: error[alias]: aliases are not supported; write the value out"]


WORDS = st.sampled_from(
    [
        *"version policy mode rules tests access lists id title match when detect expr rate any per over above".split(),
        *"action where allow deny default server tool hours between zone days call steps expect verdict rules".split(),
        *"sent name args result monitor enforce off block redact log 1 1m 9.5 true null secrets tools/call".split(),
        *"* [ ] { } : , - ' \" | > & ! % # @ `".split(),
        *["\n", ""],
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join), st.lists(WORDS).map("".join)))
def test_hostile_text_is_only_ever_a_policy_error(text: str) -> None:
    """No text that somebody saves as a policy can do more than be refused with a message."""
    for candidate in (text, HEAD + text, HEAD + "rules:\n  - " + text, HEAD + "tests:\n  - " + text):
        said(candidate)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["rules", "tests", "access", "lists", "mode"]), NESTED)
def test_hostile_structure_is_only_ever_a_policy_error(field: str, value: object) -> None:
    """Any value in any place of a file is refused with its place, or is valid."""
    said(HEAD + f"{field}: {json.dumps(value)}\n")


def test_a_rule_about_people_warns_while_nobody_is_known(tmp_path: Path) -> None:
    """Until identities are verified, a rule for a group would look healthy and protect nothing, so the check says so."""
    rule = "rules:\n  - {id: a, title: t, match: {group: contractors}, action: log}\n"
    (tmp_path / "a.yaml").write_text(HEAD + rule)
    _, problems = check_policies([tmp_path], frozenset({"secrets.x"}))
    assert [str(each) for each in problems if each.code == "no-identity" and each.is_warning]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("when: {definition: change}", "4:42: error[unknown-value]: rules.0.when.definition: 'change' is not one of"),
        ("when: {definition: []}", "rules.0.when.definition"),
        (
            "match: {direction: request}, when: {definition: changed}",
            "4:42: error[never-matches]: definitions come in responses",
        ),
        ("match: {method: tools/call}, when: {definition: new}", "4:39: error[never-matches]: no definition comes in"),
        ("when: {definition: new, rate: {per: tool, over: 1m, above: 3}}", "error[never-matches]: 'rate' counts calls"),
        ("when: {expr: 'definition.destructive'}", "'definition.destructive' does not exist yet in a request"),
        (
            "match: {direction: response}, when: {expr: 'definition.descripton == \"\"'}",
            "did you mean 'definition.description'?",
        ),
        ("match: {direction: response}, when: {expr: 'definition.digest > 3'}", "'>' does not take"),
    ],
)
def test_mistakes_in_rules_about_definitions_are_named(rule: str, expected: str) -> None:
    """What can never hold, and names that do not exist, are errors with their place."""
    problems = said(HEAD + f"rules:\n  - {{id: a, title: t, {rule}, action: log}}\n")
    assert any(expected in each for each in problems), problems


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("{server: x, tool: t, definition: {}}", "a definition comes in a list; add 'method: tools/list or prompts/list'"),
        ("{server: x, method: tools/list, definition: {}}", "a definition has a name; add 'tool: NAME'"),
        ("{server: x, tool: t, method: tools/list, definition: {digst: a}}", "did you mean 'digest'?"),
        ("{server: x, tool: t, method: tools/list, definition: {new: true, previous_digest: a}}", "remove one of the two"),
    ],
)
def test_mistakes_in_tests_of_definitions_are_named(call: str, expected: str) -> None:
    """A test that could not mean anything is refused."""
    problems = said(HEAD + f"tests:\n  - {{name: n, call: {call}, expect: {{verdict: allow}}}}\n")
    assert any(expected in each for each in problems), problems


def test_a_rule_about_definitions_may_name_tools() -> None:
    """A tool beside tools/list can never match a message, but it can match what the list defines."""
    match = "match: {direction: response, method: tools/list, tool: 'x_*'}"
    rule = HEAD + f"rules:\n  - {{id: a, title: t, {match}, when: {{expr: EXPR}}, action: log}}\n"
    assert said(rule.replace("EXPR", "'!definition.read_only'")) == []
    (only,) = said(rule.replace("EXPR", "'call.tool == \"definition.x\"'"))
    assert "error[never-matches]" in only, "a text that only speaks of a definition makes no such rule"
