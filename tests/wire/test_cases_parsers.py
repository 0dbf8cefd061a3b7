"""Cases 6, 8 to 10, 20 and 24: what one parser reads and another refuses, or reads in another way."""

import base64
import gzip
import json
import time
import zlib
from typing import Any

import pytest

from sidecar import limits
from sidecar.decode.anomalies import TEXTS
from sidecar.state.exchange import Exchange
from tests.exchange.test_pipeline import call, data_of, result
from tests.play import ACCESS, SECRETS, Play, aws_key, reply_to

PLAIN = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{"n":1.00,"t":"\xc3\xa9"}}}'
SURROGATE = PLAIN.replace(b"\xc3\xa9", b"\\ud800")

ODD: list[tuple[str, bytes, dict[str, str], bytes]] = [
    ("duplicate-key", PLAIN.replace(b'"n":1.00', b'"n":5,"n":1.00'), {}, PLAIN),
    ("duplicate-key", PLAIN.replace(b'"name":"get"', b'"name":"delete_all","n\\u0061me":"get"'), {}, PLAIN),
    ("byte-order-mark", b"\xef\xbb\xbf" + PLAIN, {}, PLAIN),
    ("utf-16", PLAIN.decode().encode("utf-16-le"), {}, PLAIN),
    ("utf-16", PLAIN.decode().encode("utf-16"), {}, PLAIN),
    ("charset", PLAIN.decode().encode("utf-16"), {"content_type": "application/json; charset=utf-16"}, PLAIN),
    ("utf-32", PLAIN.decode().encode("utf-32-be"), {}, PLAIN),
    ("invalid-utf8", PLAIN.replace(b"\xc3\xa9", b"\xc0\xaf"), {}, PLAIN.replace(b"\xc3\xa9", "\ufffd\ufffd".encode())),
    ("lone-surrogate", SURROGATE.replace(b": ", b":"), {}, SURROGATE),
    ("encoded", gzip.compress(PLAIN), {"content_encoding": "gzip"}, PLAIN),
    ("encoded", zlib.compress(PLAIN), {"content_encoding": "deflate"}, PLAIN),
]  # fmt: skip


def canonical(sidecar: Play) -> Play:
    """The same sidecar, set to settle what is odd."""
    sidecar.server = sidecar.server.model_copy(update={"parsing": "canonical"})
    return sidecar


@pytest.mark.parametrize(("name", "body", "headers", "_plain"), ODD)
def test_case_08_09_10_11_what_is_read_differently_is_refused(
    play: Any, name: str, body: bytes, headers: dict[str, str], _plain: bytes
) -> None:
    """By default nothing reaches the server that it might read in another way than we did; the record names what it was."""
    sidecar = play()
    answer = sidecar.post(body, **headers).reply
    assert answer.status == 400 and json.loads(answer.body)["id"] is None
    assert json.loads(answer.body)["error"]["code"] in (-32700, -32600)
    assert sidecar.findings[0]["rule"] == f"wire.{name}" and sidecar.calls[0]["error_type"] == name
    assert (sidecar.calls[0]["status"], sidecar.calls[0]["verdict"]) == ("blocked", "block")


@pytest.mark.parametrize(("name", "body", "headers", "plain"), ODD)
def test_case_08_09_10_11_or_passed_on_as_what_was_judged(
    play: Any, name: str, body: bytes, headers: dict[str, str], plain: bytes
) -> None:
    """With ``parsing: canonical`` the server gets one plain JSON of what was judged, and the record says so."""
    sidecar = canonical(play())
    exchange = sidecar.post(body, **headers)
    assert exchange.reply is None and exchange.request.body == plain
    assert exchange.request.set_headers["content-type"] == "application/json"
    sidecar.answer(exchange, result())
    row = sidecar.calls[0]
    assert name in row["anomalies"] and name in TEXTS
    assert (sidecar.calls[0]["status"], sidecar.calls[0]["verdict"], sidecar.calls[0]["tool"]) == ("ok", "allow", "get")


