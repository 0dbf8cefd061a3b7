"""One message, one verdict: the exact meaning of policies."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.events import ACTIONS, Caller, Leaf, Message, Mode, Path, Scan, Span, Verdict
from sidecar.limits import FINDINGS_PER_RULE_MAX
from sidecar.policy import fakes
from sidecar.policy.conditions.detect import DetectCondition
from sidecar.policy.judge import judge
from sidecar.policy.load import PolicySet, load_texts
from sidecar.policy.memory import State

KINDS = frozenset({"secrets.aws-key", "secrets.github-token", "pii.card", "pii.email"})
NOW = 1_795_428_000.0
KEY = fakes.fake("aws_key")
CARD = fakes.fake("card")
ARGS: Path = ("params", "arguments")

RANK = {action: rank for rank, action in enumerate(ACTIONS)} | {"tokenize": ACTIONS.index("redact")}
"""How strict an action is."""

Made = Callable[..., PolicySet]


def call(args: dict[str, Any] | None = None, **changes: Any) -> Message:
    """A call of a tool."""
    args = args or {}
    payload = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "send", "arguments": args}}
    base = Message(
        "mail", "request", "request", "tools/call", "send", args, payload, 100, Caller("ada", ("eng",), "agent"), "s1"
    )
    return replace(base, **changes)


def answer(**changes: Any) -> Message:
    """An answer to a call."""
    return call(direction="response", kind="result", payload={"id": 1, "result": {}}, **changes)


def span(
    kind: str = "secrets.aws-key", value: str = KEY, path: Path = (*ARGS, "body"), confidence: float = 0.99, **leaf: Any
) -> Span:
    """A find in the middle of a text."""
    text = f"a {value} b"
    return Span(kind, Leaf(path, text, **leaf), 2, 2 + len(value), confidence)


def fingerprint(value: str) -> str:
    """Some hash."""
    return f"{hash(value) & (2**64 - 1):016x}"


def judged(
    policies: PolicySet,
    message: Message,
    *spans: Span,
    state: State | None = None,
    now: float = NOW,
    cap: Mode = "enforce",
    skipped: tuple[str, ...] = (),
) -> Verdict:
    """The verdict on a message in which these spans were found."""
    return judge(policies, message, Scan(spans, 100, 0, skipped), state or State(), now, fingerprint, cap)


def cases_for(*ids: str) -> str:
    """The tests that make a file with enforced rules loadable; what they expect is judged elsewhere."""
    return f"""
tests:
  - {{name: ordinary, call: {{server: x}}, expect: {{verdict: allow}}}}
  - {{name: found, call: {{server: x}}, expect: {{verdict: block, rules: [{", ".join(ids)}]}}}}
