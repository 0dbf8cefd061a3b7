"""The policies that come with the program: valid, tested, and quiet for an agent that does ordinary work."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.act.redact import redact_value
from sidecar.decode.mcp import facts
from sidecar.detect import SIGNALS, Engine, walk
from sidecar.events import Message, Verdict
from sidecar.policy import cases, fakes
from sidecar.policy.check import check_file
from sidecar.policy.conditions.definition import DefinitionCondition
from sidecar.policy.conditions.detect import DetectCondition
from sidecar.policy.conditions.expression import ExpressionCondition
from sidecar.policy.judge import is_listed, judge
from sidecar.policy.load import PolicySet, load_policies, parse
from sidecar.policy.memory import State

FOLDER = Path(__file__).parents[2] / "policies"


@pytest.fixture(scope="module")
def shipped(engine: Engine) -> PolicySet:
    """All of them, loaded as a new installation does."""
    return load_policies(FOLDER, engine.kinds)


def test_they_are_valid_without_a_warning(shipped: PolicySet) -> None:
    """A new installation begins with nothing to mend."""
    assert [name for name, _ in shipped.files] == [
        "access.yaml",
        "definitions.yaml",
        "injection.yaml",
        "personal-data.yaml",
        "runaway.yaml",
        "secrets.yaml",
    ]
    assert shipped.warnings == ()


def test_the_example_of_own_kinds_is_valid_and_only_watches(engine: Engine) -> None:
    """Who copies it has something that works, and that stops nothing before it is told to."""
    example = load_policies(FOLDER.parent / "examples" / "policies", engine.kinds)
    assert [each.code for each in example.warnings] == ["no-default"]
    assert {each.mode for each in example.rules} == {"monitor"}
    assert [each.differences for each in cases.run(example, engine, redact_value)] == [()] * 5


def test_they_pass_their_own_tests(shipped: PolicySet, engine: Engine) -> None:
    """What each file says of itself is so."""
    results = cases.run(shipped, engine, redact_value)
    assert len(results) >= 20
    assert [result for result in results if not result.has_passed] == []


def test_every_rule_is_expected_by_a_test(shipped: PolicySet) -> None:
    """Rules that are only monitored are tried too."""
    expected = {rule for test in shipped.tests for rule in (*(test.case.expect.rules or ()), *(test.case.expect.would or ()))}
    assert {rule.id for rule in shipped.rules} <= expected


def test_no_call_is_stopped_because_of_words_alone(shipped: PolicySet) -> None:
    """Signals of injection never block by themselves, nor is anything taken out, which could end in a block."""
    for rule in shipped.rules:
        detect, definition = rule.condition(DetectCondition), rule.condition(DefinitionCondition)
        is_signal = detect is not None and any(kind.startswith(SIGNALS) for kind in detect.kinds)
        is_signal |= definition is not None and "hidden-text" in definition.signs
        if is_signal and rule.mode == "enforce" and rule.condition(ExpressionCondition) is None:
            assert {rule.action, rule.on_error} <= {"allow", "log", "alert"}, rule.id


def test_each_file_stands_alone() -> None:
    """Any of them can be taken out of the folder without breaking another."""
    for file in FOLDER.glob("*.yaml"):
        source, problems = parse(file.name, file.read_text())
        assert source is not None and not problems
        assert list(check_file(source, ())) == []


def judged(shipped: PolicySet, engine: Engine, state: State, params: dict[str, Any], result: Any = None) -> list[Verdict]:
    """The verdicts on a call and its answer."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    about = facts(asked)
    base: dict[str, Any] = {"server": "any", "method": about.method, "tool": about.tool, "args": about.args, "session": "s"}
    messages = [Message(direction="request", kind="request", payload=asked, **base)]
    if result is not None:
        messages.append(Message(direction="response", kind="result", payload={"id": 1, "result": result}, **base))
    return [judge(shipped, each, engine.scan(walk(each.payload)), state, 0.0, _fingerprint, "enforce") for each in messages]


def _fingerprint(value: str) -> str:
    return f"{hash(value) & (2**64 - 1):016x}"


ORDINARY: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"name": "read_file", "arguments": {"path": "src/app.py"}},
        {"content": [{"type": "text", "text": "import os\nTOKEN = os.environ['API_TOKEN']\n"}]},
    ),
    (
        {"name": "git_log", "arguments": {"max": 3}},
        {
            "content": [
                {
                    "type": "text",
                    "text": "commit 9fceb02d0ae598e95dc970b74767f19372d61af8\nAuthor: Ada <ada@example.org>",
                }
            ]
        },
    ),
    (
        {"name": "query", "arguments": {"sql": "select * from orders where id > 1700000000"}},
        {"structuredContent": {"rows": [[1, 1700000000000000, "5f1c0e9a-2b7d-4c38-9a64-0d3c5be1f7aa"]]}},
    ),
    (
        {
            "name": "send_email",
            "arguments": {
                "to": ["ada@example.org", "bob@example.org"],
                "subject": "Invoice 2026-0117",
                "body": "Dear Ada, please pay 1,250.00 EUR by 2026-12-01.",
            },
        },
        {"content": []},
    ),
    (
        {
            "name": "create_issue",
            "arguments": {
                "title": "Password reset fails",
                "body": "Steps: 1. enter password 2. see error. The api key is not shown.",
            },
        },
        {"content": [{"type": "text", "text": "#4711"}]},
    ),
    (
        {"name": "fetch", "arguments": {"url": "https://example.org/a?page=2&token_type=x#frag"}},
        {"content": [{"type": "text", "text": "<html>" + "lorem ipsum " * 200}]},
    ),
    (
        {"name": "screenshot", "arguments": {}},
        {"content": [{"type": "image", "data": "iVBORw0KGgo" + "AAAA" * 300, "mimeType": "image/png"}]},
    ),
]


def test_an_ordinary_agent_does_not_notice_them(shipped: PolicySet, engine: Engine) -> None:
    """Work as agents do it is passed on unchanged, a hundred times over."""
    state = State()
    for _ in range(100):
        for params, result in ORDINARY:
            for verdict in judged(shipped, engine, state, params, result):
                assert (verdict.action, verdict.redactions) == ("allow", ())


def test_a_secret_neither_leaves_nor_arrives(shipped: PolicySet, engine: Engine) -> None:
    """Whatever the kind of credential, it is stopped on its way out and cut out on its way in."""
    for name in ("aws_key", "github_token", "private_key", "jwt", "slack_token", "stripe_key"):
        secret = fakes.fake(name)
        out, back = judged(
            shipped,
            engine,
            State(),
            {"name": "t", "arguments": {"a": secret}},
            {"content": [{"type": "text", "text": secret}]},
        )
        assert (out.action, out.rule) == ("block", "secrets.out")
        assert (back.action, back.rule) == ("redact", "secrets.in")
        assert secret not in repr((out.findings, out.message, back.findings))


def test_every_ordinary_tool_is_listed(shipped: PolicySet) -> None:
    """Nothing disappears from a list of tools but the example."""
    for tool, expected in (("get_customer", True), ("bash", True), ("example_denied_tool", False)):
        assert is_listed(shipped, Message("any", "request", "request", "tools/call", tool), 0.0) is expected
