"""Expressions: what they see, and that an error is never taken for an answer."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.events import Caller, Direction, Message
from sidecar.policy.expr import Expression, Scope
from sidecar.policy.facts import Facts, Unjudged

NOW = 1_795_428_000.0  # 2026-11-23 10:00 UTC, a Monday
SCOPE = Scope({"inside": ["crm", "billing"]})


def compiled(text: str, direction: Direction = "request") -> Expression:
    """An expression that must compile."""
    expression, wrong = SCOPE.compile(text, direction)
    assert expression is not None, wrong
    return expression


def request(args: Mapping[str, Any], **changes: Any) -> Message:
    """A call with these arguments."""
    payload = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay", "arguments": args}}
    values: dict[str, Any] = {"tool": "pay", "args": args, "payload": payload, "size": 120, **changes}
    return Message("crm", "request", "request", "tools/call", **values)


def answer(result: Any, kind: Any = "result") -> Message:
    """An answer to a call."""
    member = "error" if kind == "error" else "result"
    return Message("crm", "response", kind, "tools/call", "pay", {"to": "bob"}, {"id": 1, member: result}, 77)


def holds(text: str, message: Message, calls: int = 0, servers: tuple[str, ...] = ()) -> bool:
    """Whether an expression is true of a message."""
    return compiled(text, message.direction).holds(Facts(message, NOW, calls, servers))


@pytest.mark.parametrize(
    "text",
    [
        "call.server == 'crm' && call.server in lists.inside",
        "call.tool == 'pay' && call.method == 'tools/call'",
        "call.args.amount > 5 && double(call.args.amount) < 10.5",
        "call.args.to.name == 'bob' && call.args.rows[1] == 2",
        "call.text.contains('hello') && call.text.contains('bob')",
        "call.bytes == 120",
        "client.name == 'agent' && user == 'ada' && 'eng' in groups",
        "session.calls == 3 && session.servers.exists(s, s == 'mail')",
        "now > timestamp('2026-01-01T00:00:00Z') && now.getHours('Europe/Paris') == 11",
        "call.tool.upperAscii() == 'PAY' && call.tool.matches('^p.y$')",
        "call . tool == 'pay' // a comment with user in it",
        "!has(call.args.missing) && has(call.args.to.name)",
        "'amount' in call.args && call.args.all(key, size(key) < 9)",
    ],
)
def test_a_request_can_be_asked_about(text: str) -> None:
    """Every name of the language has the value of the call."""
    args = {"amount": 7, "to": {"name": "bob"}, "rows": [1, 2], "body": "hello"}
    message = request(args, caller=Caller("ada", ("eng",), "agent"))
    assert holds(text, message, 3, ("crm", "mail"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "result.text.contains('secret plan') && result.bytes == 77",
            answer({"content": [{"type": "text", "text": "a secret plan"}]}),
        ),
        (
            "result.is_error && result.text.contains('no')",
            answer({"isError": True, "content": [{"type": "text", "text": "no"}]}),
        ),
        ("result.is_error && result.text.contains('Nope')", answer({"code": -1, "message": "Nope"}, "error")),
        ("!result.is_error && call.args.to == 'bob' && call.text == 'to\\nbob' && call.bytes == 12", answer({})),
    ],
)
def test_an_answer_can_be_asked_about(text: str, message: Message) -> None:
    """Answers know their result, and still the call they answer."""
    assert holds(text, message)


def test_what_a_person_answered_is_part_of_the_call() -> None:
    """Answers typed by a person travel to the server beside the arguments, so they are text of the call."""
    payload = {"method": "tools/call", "params": {"name": "t", "arguments": {}, "inputResponses": {"a": "typed"}}}
    message = Message("crm", "request", "request", "tools/call", "t", {}, payload)
    assert holds("call.text.contains('typed')", message)


@pytest.mark.parametrize(
    "text", ["call.args.missing == 1", "!(call.args.missing == 1)", "call.args.to.missing == 1", "has(call.args.a.b)"]
)
def test_a_missing_key_is_false(text: str) -> None:
    """Nothing is concluded from an argument that is not there, whichever way the question is put."""
    assert holds(text, request({"to": {}})) is False


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("call.args.s > 1", "a value of another type"),
        ("call.args.n / call.args.zero == 1", "a division by zero"),
        ("call.args.n % call.args.zero == 1", "a division by zero"),
        ("double(call.args.s) > 1.0", "a value that cannot be converted"),
        ("int(call.args.s) > 1", "a value that cannot be converted"),
        ("timestamp(call.args.s) > now", "a value that cannot be converted"),
        ("call.args.rows[7] == 1", "a place outside a list"),
        ("call.args.s.field == 1", "a field of something that has none"),
        ("call.tool.matches(call.args.regex)", "an invalid regular expression"),
        ("now.getHours(call.args.s) == 1", "an unknown time zone"),
        ("9223372036854775807 + call.args.n > 0", "a number too large"),
        ("call.args.flag && call.args.s", "a value of another type"),
        (
            ("call.args.rows.all(a, call.args.many.all(b, call.args.many.all(c, call.args.many.all(d, a + b + c + d >= 0))))"),
            "too many steps",
        ),
    ],
)
def test_an_error_is_never_an_answer(text: str, why: str) -> None:
    """The library hands errors back as truthy texts; here they are errors, told without any value of the message."""
    args = {
        "s": "not-a-number",
        "n": 5,
        "zero": 0,
        "rows": [1, 2],
        "regex": "(",
        "flag": True,
        "many": list(range(100)),
    }
    with pytest.raises(Unjudged) as caught:
        holds(text, request(args))
    assert str(caught.value) == why


def test_an_error_beside_a_certain_answer_does_not_matter() -> None:
    """What is decided by one side alone needs no other, as CEL has it."""
    assert holds("call.args.s > 1 || call.tool == 'pay'", request({"s": "x"})) is True
    assert holds("call.args.s > 1 && call.tool == 'x'", request({"s": "x"})) is False


@pytest.mark.parametrize("stray", [2**70, -(2**70), 10**400, "\ud800", {"deep": ["\udfff", 2**64]}])
def test_a_stray_value_does_not_spoil_the_rest(stray: Any) -> None:
    """A huge number or broken text somewhere in the arguments neither hides a call from a rule nor stops it."""
    args = {"amount": 7, "stray": stray}
    assert holds("call.args.amount > 5", request(args)) is True
    assert holds("call.args.amount > 5 && call.args.exists(key, key == 'stray')", request(args)) is True
    assert holds("call.args.all(key, key != 'amount')", request(args)) is False


def test_a_huge_number_is_compared_as_a_number() -> None:
    """A payment of 2 to the power of 70 is more than a thousand."""
    assert holds("double(call.args.amount) > 1000.0", request({"amount": 2**70})) is True


def test_broken_text_does_not_end_the_judgement() -> None:
    """A lone surrogate in a tool's name is compared like any other text."""
    assert holds("call.tool.startsWith('x')", request({}, tool="x\ud800")) is True