"""


def rules(*entries: str, head: str = "mode: enforce\n") -> PolicySet:
    """Policies from rules, each written as the inside of a YAML flow mapping."""
    ids = [entry.partition("id: ")[2].partition(",")[0] for entry in entries]
    text = "version: 1\npolicy: p\n" + head + "rules:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries) + cases_for(*ids)
    return load_texts([("p.yaml", text)], KINDS)


BLOCK = (
    "id: out, title: A key, severity: critical, match: {direction: request}, when: {detect: {any: secrets}}, "
    "action: block, message: 'No {kinds} to {tool} on {server}, says {rule}.'"
)
REDACT = "id: cut, title: A card, when: {detect: {any: pii.card}}, action: redact"
TOKENIZE = "id: swap, title: An address, when: {detect: {any: pii.email}}, action: tokenize"
LOG = "id: note, title: Noted, match: {server: mail}, action: log"


def test_nothing_found_is_the_same_verdict_each_time() -> None:
    """A message in which nothing is found is allowed, and its verdict names the policies that said so."""
    policies = rules(BLOCK, REDACT)
    verdict = judged(policies, call())
    assert verdict == Verdict(policy_version=policies.version)
    assert verdict is policies.empty_verdict


def test_where_redact_and_tokenize_meet_nothing_turns_back() -> None:
    """A value that one rule redacts and another gives a token is redacted, in full; what only the other found gets a token."""
    leaf = Leaf((*ARGS, "x"), "0123456789 0123456789")
    cut = Span("pii.card", leaf, 5, 9, 0.9)
    over, alone = Span("pii.email", leaf, 2, 7, 0.9), Span("pii.email", leaf, 11, 21, 0.9)
    policies = rules(REDACT, TOKENIZE, TOKENIZE.replace("swap", "also").replace("pii.email", "[pii.email, pii.card]"))
    verdict = judged(policies, call(), alone, over, cut)
    assert [(each.start, each.end) for each in verdict.redactions] == [(2, 9), (11, 21)]
    assert verdict.tokens == ((alone, ("also", "swap")),)
    told = [(finding.rule, finding.action) for finding in verdict.findings]
    assert told == [*[("also", "tokenize")] * 3, ("cut", "redact"), *[("swap", "tokenize")] * 2]


def test_redact_and_tokenize_are_equally_strict() -> None:
    """Of the two, the severer rule names the verdict, and among equals the first id."""
    found = (span("pii.card", CARD, (*ARGS, "card")), span("pii.email", "a@b.example", (*ARGS, "to")))
    assert judged(rules(REDACT, TOKENIZE), call(), *found).action == "redact"
    severe = TOKENIZE.replace("title: An address", "title: An address, severity: critical")
    assert judged(rules(REDACT, severe), call(), *found).action == "tokenize"
    assert judged(rules(BLOCK, TOKENIZE), call(), *found, span()).action == "block"


def test_tokens_are_for_texts() -> None:
    """A number that leaves cannot become a token, since the server would take it for what was meant: the call is blocked."""
    number = span("pii.email", "12345678", is_text=False)
    verdict = judged(rules(TOKENIZE), call(), number)
    assert (verdict.action, verdict.tokens) == ("block", ())
    assert verdict.message.endswith("(cannot-redact: a value stands where no text can take its place)")
    monitored = judged(rules(TOKENIZE, head="mode: monitor\n"), call(), span("pii.email", "a@b.example"))
    assert (monitored.action, monitored.tokens, monitored.redactions) == ("allow", (), ())


def test_a_finding_carries_no_value() -> None:
    """What is told of a find is kind, place, masked form and keyed fingerprint, and never the find itself."""
    verdict = judged(rules(BLOCK), call(), span(), span(path=(*ARGS, "cc", 0)))
    (finding,) = verdict.findings
    assert (verdict.action, verdict.rule) == ("block", "out")
    assert verdict.message == "No secrets.aws-key to send on mail, says out."
    assert (finding.kind, finding.path, finding.count) == ("secrets.aws-key", "$.params.arguments.body", 2)
    assert (finding.fingerprint, finding.severity, finding.mode) == (fingerprint(KEY), "critical", "enforce")
    assert (finding.policy, finding.title, finding.confidence) == ("p", "A key", 0.99)
    assert KEY not in repr(replace(finding, title="")) + verdict.message
    assert finding.preview.startswith(KEY[:4]) and len(finding.preview) < len(KEY)


def test_a_key_that_is_a_find_does_not_show_in_paths() -> None:
    """Object keys can be secrets too, and stand in the path of everything below them."""
    path = (*ARGS, KEY, "x")
    verdict = judged(
        rules(BLOCK), call(), span(path=path), Span("secrets.aws-key", Leaf(path[:-1], KEY, is_key=True), 0, 20, 0.9)
    )
    assert [each.path for each in verdict.findings] == ["$.params.arguments[secrets.aws-key].x"]
    assert KEY not in repr(verdict.findings)


def test_the_strictest_enforced_action_wins() -> None:
    """Block over redact over alert and log; all that hold are listed."""
    verdict = judged(rules(LOG, REDACT, BLOCK), call(), span(), span("pii.card", CARD))
    assert (verdict.action, verdict.rule) == ("block", "out")
    assert [each.rule for each in verdict.findings] == ["cut", "note", "out"]
    assert judged(rules(LOG, REDACT), call(), span("pii.card", CARD)).action == "redact"
    assert judged(rules(LOG), call()).action == "log"


def test_among_equals_severity_then_id_decides() -> None:
    """Whose message the model reads does not depend on the order of files."""
    entry = "id: {0}, title: t, severity: {1}, match: {{server: mail}}, action: block, message: from {0}"
    three = [entry.format("b", "high"), entry.format("a", "high"), entry.format("A", "low")]
    assert judged(rules(*three), call()).message == "from a"
    assert judged(rules(*reversed(three)), call()).message == "from a"


def test_monitor_says_what_it_would_have_done() -> None:
    """A rule in monitor leaves its finding and nothing else; so does every rule under a cap."""
    watched = rules(BLOCK + ", mode: monitor", LOG)
    verdict = judged(watched, call(), span())
    assert (verdict.action, verdict.rule) == ("log", "note")
    assert [(each.rule, each.mode, each.action) for each in verdict.findings] == [
        ("note", "enforce", "log"),
        ("out", "monitor", "block"),
    ]
    capped = judged(rules(BLOCK, REDACT), call(), span(), span("pii.card", CARD), cap="monitor")
    assert (capped.action, capped.rule, capped.message, capped.redactions) == ("allow", "", "", ())
    assert {each.mode for each in capped.findings} == {"monitor"}
    assert judged(rules(BLOCK), call(), span(), cap="off").findings == ()


def test_a_mode_of_a_rule_goes_before_that_of_its_file() -> None:
    """The file's mode is what rules have unless they say otherwise; a rule that is off does nothing at all."""
    assert judged(rules(BLOCK + ", mode: enforce", head="mode: monitor\n"), call(), span()).action == "block"
    assert judged(rules(BLOCK + ", mode: off"), call(), span()).findings == ()
    assert judged(rules(BLOCK, head="mode: off\n"), call(), span()).findings == ()


