"""Values cut in two by a server: found where they end, once, and told with the call they belong to."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.decode import sse
from sidecar.decode.jsonrpc import read_leniently
from sidecar.detect import walk
from sidecar.judging.carry_over import VIA, CarryOver
from sidecar.state.exchange import Exchange, Request
from tests.play import ENGINE, SECRETS, Play, aws_key

KEY = aws_key()
WORDS = st.text("abc xyz.\n", max_size=12)


def call(rpc_id: int, token: Any = None) -> dict[str, Any]:
    """A call that asks to be told of its progress."""
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": {"name": "t", "arguments": {}, **meta}}


def line(message: Any) -> bytes:
    """A message as its bytes."""
    return json.dumps(message).encode()


def progress(text: str, token: Any) -> dict[str, Any]:
    """One message about it."""
    params = {"progressToken": token, "progress": 1, "message": text}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def said(data: bytes) -> Any:
    """What the client reads of an event."""
    return read_leniently(sse.parse(data).data) if sse.parse(data).data else None


def pieces(text: str, cuts: list[int]) -> list[str]:
    """A text cut at these places."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """One sidecar for many calls."""
    return Play(tmp_path_factory.mktemp("tails") / "policies", SECRETS)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=WORDS, after=WORDS, cuts=st.lists(st.integers(0, 45), max_size=6))
def test_any_cut_gives_one_finding(shared: Play, before: str, after: str, cuts: list[int]) -> None:
    """However a text with a credential is cut into progress messages of one call, it is found once, and never read whole."""
    earlier = len(shared.findings)
    exchange = shared.post(call(earlier + 1, "p"))
    send = shared.stream(exchange)
    got = [said(send(progress(piece, "p")))["params"]["message"] for piece in pieces(f"{before} {KEY} {after}", cuts)]
    (finding,) = shared.findings[earlier:]
    assert (finding["kind"], finding["count"], finding["action"]) == ("secrets.aws-key", 1, "redact")
    assert finding["fingerprint"] == shared.findings[0]["fingerprint"]
    assert KEY not in "".join(got)
    assert "".join(got).endswith(f" {after}")


def test_the_finding_says_that_a_part_had_passed(shared: Play) -> None:
    """What has been sent cannot be recalled, and nobody is told that it was; the finding belongs to the call."""
    exchange = shared.post(call(900_001, 7))
    send = shared.stream(exchange)
    send(progress(f"key {KEY[:9]}", 7))
    assert said(send(progress(f"{KEY[9:]} done", 7)))["params"]["message"] == "[secrets.aws-key] done"
    send({"jsonrpc": "2.0", "id": 900_001, "result": {"content": []}})
    finding, row = shared.findings[-1], shared.calls[-1]
    assert finding["preview"].endswith(f"…(20) in {VIA}")
    about = next(each for each in shared.calls if each["call_id"] == finding["call_id"])
    assert about["attrs"]["parent"] == row["call_id"]
    assert KEY[9:] not in about["request"]


def test_calls_side_by_side_are_not_mixed(shared: Play) -> None:
    """Parts belong together by progress token, not by the order in which they come."""
    earlier = len(shared.findings)
    first, second = shared.post(call(900_002, "a")), shared.post(call(900_003, "b"))
    send, other = shared.stream(first), shared.stream(second)
    send(progress(KEY[:9], "a"))
    other(progress(KEY[9:], "b"))
    assert len(shared.findings) == earlier
    send(progress(KEY[9:], "a"))
    assert len(shared.findings) == earlier + 1


def test_a_tail_ends_with_its_call(shared: Play) -> None:
    """Nothing of a call is kept when it is over, and what comes late joins nothing."""
    earlier = len(shared.findings)
    exchange = shared.post(call(900_004, "late"))
    send = shared.stream(exchange)
    send(progress(KEY[:9], "late"))
    opened = exchange.open_calls()[0]
    send({"jsonrpc": "2.0", "id": 900_004, "result": {"content": []}})
    send(progress(KEY[9:], "late"))
    assert opened.carry_over is None
    assert len(shared.findings) == earlier


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ({"data": KEY[:5]}, {"data": KEY[5:]}, "$.params.data"),
        ({"data": {"text": f"x {KEY[:19]}"}}, {"data": {"text": KEY[19:]}}, "$.params.data.text"),
    ],
)
def test_log_messages_are_joined_too(shared: Play, first: Any, second: Any, place: str) -> None:
    """A logger may say a value in two messages, and its data may have any form."""
    exchange = shared.get()
    send = shared.stream(exchange)
    for data in (first, second):
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "logger": "l", **data}})
    assert (shared.findings[-1]["path"], shared.findings[-1]["kind"]) == (place, "secrets.aws-key")


def test_another_logger_says_something_else(shared: Play) -> None:
    """Texts of different loggers are not read as one."""
    earlier = len(shared.findings)
    send = shared.stream(shared.get())
    for name, data in (("a", KEY[:5]), ("b", KEY[5:])):
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "logger": name, "data": data}})
    assert len(shared.findings) == earlier


def test_what_stands_before_tells_what_a_value_is(shared: Play) -> None:
    """A header whose name came in the message before makes a credential of what follows, and all of that is taken out."""
    send = shared.stream(shared.post(call(900_005, "pw")))
    earlier = len(shared.findings)
    send(progress("Authorization: Bearer ", "pw"))
    assert said(send(progress("abcDEF123" + "ghiJKL456mnoPQR!", "pw")))["params"]["message"] == "[secrets.authorization]!"
    assert [each["kind"] for each in shared.findings[earlier:]] == ["secrets.authorization"]
    assert VIA not in shared.findings[-1]["preview"]


def test_what_was_found_and_goes_on_is_found_once(shared: Play) -> None:
    """A value that was found in one message, and that the next makes longer, is one finding."""
    send = shared.stream(shared.post(call(900_006, "on")))
    earlier = len(shared.findings)
    for text in ("Authorization: Bearer abcDEF123" + "ghiJKL456mnoPQR", "stu", "vw ok"):
        send(progress(text, "on"))
    assert len(shared.findings) == earlier + 1


def test_a_blocked_part_is_not_what_the_client_read(play: Callable[..., Play]) -> None:
    """A rule that blocks withholds the part that ends a value."""
    policy = SECRETS.replace("action: redact", "action: block").replace("verdict: redact", "verdict: block")
    sidecar = play(policy)
    send = sidecar.stream(sidecar.post(call(1, "b")))
    send(progress(KEY[:9], "b"))
    assert said(send(progress(KEY[9:], "b"))) is None
    assert said(send(progress("all well", "b")))["params"]["message"] == "all well"
    assert len(sidecar.findings) == 1


def test_over_stdio_parts_are_joined(shared: Play) -> None:
    """One process, one stream for all its calls: the progress token tells which texts belong together."""
    listening = Exchange(shared.server, Request("GET", "/", {}, b"", "", shared.now, shared.now), wrap="wrap-1")
    for number in (1, 2):
        asked = Exchange(shared.server, Request("POST", "/", {}, line(call(number, f"s{number}")), "", shared.now, shared.now))
        asked.wrap = "wrap-1"
        asked.reply = shared.pipeline.request(asked)
        shared.pipeline.forward_line(asked, listening)
    earlier = len(shared.findings)
    sent = [
        shared.pipeline.line(listening, message, line(message))
        for message in (progress(KEY[:9], "s1"), progress("half", "s2"), progress(KEY[9:], "s1"))
    ]
    assert sent[:2] == [line(progress(KEY[:9], "s1")), line(progress("half", "s2"))]
    assert sent[2] is not None and KEY[9:].encode() not in sent[2]
    assert len(shared.findings) == earlier + 1


def test_tails_are_bounded() -> None:
    """A server that speaks for hours of a thousand things costs a few kilobytes."""
    carry_over = CarryOver()
    for number in range(100):
        payload = progress("x" * 10_000, number)
        carry_over.remember(payload, ENGINE.scan(walk(payload)))
    kept = carry_over._text_ends
    assert len(kept) == limits.TAILS_MAX
    assert {len(tail.text) for tail in kept.values()} == {limits.TAIL_CHARS_MAX}


def test_a_replayed_event_joins_nothing(tmp_path: Path) -> None:
    """A stream that is resumed says again what it said, which is no continuation."""
    sidecar = Play(tmp_path / "policies", SECRETS)
    exchange = sidecar.post(call(1, "r"), mcp_session_id="s")
    send = sidecar.stream(exchange)

    def event(text: str, event_id: str) -> bytes:
        return b"id: " + event_id.encode() + b"\ndata: " + line(progress(text, "r")) + b"\n\n"

    send(event(KEY[9:], "1"))
    send(event(f" {KEY[:9]}", "2"))
    resumed = sidecar.stream(sidecar.get(last_event_id="0", mcp_session_id="s"))
    assert resumed(event(KEY[9:], "1")) == event(KEY[9:], "1")
    assert sidecar.findings == []