def test_only_what_is_asked_for_is_found_out() -> None:
    """An expression over one argument does not pay for the others, nor for the text of the call."""
    expression = compiled("has(call.args.amount) && call.args.amount > 5")
    assert expression.needs == ("call.args",)
    assert expression.keys == ("amount",)
    assert compiled("'x' in call.args").keys is None
    assert compiled("call.args.map(key, key).size() > 2").keys is None
    assert compiled("call.args['x'] == 1").keys is None
    assert compiled("call. //\n args.amount > 5 && call.args.b == 1").keys is None


def test_names_inside_texts_are_not_lost() -> None:
    """An address in quotes looks like a comment and hides nothing behind it."""
    assert holds("call.args.url == 'https://x' && call.tool == 'pay'", request({"url": "https://x"}))


def test_what_depends_on_arguments_is_known() -> None:
    """Whether a tool may be listed is decided without arguments, by expressions that need none."""
    assert compiled("user == 'ada' && now.getHours() > 8 && call.tool == 'x'").needs_only_caller
    for text in ("has(call.args.x)", "call.text == ''", "call.bytes > 1", "session.calls > 1"):
        assert not compiled(text).needs_only_caller


ALPHABET = st.sampled_from(
    [
        *"call.args call.tool call. .args user groups now lists.inside has( size( matches( exists(x, all(x, x".split(),
        *"( ) [ ] { } . , ? : && || ! == < + - / % // in \\ _ @ # ` é 💥 1 2.5 'x' \"y\" r'(' true null".split(),
        *["\n", "\x00", ""],
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.lists(ALPHABET, max_size=14).map(" ".join),
        st.lists(ALPHABET, max_size=14).map("".join),
        st.text(max_size=60),
    )
)
def test_hostile_expressions_are_refused_or_judged(text: str) -> None:
    """No expression that somebody writes can do more than be refused, be true, be false, or fail as an error."""
    expression, wrong = SCOPE.compile(text, "request")
    assert (expression is None) == bool(wrong)
    if expression is not None:
        with suppress(Unjudged):
            assert expression.holds(Facts(request({"x": 1}), NOW)) in (True, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["amount", "x", "y"]), JSON))
def test_hostile_arguments_give_an_answer_or_an_error(args: dict[str, Any]) -> None:
    """Whatever a client sends, an expression is true, false, or visibly fails."""
    for text in (
        "has(call.args.amount) && double(call.args.amount) > 10.0",
        "call.args.all(key, key != 'x')",
        "call.text.size() > 3",
    ):
        with suppress(Unjudged):
            assert holds(text, request(args)) in (True, False)
