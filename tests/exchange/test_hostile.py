"""Clients and servers that try to get past the judge: by ids, encodings, spellings, streams and sizes."""

import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard

from sidecar.decode.encodings import decoded
from tests.exchange.test_pipeline import call, data_of, result
from tests.play import ACCESS, SECRETS, aws_key

ONLY_GET = SECRETS.replace("match: {direction: response}", "match: {direction: response, tool: get}").replace(
    "{server: a, tool: t, args: {}, result:", "{server: a, tool: get, args: {}, result:"
)
"""Redacts only in answers of the tool ``get``, so an answer that is not seen as one of it would pass."""


def listing(rpc_id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": {"tools": [{"name": "get"}, {"name": "delete_all"}]}}


@pytest.mark.parametrize("rpc_id", ["1", 1.0])
def test_an_id_that_clients_match_loosely_is_matched_here(play: Any, rpc_id: Any) -> None:
    """A server that answers request 1 as "1" is understood by clients, so its answer is judged as that answer."""
    sidecar = play(ACCESS, ONLY_GET)
    exchange = sidecar.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert b"delete_all" not in sidecar.answer(exchange, listing(rpc_id))
    assert sidecar.calls[0]["status"] == "ok"


def test_an_answer_on_another_stream_of_the_session(play: Any) -> None:
    """Clients take an answer from any stream of their session, so it is the same answer here."""
    sidecar = play(ONLY_GET)
    exchange = sidecar.post(call(), mcp_session_id="s")
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    assert b"[secrets.aws-key]" in send(result(aws_key()))
    sidecar.stream(exchange)
    assert sidecar.pipeline.close(exchange, "") == b""
    assert [row["status"] for row in sidecar.calls] == ["ok"]


def test_an_empty_message_before_the_answer_closes_nothing(play: Any) -> None:
    """Real servers replay empty messages; the answer that follows is still judged as the answer."""
    sidecar = play(ONLY_GET)
    send = sidecar.stream(sidecar.post(call()))
    send({})
    assert b"[secrets.aws-key]" in send(result(aws_key()))
    assert [row["status"] for row in sidecar.calls] == ["ok"]


def test_a_client_that_leaves_and_resumes_gets_a_judged_answer(play: Any) -> None:
    """Leaving a stream and fetching its answer elsewhere is no way around the rules of the tool."""
    sidecar = play(ONLY_GET)
    exchange = sidecar.post(call(), mcp_session_id="s")
    sidecar.stream(exchange)(b"id: 1\ndata:\n\n")
    sidecar.pipeline.close(exchange, "client")
    send = sidecar.stream(sidecar.get(mcp_session_id="s", last_event_id="1"))
    assert b"[secrets.aws-key]" in send(result(aws_key()))
    assert [row["status"] for row in sidecar.calls] == ["cancelled"]


def test_redacting_a_list_still_filters_it(play: Any) -> None:
    """A secret in one description does not bring a denied tool back into view."""
    sidecar = play(ACCESS, SECRETS)
    exchange = sidecar.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    answer = listing(1)
    answer["result"]["tools"][0]["description"] = aws_key()
    got = sidecar.answer(exchange, answer)
    assert b"delete_all" not in got
    assert b"[secrets.aws-key]" in got


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping"}',
        b'{"Jsonrpc":"2.0","id":1,"Method":"tools/call","Params":{"name":"delete_all"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","Name":"delete_all"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["delete_all"]}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"' + b"x" * 2000 + b'"}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":1,"method":"b"}]',
        b'{"jsonrpc":"2.0","id":1,"method":"a","params":' + b"[" + b"1," * 300_000 + b"1]}",
    ],
)
def test_a_request_peers_may_read_differently_is_refused(play: Any, body: bytes) -> None:
    """Spelling, shape and size that servers disagree about reach none."""
    assert play().post(body).reply.status == 400


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset = utf-7", "application/json; charset=utf-8; charset=utf-7", "application/json;charset='utf-7'"],
)
def test_no_spelling_of_another_charset_passes(play: Any, content_type: str) -> None:
    """A body that a server would decode in another way is refused, however the header says so."""
    assert play().post(call(), content_type=content_type).reply.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}',
        b"\xef\xbb\xbf{}",
        '{"method":"x"}'.encode("utf-16"),
        b'\x0c{"method":"x"}',
        '\u00a0{"method":"x"}'.encode(),
    ],
)
def test_another_content_type_is_no_way_around(play: Any, body: bytes) -> None:
    """JSON is judged, or refused, under whatever type it is sent."""
    assert play().post(body, content_type="text/plain").reply.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        '{"jsonrpc":"2.0","id":1,"result":{}}'.encode("utf-16"),
        b'{"jsonrpc":"2.0","id":1,"Result":{"a":1}}',
    ],
)
def test_an_answer_that_cannot_be_read_safely_is_an_error(play: Any, body: bytes) -> None:
    """What a client might understand and we do not is not passed on; the client reads an error with its id."""
    sidecar = play()
    said = json.loads(sidecar.answer(sidecar.post(call()), body))
    assert said["id"] == 1
    assert said["error"]["code"] == -32000
    assert sidecar.calls[0]["status"] == "blocked"