def test_unless_keeps_a_rule_from_applying() -> None:
    """Match, unless, when: in that order, and all must agree."""
    policies = rules(BLOCK + ", unless: {server: [vault, 'v*']}")
    assert judged(policies, call(), span()).action == "block"
    assert judged(policies, call(server="vault"), span()).action == "allow"
    assert judged(policies, answer(), span()).action == "allow"


def test_a_rule_without_direction_is_for_both() -> None:
    """What is looked for in calls is looked for in answers too, unless the rule says otherwise."""
    policies = rules(REDACT)
    for message in (
        call(),
        answer(),
        call(kind="notification", method="notifications/progress"),
        answer(method="custom/method"),
    ):
        assert judged(policies, message, span("pii.card", CARD)).action == "redact"


@pytest.mark.parametrize(
    ("profile", "leaves", "comes_back"),
    [("", True, False), (", profile: strict", True, True), (", profile: default", False, False)],
)
def test_what_documentation_writes_counts_by_profile_and_direction(profile: str, leaves: bool, comes_back: bool) -> None:
    """A rule is strict about what leaves and spares documentation that comes back, unless it says otherwise."""
    policies = rules(f"id: a, title: t, when: {{detect: {{any: secrets{profile}}}}}, action: alert")
    documented = replace(span(), is_strict_only=True)
    assert bool(judged(policies, call(), documented).findings) is leaves
    assert bool(judged(policies, answer(), documented).findings) is comes_back


def test_detect_asks_for_kind_confidence_count_and_place() -> None:
    """A rule holds for enough sure finds of its kinds, of different values if it says so, where it says."""
    seek = "id: a, title: t, when: {{detect: {{{}}}}}, action: alert"

    def found(detect: str, *spans: Span) -> bool:
        return bool(judged(rules(seek.format(detect)), call(), *spans).findings)

    other = span(value=fakes.fake("aws_key", 2), path=(*ARGS, "rows", 1, "email"))
    assert found("any: secrets", span()) and not found("any: pii", span())
    assert found("any: secrets, confidence: 0.9", span()) and not found("any: secrets, confidence: 0.995", span())
    documented = replace(span(), is_strict_only=True)
    assert not found("any: secrets, profile: default", documented) and found("any: secrets, profile: default", span())
    assert found("any: secrets, count: 2", span(), span()) and not found("any: secrets, count: 3", span(), span())
    assert found("any: secrets, count: 2, distinct: true", span(), other)
    assert not found("any: secrets, count: 2, distinct: true", span(), span(path=(*ARGS, "x")))
    assert found("any: secrets, where: $.body", span()) and not found("any: secrets, where: $.subject", span())
    assert found("any: secrets, where: '$.rows[*].email'", other)


