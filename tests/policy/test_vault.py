"""Tokens: the same for the same value, of no use to others, back to what they stood for, and forgotten in time."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.act.redact import redact_bytes, redact_value
from sidecar.detect import walk
from sidecar.events import Leaf, Message, Span, Verdict
from sidecar.policy.tokens import TokenForm
from sidecar.policy.vault import Restored, Vault

KEY = b"k" * 32
NOW = 1_795_428_000.0
CLIENT = Message("crm", "response", "result", "tools/call", session="s1")
VALUES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def spans(payload: Any, *values: str, kind: str = "pii.email") -> list[Span]:
    """Every place of these values in the texts of a payload that are no keys."""
    found = []
    for leaf in walk(payload).leaves().values():
        for value in values:
            at = -1 if leaf.is_key else leaf.text.find(value)
            while at >= 0:
                found.append(Span(kind, leaf, at, at + len(value), 1.0))
                at = leaf.text.find(value, at + len(value))
    return found


def tokenized(vault: Vault, payload: Any, found: list[Span], message: Message = CLIENT, now: float = NOW) -> Any:
    """The payload as it travels on."""
    verdict = Verdict("tokenize", redactions=tuple(found), tokens=tuple((span, ("r",)) for span in found))
    replacements = vault.replacements(replace(message, payload=payload), verdict, now)
    return redact_value(payload, found, replacements, replacements.numbers)


def back(vault: Vault, payload: Any, session: str = "s1", now: float = NOW, *, may: bool = True) -> tuple[Any, Restored]:
    """A payload that comes back, with its tokens turned back."""
    restored = vault.restored(session, vault.find_tokens(walk(payload), session), lambda kept: may, now)
    return redact_value(payload, restored.spans, restored.value, restored.numbers), restored


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3), st.sampled_from(["pii.email", "secrets.aws-key"]))
def test_any_text_comes_back_as_it_was(parts: list[tuple[str, str]], kind: str) -> None:
    """Whatever stands around a token, and whatever the value holds, both are as before once it has turned back."""
    vault = Vault(KEY)
    text, found = "", []
    for before, value in parts:
        start = len(text) + len(before)
        text += before + value
        found.append((start, start + len(value)))
    leaf = Leaf(("params", "arguments", "x"), text)
    payload = {"params": {"arguments": {"x": text}}}
    hidden = tokenized(vault, payload, [Span(kind, leaf, start, end, 1.0) for start, end in found])
    shown, restored = back(vault, hidden)
    assert shown == payload
    assert (len(restored.spans), restored.left, restored.unknown) == (len(parts), 0, 0)


@given(VALUES, st.text(max_size=20), st.integers(0, 2), st.integers(0, 2))
def test_a_value_keeps_its_meaning_in_any_depth_of_json(value: str, beside: str, was: int, comes: int) -> None:
    """A value that was found in JSON inside JSON is the same value wherever its token is sent, with the escapes that needs."""
    vault = Vault(KEY)
    written = value
    for _ in range(was):
        written = json.dumps(written)[1:-1]
    text: Any = "\0" + value
    for _ in range(was):
        text = json.dumps({"x": text})
    start = text.index("\\u0000") + len("\\u0000") if was else 1
    hidden = tokenized(vault, {"x": text}, [Span("pii.email", Leaf(("x",), text), start, start + len(written), 1.0)])
    token = hidden["x"]
    for _ in range(was):
        token = json.loads(token)["x"]
    said: Any = beside + token[1:]
    for _ in range(comes):
        said = json.dumps({"y": said})
    shown, _ = back(vault, {"y": said})
    shown = shown["y"]
    for _ in range(comes):
        shown = json.loads(shown)["y"]
    assert shown == beside + value


def test_bytes_and_parsed_form_turn_back_alike() -> None:
    """What a server reads is what the policies judged, byte for byte where nothing stood."""
    vault = Vault(KEY)
    payload = {"text": "write to a@b.example", "n": 1e3}
    hidden = tokenized(vault, payload, spans(payload, "a@b.example"))
    raw = json.dumps(hidden, indent=1).replace("tkn-", "\\u0074kn-").encode()
    restored = vault.restored("s1", vault.find_tokens(walk(hidden), "s1"), lambda kept: True, NOW)
    said = redact_bytes(raw, restored.spans, restored.value, restored.numbers)
    assert said == json.dumps(payload, indent=1).encode()


def test_the_same_value_is_the_same_token_in_every_copy() -> None:
    """A value that stands twice in a result, as text and as structured content, has one token, and later answers the same."""
    vault = Vault(KEY)
    told = {"who": "a@b.example", "cc": "c@d.example"}
    payload = {"result": {"content": [{"type": "text", "text": json.dumps(told)}], "structuredContent": told}}
    hidden = tokenized(vault, payload, spans(payload, "a@b.example", "c@d.example"))["result"]
    again = tokenized(vault, payload, spans(payload, "a@b.example", "c@d.example"))["result"]
    assert json.loads(hidden["content"][0]["text"]) == hidden["structuredContent"]
    assert hidden == again
    assert hidden["structuredContent"]["who"] != hidden["structuredContent"]["cc"]
    assert hidden["structuredContent"]["who"].endswith("@token.invalid")


def test_numbers_become_numbers_and_come_back() -> None:
    """A card number that is a number has a number for a token, also in the text that repeats it."""
    vault = Vault(KEY)
    card = 4 * 10**15 + 111
    payload = {"result": {"content": [{"text": json.dumps({"card": card})}], "structuredContent": {"card": card}}}
    hidden = tokenized(vault, payload, spans(payload, str(card), kind="pii.card"))["result"]
    token = hidden["structuredContent"]["card"]
    assert isinstance(token, int) and len(str(token)) == 15
    assert json.loads(hidden["content"][0]["text"]) == {"card": token}
    shown, _ = back(vault, {"number": token, "text": f"card {token}.", "other": 912345678901234})
    assert shown == {"number": card, "text": f"card {card}.", "other": 912345678901234}


def test_a_token_is_worth_nothing_elsewhere() -> None:
    """Another session's token, one of another installation and a made-up one stay what they are, and are counted."""
    vault = Vault(KEY)
    payload = {"x": "a@b.example"}
    hidden = tokenized(vault, payload, spans(payload, "a@b.example"))
    assert back(vault, hidden, "s2")[0] == hidden
    assert back(vault, hidden, "s2")[1].unknown == 1
    assert back(Vault(KEY), hidden)[1].unknown == 1
    assert tokenized(Vault(KEY), payload, spans(payload, "a@b.example")) == hidden
    other = tokenized(Vault(b"o" * 32), payload, spans(payload, "a@b.example"))
    assert other != hidden
    assert back(vault, other)[1].counts() == []
    forged = {"x": hidden["x"].replace(hidden["x"][10], "a" if hidden["x"][10] != "a" else "b")}
    assert back(vault, forged) == (forged, back(vault, forged)[1])
    session_2 = tokenized(vault, payload, spans(payload, "a@b.example"), replace(CLIENT, session="s2"))
    assert session_2 != hidden


