"""Any split of any stream gives the same messages, and what no rule touches leaves byte for byte."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.transports.http_policy import EventStream, HttpPolicy
from tests.e2e.conftest import Installation
from tests.play import SECRETS, Play, aws_key
from tests.wire import raw_client
from tests.wire.bodies import BODIES
from tests.wire.parts import Ask
from tests.wire.server import WireServer

NUMBERS = st.sampled_from(["0", "-0.0", "1.0", "1e400", "1.0000000000000000001", "9" * 400, "12345678901234567890123", "1E+2"])
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
LEAVES = NUMBERS | TEXTS.map(json.dumps) | TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)) | st.just("null")
SPACES = st.sampled_from(["", " ", "  ", "\t"])


def joined(parts: list[str], space: str, ends: str) -> str:
    return ends[0] + ("," + space).join(parts) + ends[1]


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.integers(0, 999).map(lambda number: f'"k{number}"')
    members = st.dictionaries(keys, inner, max_size=4).map(lambda found: [f"{key}:{value}" for key, value in found.items()])
    objects = st.builds(joined, members, SPACES, st.just("{}"))
    return objects | st.builds(joined, st.lists(inner, max_size=4), SPACES, st.just("[]"))


VALUES = st.recursive(LEAVES, containers, max_leaves=12)
"""JSON texts in many spellings, each key once."""

ANSWERS = VALUES.map(lambda value: f'{{"jsonrpc":"2.0","id":7,"result":{{"content":[],"structuredContent":{{"v":{value}}}}}}}')
LOGS = VALUES.map(
    lambda value: f'{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{value}}}}}'
)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
FIELDS = st.lists(st.sampled_from(["event: message", ": a comment", "id: 7", "retry: 10", "foo: bar", "data"]), max_size=3)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """One event with its terminator, in any layout."""
    newline = draw(NEWLINES)
    data = draw(ANSWERS | LOGS | st.sampled_from(["{}", "hello", "null", "[]"]))
    lines = [*draw(FIELDS), f"data:{draw(SPACES)}{data}"]
    return (newline.join(lines) + newline * 2).encode()


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the chunks it comes in."""
    whole = b"".join(draw(st.lists(events(), min_size=1, max_size=5)))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    return whole, [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], EventStream]:
    """Opens the event stream of a new call, in one sidecar without a network."""
    play = Play(tmp_path_factory.mktemp("play") / "policies", SECRETS)
    http_policy = HttpPolicy(play.pipeline, [play.server])

    def open_one() -> EventStream:
        exchange = play.post({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "t", "arguments": {}}})
        exchange.response.status, exchange.response.headers = 200, {"content-type": "text/event-stream"}
        return http_policy.open_stream(exchange, lambda _: None)

    return open_one


@settings(max_examples=150, deadline=None)
@given(stream=streams())
def test_any_split_gives_the_same_bytes(opened: Callable[[], EventStream], stream: tuple[bytes, list[bytes]]) -> None:
    """However a stream is cut, what leaves is what came; only behind its end may an error for the open call follow."""
    whole, chunks = stream
    reader = opened()
    assert (b"".join(reader.feed(part) for part in chunks) + reader.end("")).startswith(whole)


@settings(max_examples=100, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_split_is_judged_alike(opened: Callable[[], EventStream], cuts: list[int]) -> None:
    """A secret that is cut in two is found as if it had come in one piece."""
    text = 'data: {"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text",\r\ndata: "text":"é KEY"}]}}\r\n\r\n'
    whole = text.replace("KEY", aws_key()).encode()
    ends = sorted(min(cut, len(whole)) for cut in cuts)
    reader, at_once = opened(), opened()
    sent = b"".join(reader.feed(whole[start:end]) for start, end in zip([0, *ends], [*ends, len(whole)], strict=True))
    assert sent == at_once.feed(whole) and aws_key().encode() not in sent and b"[secrets.aws-key]" in sent


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=ANSWERS)
def test_an_answer_no_rule_touches_leaves_as_it_came(tmp_path: Path, body: str) -> None:
    """Numbers keep their digits, keys their order, texts their spelling."""
    play = Play(tmp_path / "policies", SECRETS)
    exchange = play.post({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "t", "arguments": {}}})
    assert play.answer(exchange, body.encode()) == body.encode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=streams())
def test_any_split_arrives_through_a_real_proxy(
    wire: WireServer, front: Installation, stream: tuple[bytes, list[bytes]]
) -> None:
    """The bytes of a stream are the same behind the sidecar, whoever carries them."""
    whole, chunks = stream
    # So that the answer is there, and the sidecar has nothing to add to a stream that ends.
    answer = b'data: {"jsonrpc":"2.0","id":7,"result":{}}\n\n'
    arguments = {"chunks": [base64.b64encode(part).decode() for part in (*chunks, answer)]}
    for is_unusual in (False, True):
        asked = raw_client.request("legacy", "given", is_unusual, arguments)
        here, there = (raw_client.call(port, asked, 10.0) for port in (wire.port, front.port))
        assert there == here and here["bytes"] == len(whole + answer)


def test_the_shapes_of_the_fixture_leave_as_they_came(tmp_path: Path) -> None:
    """Every body that is JSON to all, and no key of it twice, passes byte for byte."""
    play = Play(tmp_path / "policies", SECRETS)
    changed = set()
    for name, make in BODIES.items():
        body = make(Ask(b"7", name, False))
        exchange = play.post({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "t", "arguments": {}}})
        if play.answer(exchange, body) != body:
            changed.add(name)
    refused = "control-raw tab-raw utf-16 trailing-garbage trailing-nul trailing-comma single-quotes two-objects json-cut"
    numbers = "number-leading-zero number-plus number-hex envelope-misspelt deep-10000"
    doubled = "duplicate-in-content duplicate-id duplicate-result duplicate-escaped"
    assert changed == set(f"{refused} {numbers} {doubled}".split())