def test_all_conditions_must_hold() -> None:
    """Finds, expression and rate together: one that does not hold is enough."""
    policies = rules(
        "id: a, title: t, when: {detect: {any: secrets}, expr: 'call.tool == \"send\"', rate: {per: tool, "
        "over: 1m, above: 1}}, action: block"
    )
    state = State()
    assert judged(policies, call(), span(), state=state).action == "allow"
    assert judged(policies, call(), span(), state=state).action == "block"
    assert judged(policies, call(), state=state).action == "allow"
    assert judged(policies, call(tool="read"), span(), state=state).action == "allow"
    assert judged(policies, call(tool="read"), span(), state=state).action == "allow"


def test_what_holds_without_finds_has_one_finding() -> None:
    """A rule that detects nothing in particular leaves one finding that says by what it held."""
    for condition, kind in (
        ("match: {server: mail}", "match"),
        ("when: {expr: 'call.tool == \"send\"'}", "expr"),
        ("when: {rate: {per: tool, over: 1m, above: 1}}", "rate"),
    ):
        policies, state = rules(f"id: a, title: t, {condition}, action: block"), State()
        judged(policies, call(), state=state)
        verdict = judged(policies, call(), state=state)
        assert [(each.kind, each.path, each.fingerprint, each.count) for each in verdict.findings] == [(kind, "", "", 1)]
        assert verdict.message == "t."


def test_findings_are_bounded_and_nothing_is_uncounted() -> None:
    """A leak of hundreds of values writes few rows, and the last one counts the rest."""
    spans = [span(value=fakes.fake("aws_key", number)) for number in range(100)]
    findings = judged(rules(BLOCK), call(), *spans).findings
    assert len(findings) == FINDINGS_PER_RULE_MAX
    assert sum(each.count for each in findings) == 100
    assert {each.count for each in findings[:-1]} == {1}


RATE = "id: often, title: t, when: {{rate: {{per: {}, over: 1m, above: 2}}}}, action: block"


def test_a_rate_is_of_calls_in_the_last_minute() -> None:
    """Two calls a minute pass, the third does not, and a minute later it begins anew."""
    policies, state = rules(RATE.format("[session, tool]")), State()
    actions = [judged(policies, call(), state=state, now=NOW + after).action for after in (0, 1, 2, 3, 62, 63, 64)]
    assert actions == ["allow", "allow", "block", "block", "allow", "allow", "block"]


@pytest.mark.parametrize(
    ("per", "change"),
    [
        ("session", {"session": "s2"}),
        ("tool", {"tool": "read"}),
        ("server", {"server": "crm"}),
        ("user", {"caller": Caller("bob")}),
        ("method", {"method": "prompts/get"}),
    ],
)
def test_a_rate_is_counted_for_each(per: str, change: dict[str, Any]) -> None:
    """Another session, tool, server, user or method has a window of its own, if the rule names it."""
    policies, state = rules(RATE.format(per)), State()
    for _ in range(2):
        judged(policies, call(), state=state)
    assert judged(policies, call(**change), state=state).action == "allow"
    assert judged(policies, call(), state=state).action == "block"


def test_a_rate_counts_calls_only() -> None:
    """Answers do not count as calls, neither those of servers nor those of clients to a server's request."""
    policies, state = rules(RATE.format("session")), State()
    for _ in range(5):
        assert judged(policies, answer(), state=state).action == "allow"
        assert judged(policies, call(kind="result", method="sampling/createMessage"), state=state).action == "allow"
    assert judged(policies, call(), state=state).action == "allow"