def test_case_08_the_last_of_two_keys_is_what_is_judged(play: Any) -> None:
    """A name written twice is no way to a tool that may not be called: servers execute the last one, and that is judged."""
    sidecar = canonical(play(ACCESS))
    said = sidecar.post(PLAIN.replace(b'"name":"get"', b'"name":"get","name":"delete_all"'))
    assert b"Deleting is not for agents" in reply_to(said).body


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PLAIN.replace(b"1.00", b"NaN"), {}), (PLAIN.replace(b"1.00", b"-Infinity"), {}), (PLAIN[:-1], {}), (PLAIN * 2, {}),
        (PLAIN.replace(b'"method"', b'"Method"'), {}), (PLAIN.replace(b"1.00", b"[" * 200 + b"]" * 200), {}),
        (PLAIN, {"content_type": "application/json; charset=utf-16"}), (PLAIN, {"content_encoding": "gzip"}),
        (PLAIN, {"content_type": "application/json; charset=utf-8; charset=utf-16"}),
        (b"\x1f\x8b", {"content_encoding": "gzip"}),
        (gzip.compress(PLAIN)[:-5], {"content_encoding": "gzip"}), (PLAIN, {"content_encoding": "gzip, gzip"}),
        (gzip.compress(b" " * (limits.REQUEST_BYTES_MAX + 1)), {"content_encoding": "gzip"}),
        (PLAIN.replace(b"1.00", b"[" * 10_000 + b"]" * 10_000), {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("parsing", ["refuse", "canonical"])
def test_case_08_09_10_24_what_has_no_sure_form_is_refused_always(
    play: Any, body: bytes, headers: dict[str, str], parsing: str
) -> None:
    """Where no form says the same to every parser, nothing is guessed."""
    sidecar = canonical(play()) if parsing == "canonical" else play()
    assert reply_to(sidecar.post(body, **headers)).status == 400
    assert sidecar.calls[0]["status"] == "blocked"


@pytest.mark.parametrize("content_type", ["application/json-x", "text/plain", "application/json;charset=UTF-8", ""])
def test_case_10_a_type_that_some_servers_take_for_json_is_judged(play: Any, content_type: str) -> None:
    """Whatever a server might execute was judged, and what the server says to such a type the client reads."""
    sidecar = play()
    assert b"isError" in sidecar.post(call(aws_key()), content_type=content_type).reply.body
    exchange = sidecar.post(PLAIN, content_type=content_type)
    assert exchange.reply is None and exchange.request.body is PLAIN


@pytest.mark.parametrize(
    ("name", "answer", "rewritten"),
    [
        (
            "byte-order-mark",
            b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"result":{"n":1.00}}',
            b'{"jsonrpc":"2.0","id":1,"result":{"n":1.00}}',
        ),
        (
            "invalid-utf8",
            b'{"jsonrpc":"2.0","id":1,"result":{"t":"\xff"}}',
            '{"jsonrpc":"2.0","id":1,"result":{"t":"\ufffd"}}'.encode(),
        ),
        (
            "lone-surrogate",
            b'{"jsonrpc":"2.0","id":1, "result":{"t":"\\ud800"}}',
            b'{"jsonrpc":"2.0","id":1,"result":{"t":"\\ud800"}}',
        ),
        ("not-a-number", b'{"jsonrpc":"2.0","id":1,"result":{"n":NaN}}', None),
    ],
)
def test_case_09_an_odd_answer_passes_and_is_told(play: Any, name: str, answer: bytes, rewritten: bytes | None) -> None:
    """One client refuses it and another reads what we read, so it passes as it came, or rewritten where that is asked for."""
    sidecar = play()
    assert sidecar.answer(sidecar.post(call()), answer) is answer
    assert (sidecar.calls[0]["status"], sidecar.calls[0]["anomalies"]) == ("ok", [name])
    again = canonical(sidecar)
    assert again.answer(again.post(call()), answer) == (rewritten or answer)


@pytest.mark.parametrize("version", ["2025-03-26", "2025-11-25", "2026-07-28"])
def test_case_06_every_member_of_a_batch_is_judged(play: Any, version: str) -> None:
    """Requests, notifications and answers in one array, at any revision: one that is refused refuses them all."""
    sidecar = play()
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    fine = sidecar.post(
        [call("a", 1), note, {"jsonrpc": "2.0", "id": 9, "result": {}}, call("b", 2)], mcp_protocol_version=version
    )
    assert fine.reply is None
    said = sidecar.post([call("a", 1), note, call(aws_key(), 2)], mcp_protocol_version=version).reply
    assert [each["id"] for each in json.loads(said.body)] == [1, 2]
    assert sidecar.post([note, {"jsonrpc": "2.0", "method": "x", "params": {"k": aws_key()}}]).reply.status == 202


@pytest.mark.parametrize("batch", [[], [[]], [1], [None], [{"jsonrpc": "2.0", "id": 1, "method": "a"}] * 2, [call()] * 101])
def test_case_06_a_batch_that_is_none(play: Any, batch: Any) -> None:
    """Empty, nested, of no messages, with an id twice, or too long: refused as a whole."""
    assert play().post(batch).reply.status == 400


def test_case_06_a_batch_in_an_event(play: Any) -> None:
    """Revision 2025-03-26 allows an array as an event's data; its members are judged and the rest stays."""
    sidecar = play()
    exchange = sidecar.post([call("a", 1), call("b", 2)])
    send = sidecar.stream(exchange)
    raw = b"id: 7\ndata: " + json.dumps([result("x", 1), result(aws_key(), 2)]).encode() + b"\n\n"
    got = send(raw)
    assert got.startswith(b"id: 7\n") and [each["id"] for each in data_of(got)] == [1, 2]
    assert b"[secrets.aws-key]" in got and [row["status"] for row in sidecar.calls] == ["ok", "ok"]


def test_case_08_proto_is_an_ordinary_key(play: Any) -> None:
    """A key that means something to JavaScript is judged like any and passes as it is."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{"__proto__":{"x":"%s"}}}}'
    assert play().post(body % b"hello").reply is None
    assert b"isError" in play().post(body % aws_key().encode()).reply.body


def modern(play: Play, **headers: str) -> Exchange:
    body = call()
    body["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    named = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": "get"}
    return play.post(body, **(named | headers))


def test_case_20_headers_that_say_something_else(play: Any) -> None:
    """The body is what is judged and the server's refusal what the client reads; that header and body differ is recorded."""
    sidecar = play(ACCESS)
    for headers, name in (
        ({}, ""), ({"mcp_name": "=?base64?Z2V0?="}, ""), ({"mcp_method": "tools/list"}, "header-mismatch"),
        ({"mcp_name": "delete_all"}, "header-mismatch"), ({"mcp_name": "=?base64?%%?="}, "header-mismatch"),
        ({"mcp_name": "get, get"}, "header-mismatch"), ({"mcp_protocol_version": "2025-11-25"}, "version-mismatch"),
    ):  # fmt: skip
        exchange = modern(sidecar, **headers)
        assert exchange.reply is None
        sidecar.answer(exchange, result())
        assert sidecar.calls[-1].get("anomalies", []) == ([name] if name else [])


@pytest.mark.parametrize("times", [1, 2])
def test_case_20_a_secret_in_an_encoded_header_is_seen(play: Any, times: int) -> None:
    """A value that only an encoded header holds does not travel past, also when the header stands twice."""
    hidden = f"=?base64?{base64.b64encode(aws_key().encode()).decode()}?="
    exchange = modern(play(), mcp_param_key=", ".join([hidden] * times))
    assert reply_to(exchange).status == 400


def test_case_20_a_redacted_argument_does_not_leak_through_its_header(play: Any) -> None:
    """The header that mirrors an argument becomes what the argument becomes, in the header's own encoding."""
    policy = SECRETS.replace("action: block\n    message: It contains a credential.", "action: redact").replace(
        "expect: {verdict: block, rules: [secrets.out]}", "expect: {verdict: redact, rules: [secrets.out]}"
    )
    sidecar = play(policy)
    encoded = base64.b64encode(f"kéy {aws_key()}".encode()).decode()
    headers = {"mcp_param_text": f"=?base64?{encoded}?=", "mcp_name": "get", "mcp_param_n": "42"}
    exchange = sidecar.post(call(f"kéy {aws_key()}"), mcp_protocol_version="2026-07-28", **headers)
    expected = base64.b64encode("kéy [secrets.aws-key]".encode()).decode()
    assert exchange.request.set_headers == {"mcp-param-text": f"=?base64?{expected}?="}
    assert json.loads(exchange.request.body)["params"]["arguments"]["text"] == "kéy [secrets.aws-key]"


@pytest.mark.parametrize(
    "arguments",
    [
        b"[" * 127 + b"]" * 127, b"{" + b",".join(b'"%d":0' % each for each in range(190_000)) + b"}",
        b'"' + b"a@b." * 500_000 + b'"', b'"' + b"((a+)+)+$" * 100_000 + b'"', b"[" + b"1," * 150_000 + b"1]",
        b"[" * 100_000, b"[" * 10_000 + b"]" * 10_000, b"[" + b"0," * 1_000_000 + b"0]",
    ],
)  # fmt: skip
def test_case_24_deep_wide_and_long_messages_end_in_time(play: Any, arguments: bytes) -> None:
    """Whatever its shape, a message is judged or refused within seconds, both ways."""
    sidecar = play()
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{"x":%s}}}' % arguments
    started = time.process_time()
    exchange = sidecar.post(body)
    assert exchange.reply is None or reply_to(exchange).status == 400 or b"isError" in reply_to(exchange).body
    answered = sidecar.post(call(rpc_id=2))
    sidecar.answer(answered, b'{"jsonrpc":"2.0","id":2,"result":{"x":%s}}' % arguments)
    assert time.process_time() - started < 10
    assert sidecar.calls[-1]["status"] in ("ok", "blocked")