def test_a_token_stays_where_it_may_not_turn_back() -> None:
    """Where no rule lets it, a token travels on as a token, and is counted as such."""
    vault = Vault(KEY)
    payload = {"x": "a@b.example"}
    hidden = tokenized(vault, payload, spans(payload, "a@b.example"))
    shown, restored = back(vault, hidden, may=False)
    assert (shown, restored.counts()) == (hidden, [("tokens_left", 1)])


def test_keys_are_left_alone() -> None:
    """An object key names something; a token in one is not turned back."""
    vault = Vault(KEY)
    hidden = tokenized(vault, {"x": "a@b.example"}, spans({"x": "a@b.example"}, "a@b.example"))
    assert back(vault, {hidden["x"]: 1})[0] == {hidden["x"]: 1}


def test_values_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value nobody used for a day is gone, and so is the oldest where a session has too many; their tokens stay tokens."""
    monkeypatch.setattr(limits, "TOKENS_PER_SESSION_MAX", 3)
    monkeypatch.setattr(limits, "TOKENS_MAX", 4)
    vault = Vault(KEY)
    hidden = [tokenized(vault, {"x": value}, spans({"x": value}, value)) for value in ("one", "two", "three", "four")]
    assert [back(vault, each)[1].unknown for each in hidden] == [1, 0, 0, 0]
    for value in ("five", "six"):
        tokenized(vault, {"x": value}, spans({"x": value}, value), replace(CLIENT, session="s2"))
    assert [back(vault, each)[1].unknown for each in hidden] == [1, 1, 0, 0]
    assert vault.forgotten == 2
    later = NOW + limits.TOKEN_IDLE_S
    assert back(vault, hidden[3], now=later)[1].unknown == 0
    assert back(vault, hidden[2], now=later + 1)[1].unknown == 1
    assert back(vault, hidden[3], now=later + 1)[1].unknown == 0


def test_a_value_too_long_to_keep_is_redacted() -> None:
    """What would not fit into memory a thousand times over gets the mark that never turns back."""
    value = "a" * (limits.TOKEN_VALUE_CHARS_MAX + 1)
    assert tokenized(Vault(KEY), {"x": value}, spans({"x": value}, value)) == {"x": "[pii.email]"}


@settings(max_examples=30)
@given(st.binary(max_size=2000).map(lambda raw: raw.replace(b"\x00", b"tkn-a-").decode("latin-1")))
def test_hostile_text_holds_no_token(text: str) -> None:
    """Text that only begins like tokens is none."""
    assert list(TokenForm(KEY).tokens(text)) == []


def test_a_flood_of_tokens_is_bounded() -> None:
    """However many tokens a message holds, no more than so many are looked up."""
    vault = Vault(KEY)
    token = tokenized(vault, {"x": "one"}, spans({"x": "one"}, "one"))["x"]
    restored = back(vault, {"x": " ".join([token] * (limits.TOKENS_PER_MESSAGE_MAX + 5))})[1]
    assert len(restored.spans) == limits.TOKENS_PER_MESSAGE_MAX


def test_a_value_around_a_token_comes_back_whole() -> None:
    """Where a longer value was found around a token, both turn back at once."""
    vault = Vault(KEY)
    inner = tokenized(vault, {"x": "pw"}, spans({"x": "pw"}, "pw", kind="secrets.password"))["x"]
    outer = f"db://u:{inner}@host"
    hidden = tokenized(vault, {"x": outer}, spans({"x": outer}, outer, kind="secrets.url"))
    assert back(vault, hidden)[0] == {"x": "db://u:pw@host"}