def test_an_integer_of_five_thousand_digits_is_still_an_answer(play: Any) -> None:
    """Python refuses such numbers and JavaScript does not; the rest of the answer is judged."""
    sidecar = play()
    body = b'{"jsonrpc":"2.0","id":1,"result":{"n":' + b"1" * 5000 + b',"k":"' + aws_key().encode() + b'"}}'
    assert b"[secrets.aws-key]" in sidecar.answer(sidecar.post(call()), body)


def test_the_first_of_two_equal_keys_does_not_pass_unread(play: Any) -> None:
    """Clients read the last of two equal keys; the first must not travel along in the bytes, or in the record."""
    sidecar = play()
    body = b'{"jsonrpc":"2.0","id":1,"result":{"t":"' + aws_key().encode() + b'"},"result":{"t":"x"}}'
    assert aws_key().encode() not in sidecar.answer(sidecar.post(call()), body)
    assert aws_key().encode() not in sidecar.everything


def test_a_secret_in_a_header_alone_is_refused(play: Any) -> None:
    """A header that mirrors the body may not say what the body does not."""
    exchange = play().post(call(), mcp_protocol_version="2026-07-28", mcp_param_key=aws_key())
    assert exchange.reply.status == 400


def test_a_mirrored_header_is_redacted_with_the_body(play: Any) -> None:
    """Where a rule redacts an argument, the header that repeats it is redacted too."""
    policy = SECRETS.replace("action: block", "action: redact").replace("verdict: block", "verdict: redact")
    exchange = play(policy).post(call(aws_key()), mcp_protocol_version="2026-07-28", mcp_param_text=aws_key())
    assert aws_key().encode() not in exchange.request.body
    assert exchange.request.set_headers == {"mcp-param-text": "[secrets.aws-key]"}


def test_what_a_client_calls_itself_is_masked(play: Any) -> None:
    """A secret in a client's name, a version or an id is in no column of the record."""
    sidecar = play()
    info = {"name": aws_key(), "version": aws_key()}
    hello = {
        "jsonrpc": "2.0", "id": aws_key(), "method": "initialize", "params": {"clientInfo": info, "protocolVersion": aws_key()}
    }  # fmt: skip
    sidecar.post(hello, mcp_protocol_version=aws_key())
    assert sidecar.calls
    assert aws_key().encode() not in sidecar.everything


def test_what_was_not_looked_at_is_not_kept(play: Any) -> None:
    """A payload of which a bound left something unread is not recorded at all, and says why."""
    sidecar = play()
    nested: Any = aws_key()
    for _ in range(150):
        nested = [nested]
    sidecar.answer(sidecar.post(call()), {"jsonrpc": "2.0", "id": 1, "result": {"deep": nested}})
    assert "not kept" in sidecar.calls[0]["response"]
    assert aws_key().encode() not in sidecar.everything


def test_a_cancelled_call_is_recorded_as_that(play: Any) -> None:
    """A server that goes silent after a cancellation leaves a cancelled call, and no error event nobody waits for."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    sidecar.stream(exchange)
    sidecar.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, mcp_session_id="s")
    assert sidecar.pipeline.close(exchange, "") == b""
    assert [row["status"] for row in sidecar.calls if row["method"] == "tools/call"] == ["cancelled"]


def test_a_question_that_is_replayed_is_one_call(play: Any) -> None:
    """A resumed stream repeats the server's question; it stays one question, answered once."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    question = {"jsonrpc": "2.0", "id": 4, "method": "roots/list"}
    assert data_of(send(question)) == data_of(send(question))
    sidecar.post({"jsonrpc": "2.0", "id": 4, "result": {"roots": []}}, mcp_session_id="s")
    assert [row["status"] for row in sidecar.calls] == ["ok"]


def test_monitoring_hides_nothing(play: Any) -> None:
    """Held to saying what it would do, the sidecar leaves lists as they are."""
    sidecar = play(ACCESS)
    sidecar.pipeline.services.message_judge._cap = "monitor"
    exchange = sidecar.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert b"delete_all" in sidecar.answer(exchange, listing(1))