def test_a_rate_counts_only_what_the_rule_is_meant_for() -> None:
    """Calls that match or unless keep out are not counted; what else the rule asks does not matter to the count."""
    policies, state = rules(RATE.format("session") + ", match: {server: mail}, unless: {tool: free}"), State()
    for _ in range(5):
        judged(policies, call(server="crm"), state=state)
        judged(policies, call(tool="free"), state=state)
    assert [judged(policies, call(), state=state).action for _ in range(3)] == ["allow", "allow", "block"]


def test_a_session_is_known_over_servers() -> None:
    """An expression can ask what the session did so far, this call included."""
    policies = rules(
        "id: a, title: t, match: {direction: request}, when: {expr: 'session.calls > 2 && "
        'session.servers.exists(s, s == "crm")\'}, action: block'
    )
    state = State()
    actions = [judged(policies, call(server=server), state=state).action for server in ("crm", "mail", "mail")]
    assert actions == ["allow", "allow", "block"]
    assert judged(policies, call(session="other"), state=state).action == "allow"


def test_an_expression_that_fails_is_a_finding_with_its_consequence() -> None:
    """A blocking rule that cannot be judged blocks, another lets pass and says so; on_error chooses otherwise."""
    expr = "id: a, title: t, severity: high, match: {{tool: send}}, when: {{expr: 'call.args.n > 1'}}, action: {}"
    for action, extra, expected in (
        ("block", "", "block"),
        ("alert", "", "alert"),
        ("log", "", "log"),
        ("block", ", on_error: allow", "alert"),
        ("log", ", on_error: block", "block"),
    ):
        verdict = judged(rules(expr.format(action) + extra), call({"n": "text"}))
        (finding,) = verdict.findings
        assert (verdict.action, finding.action, finding.kind, finding.severity) == (expected, expected, "error", "high")
        assert finding.preview == "a value of another type"
        assert "text" not in verdict.message
    blocked = judged(rules(expr.format("block")), call({"n": "text"}))
    assert blocked.message == "This could not be judged, so it was stopped to be safe."
    missing = judged(rules(expr.format("block")), call({}))
    assert (missing.action, missing.findings) == ("allow", ())