def test_a_fault_while_answering_still_ends_the_call(play: Any) -> None:
    """When judging an answer fails, the call is recorded and the client gets an error with its id."""
    sidecar = play()
    exchange = sidecar.post(call())
    sidecar.pipeline.services.message_judge.judge = None
    with pytest.raises(TypeError):
        sidecar.answer(exchange, result())
    exchange.reply = sidecar.pipeline.fail_internally(exchange, "a test")
    assert json.loads(exchange.reply.body)["id"] == 1
    assert [row["status"] for row in sidecar.calls] == ["blocked"]


def test_content_codings_are_bounded() -> None:
    """Only codings every client reads alike are undone, and never beyond the bound."""
    plain = b"x" * 1000
    packed = [("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain)), ("deflate", zlib.compress(plain)[2:-4])]
    for encoding, raw in [*packed, ("br", brotli.compress(plain)), ("zstd", zstandard.compress(plain)), ("identity", plain)]:
        assert decoded(raw, encoding) == plain
    for raw, encoding in (
        (b"abc", "gzip"), (gzip.compress(b"x")[:-4], "gzip"), (gzip.compress(b"x") + b"more", "gzip"),
        (b"eA==", "base64"), (b"x", "rot13"), (b"x", "br"), (b"x", "zstd"), (b"x", "deflate"),
        (gzip.compress(b"\0" * (129 << 20), 1), "gzip"), (brotli.compress(b"\0" * (129 << 20), quality=1), "br"),
        (zstandard.compress(b"\0" * (129 << 20)), "zstd"), (brotli.compress(b"x" * 99)[:-2], "br"),
        (zstandard.compress(b"x" * 99)[:-2], "zstd"), (zstandard.compress(b"x") + b"more", "zstd"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="it is"):
            decoded(raw, encoding)


def test_a_token_that_is_only_handed_back_is_left_alone(play: Any) -> None:
    """A server may seal its state in anything, a JWT too; changing it would fail the call. The record masks it all the same."""
    sidecar = play()
    state = {"resultType": "input_required", "requestState": aws_key(), "inputRequests": {}}
    got = sidecar.answer(sidecar.post(call()), {"jsonrpc": "2.0", "id": 1, "result": state})
    assert json.loads(got)["result"]["requestState"] == aws_key()
    again = call()
    again["params"]["requestState"] = aws_key()
    assert sidecar.post(again).reply is None
    again["params"]["arguments"] = {"requestState": aws_key()}
    assert sidecar.post(again).reply is not None, "an argument of that name is an argument"
    assert aws_key().encode() not in sidecar.everything


def test_an_id_of_thirty_digits_in_an_answer_is_recorded(play: Any) -> None:
    """A batch with wrong UTF-8 and such an id is read by some clients; it is judged and recorded like any, by its digits."""
    sidecar = play()
    body = b'[{"jsonrpc":"2.0","id":%d,"method":"roots/list"},{"jsonrpc":"2.0","id":1,"result":{"t":"\xff"}}]' % 10**30
    sidecar.answer(sidecar.post(call()), body)
    sidecar.pipeline.stop()
    assert {row["rpc_id"] for row in sidecar.calls} == {"1", str(10**30)}


def test_a_message_only_some_clients_see_is_not_passed_on(play: Any) -> None:
    """Clients that end lines at U+2028 would read a message in an event's id; they read an error instead."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call()))
    hidden = json.dumps(result("".join(f"\\u{ord(each):04x}" for each in aws_key()))).replace("\\\\", "\\")
    got = send(f"id: 1\u2028data: {hidden}\n\n".encode())
    assert data_of(got)["error"]["code"] == -32000
    assert b"u0041" not in got
    assert sidecar.calls[0]["status"] == "blocked"


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_message_under_the_name_of_an_endpoint_is_judged(play: Any, method: str) -> None:
    """Clients that read no names of events take it for the answer, so it is redacted like one."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    send = sidecar.stream(exchange if method == "POST" else sidecar.get(mcp_session_id="s"))
    sent = send(b"event: endpoint\ndata: " + json.dumps(result(aws_key())).encode() + b"\n\n")
    assert b"[secrets.aws-key]" in sent
    assert aws_key().encode() not in sent


def test_a_message_in_place_of_the_first_endpoint_is_judged(play: Any) -> None:
    """What asks the client for something is a question of the server, whatever its event is called."""
    sidecar = play()
    send = sidecar.stream(sidecar.get("/sse", accept="text/event-stream"))
    send(b'event: endpoint\ndata: {"jsonrpc": "2.0", "id": 1, "method": "roots/list"}\n\n')
    sidecar.pipeline.stop()
    assert [each["method"] for each in sidecar.calls] == ["roots/list"]