def test_one_rule_that_breaks_leaves_the_others_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in one rule is an error of that rule, and no other rule goes unjudged."""

    def broken(*_: object) -> Sequence[Span]:
        raise KeyError(KEY)

    policies = rules(BLOCK + ", on_error: allow", "id: z, title: t, match: {server: mail}, action: block")
    monkeypatch.setattr(DetectCondition, "find", broken)
    verdict = judged(policies, call(), span())
    assert [(each.rule, each.kind, each.action, each.preview) for each in verdict.findings] == [
        ("out", "error", "alert", "KeyError"),
        ("z", "match", "block", ""),
    ]
    assert verdict.rule == "z"
    assert KEY not in repr(verdict)


def test_what_was_not_looked_at_is_never_taken_for_clean() -> None:
    """When the detectors gave up before the end, a rule that found nothing says so, and a blocking one blocks."""
    verdict = judged(rules(BLOCK, REDACT), call(), skipped=("leaves",))
    assert [(each.rule, each.kind, each.action, each.preview) for each in verdict.findings] == [
        ("cut", "error", "alert", "not all of the message was looked at (leaves)"),
        ("out", "error", "block", "not all of the message was looked at (leaves)"),
    ]
    assert verdict.action == "block"
    assert judged(rules(BLOCK), answer(), skipped=("leaves",)).findings == ()
    assert judged(rules(BLOCK), call(), span(), skipped=("leaves",)).findings[0].kind == "secrets.aws-key"
    elsewhere = BLOCK.replace("when: {", "when: {expr: 'call.tool == \"other\"', ")
    assert judged(rules(elsewhere), call(), skipped=("leaves",)).findings == ()


def test_a_flood_of_other_kinds_stops_no_rule() -> None:
    """A rule whose own kinds were looked for everywhere holds or not as always, whatever else was too much."""

    def judged_cut(*kinds: str) -> Verdict:
        scan = Scan((), 100, 50, ("candidates",), kinds_cut=frozenset(kinds))
        return judge(rules(BLOCK), call(), scan, State(), NOW, fingerprint, "enforce")

    assert judged_cut("pii.email", "pii.phone").action == "allow"
    cut = judged_cut("pii.email", "secrets.aws-key")
    assert (cut.action, [each.kind for each in cut.findings]) == ("block", ["error"])


def test_more_finds_than_can_be_cut_out_are_stopped() -> None:
    """When the detectors stopped counting, redacting the first two thousand values would let the others pass."""
    card = span("pii.card", CARD)
    assert judged(rules(REDACT), answer(), card, skipped=("spans",)).action == "block"
    depth = judged(rules(REDACT), answer(), card, skipped=("depth",))
    assert (depth.action, [each.kind for each in depth.findings]) == ("redact", ["pii.card", "error"])
    strict = judged(rules(REDACT + ", on_error: block"), answer(), card, skipped=("depth",))
    assert strict.action == "block"


@pytest.mark.parametrize("leaf", [{"is_text": False}, {"is_key": True}])
def test_what_cannot_be_redacted_is_stopped(leaf: dict[str, Any]) -> None:
    """A value in a number or in a key cannot be replaced without breaking the message, so the message is blocked."""
    cut = span("pii.card", fakes.fake("card", 2))
    verdict = judged(rules(REDACT), call(), cut, span("pii.card", CARD, **leaf))
    assert (verdict.action, verdict.rule) == ("block", "cut")
    assert verdict.message == "A card. (cannot-redact: a value stands where no text can take its place)"
    assert [(each.action, each.title) for each in verdict.findings] == [
        ("redact", "A card"),
        ("block", "A card (cannot-redact)"),
    ]
    assert verdict.redactions == (cut,)
    watched = judged(rules(REDACT + ", mode: monitor"), call(), span("pii.card", CARD, **leaf))
    assert (watched.action, watched.findings[0].mode) == ("allow", "monitor")


def test_redactions_of_all_rules_come_together_without_overlap() -> None:
    """What several rules want cut out is cut out once, and no end of a value is left standing."""
    text = "0123456789" * 3
    leaf, other = Leaf((*ARGS, "a"), text), Leaf((*ARGS, "b", 3), text)
    spans = [
        Span("pii.card", leaf, 0, 10, 1),
        Span("pii.card", leaf, 5, 20, 1),
        Span("secrets.aws-key", leaf, 19, 21, 1),
        Span("pii.card", leaf, 25, 30, 1),
        Span("pii.card", other, 3, 5, 1),
        Span("pii.email", other, 8, 9, 1),
    ]
    policies = rules(
        REDACT,
        "id: too, title: t, when: {detect: {any: [secrets, pii.card]}}, action: redact",
        "id: watched, title: t, mode: monitor, when: {detect: {any: pii.email}}, action: redact",
    )
    for mixed in (spans, spans[::-1]):
        verdict = judged(policies, call(), *mixed)
        assert [(each.kind, each.leaf.path[-1], each.start, each.end) for each in verdict.redactions] == [
            ("pii.card", "a", 0, 21),
            ("pii.card", "a", 25, 30),
            ("pii.card", 3, 3, 5),
        ]


def test_placeholders_are_filled_once() -> None:
    """A tool that is called like a placeholder stays what it is called, and a very long name is cut."""
    policies = rules("id: a, title: t, match: {server: mail}, action: block, message: '{tool}|{server}|{rule}|{kinds}'")
    assert judged(policies, call(tool="{rule}")).message == "{rule}|mail|a|match"
    assert judged(policies, call(tool="x" * 500)).message == "x" * 100 + "|mail|a|match"


ENTRIES = [
    "id: r{n}, title: t, severity: {severity}, mode: {mode}, match: {{server: [mail, x]}}, action: {plain}",
    (
        "id: r{n}, title: t, severity: {severity}, mode: {mode}, match: {{direction: request}}, when: {{detect: "
        "{{any: secrets, count: {count}}}}}, action: {action}"
    ),
    (
        "id: r{n}, title: t, severity: {severity}, mode: {mode}, when: {{detect: {{any: pii.card}}}}, action: "
        "{action}, on_error: block"
    ),
    "id: r{n}, title: t, severity: {severity}, mode: {mode}, when: {{expr: 'call.args.n > {count}'}}, action: {plain}",
    (
        "id: r{n}, title: t, severity: {severity}, mode: {mode}, when: {{rate: {{per: session, over: 1m, above: "
        "{count}}}}}, action: {plain}"
    ),
    ("id: r{n}, title: t, severity: {severity}, mode: {mode}, unless: {{user: bob}}, match: {{tool: 's*'}}, action: {plain}"),
]


@st.composite
def rule_entries(draw: st.DrawFn) -> list[str]:
    """Rules of all sorts."""
    return [
        draw(st.sampled_from(ENTRIES)).format(
            n=number,
            severity=draw(st.sampled_from(["info", "low", "high", "critical"])),
            mode=draw(st.sampled_from(["monitor", "enforce", "enforce", "off"])),
            plain=draw(st.sampled_from(["log", "alert", "block"])),
            action=draw(st.sampled_from(["log", "alert", "redact", "tokenize", "block"])),
            count=draw(st.integers(1, 3)),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@st.composite
def messages(draw: st.DrawFn) -> tuple[Message, tuple[Span, ...], tuple[str, ...]]:
    """Messages of all sorts, with finds."""
    any_args: list[dict[str, Any]] = [{}, {"n": 2}, {"n": "text"}, {"n": 2**70}]
    args = draw(st.sampled_from(any_args))
    message = draw(st.sampled_from([call(args), answer(args=args), call(args, server="crm"), call(args, caller=Caller("bob"))]))
    spans = draw(
        st.lists(
            st.sampled_from(
                [
                    span(),
                    span("pii.card", CARD, (*ARGS, "card")),
                    span("pii.card", CARD, (*ARGS, "number"), is_text=False),
                    span("pii.email", "a@b.example", (*ARGS, "to")),
                ]
            ),
            max_size=4,
        )
    )
    return message, tuple(spans), draw(st.sampled_from([(), (), (), ("depth",), ("spans",)]))


def verdicts(policies: PolicySet, given: list[tuple[Message, tuple[Span, ...], tuple[str, ...]]]) -> list[Verdict]:
    """The verdicts on several messages in a row."""
    state = State()
    return [
        replace(judged(policies, message, *spans, state=state, now=NOW + number, skipped=skipped), policy_version="")
        for number, (message, spans, skipped) in enumerate(given)
    ]


@settings(max_examples=150, deadline=None)
@given(rule_entries(), st.lists(messages(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_rules_in_any_order_give_the_same_verdict(entries: list[str], given: list[Any], chance: random.Random) -> None:
    """Moving a rule, or a rule to another place of the file, changes nothing."""
    shuffled = list(entries)
    chance.shuffle(shuffled)
    assert verdicts(rules(*entries), given) == verdicts(rules(*shuffled), given)


@settings(max_examples=150, deadline=None)
@given(rule_entries(), st.lists(messages(), min_size=1, max_size=4), st.integers(0, 5))
def test_adding_a_rule_never_makes_a_verdict_milder(entries: list[str], given: list[Any], which: int) -> None:
    """Whoever adds a rule can only make the system stricter: no action milder, no redaction lost, no finding gone."""
    fewer = entries[: which % len(entries)] + entries[which % len(entries) + 1 :]
    if not fewer:
        return
    for before, after in zip(verdicts(rules(*fewer), given), verdicts(rules(*entries), given), strict=True):
        assert RANK[after.action] >= RANK[before.action]
        assert set(before.findings) <= set(after.findings)
        for cut in before.redactions:
            assert any(each.leaf == cut.leaf and each.start <= cut.start and cut.end <= each.end for each in after.redactions)
