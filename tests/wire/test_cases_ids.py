"""Cases 1 to 5 and 7: ids and numbers that peers count, compare and round in their own ways."""

import json
from typing import Any

import pytest

from sidecar.decode import jsonrpc
from tests.exchange.test_hostile import ONLY_GET
from tests.exchange.test_pipeline import call, data_of, result
from tests.play import ACCESS, SECRETS, aws_key


@pytest.mark.parametrize("rpc_id", [0, "", -1, "x" * 300, 2**53 - 1, "0"])
def test_case_01_falsy_and_odd_ids(play: Any, rpc_id: Any) -> None:
    """Zero, the empty text and long ids are ids: the call is answered, recorded and refused under them."""
    sidecar = play()
    got = sidecar.answer(sidecar.post(call(rpc_id=rpc_id)), result(aws_key(), rpc_id))
    assert json.loads(got)["id"] == rpc_id and b"[secrets.aws-key]" in got
    assert json.loads(sidecar.post(call(aws_key(), rpc_id)).reply.body)["id"] == rpc_id
    assert [row["status"] for row in sidecar.calls] == ["ok", "blocked"]


def test_case_02_one_and_the_text_one(play: Any) -> None:
    """``1`` and ``"1"`` under way together in one session, and ``1`` in another: each answer is judged as its own call's."""
    sidecar = play(ONLY_GET)
    number = sidecar.post(call("a", 1, "other"), mcp_session_id="s")
    text = sidecar.post(call("b", "1", "get"), mcp_session_id="s")
    elsewhere = sidecar.post(call("c", 1, "get"), mcp_session_id="t")
    assert aws_key().encode() in sidecar.answer(number, result(aws_key(), 1))
    assert b"[secrets.aws-key]" in sidecar.answer(text, result(aws_key(), "1"))
    assert b"[secrets.aws-key]" in sidecar.answer(elsewhere, result(aws_key(), 1))
    assert [(row["tool"], row["rpc_id"]) for row in sidecar.calls] == [("other", "1"), ("get", '"1"'), ("get", "1")]


def test_case_02_parallel_posts_without_a_session(play: Any) -> None:
    """Modern clients have no session and all count from one: what belongs together is the exchange."""
    sidecar = play(ONLY_GET)
    exchanges = [sidecar.post(call("x", 1, tool), mcp_protocol_version="2026-07-28") for tool in ("get", "other", "get")]
    got = [aws_key().encode() in sidecar.answer(each, result(aws_key(), 1)) for each in reversed(exchanges)]
    assert got == [False, True, False]
    assert [row["tool"] for row in sidecar.calls] == ["get", "other", "get"]


def test_case_03_an_id_that_is_in_flight_twice(play: Any) -> None:
    """A client that uses an id again before its answer came has both exchanges recorded, each with its own answer."""
    sidecar = play()
    first, second = (sidecar.post(call(text, 5), mcp_session_id="s") for text in ("one", "two"))
    sidecar.answer(second, result("for two", 5))
    sidecar.answer(first, result("for one", 5))
    assert [("two" in row["request"], row["status"]) for row in sidecar.calls] == [(True, "ok"), (False, "ok")]
    assert "for one" in sidecar.calls[1]["response"]


@pytest.mark.parametrize("rpc_id", ["null", "1.5", "1.0", "1e2", "true", "[1]", '{"a":1}'])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_case_04_an_id_that_is_none(play: Any, rpc_id: str, version: str) -> None:
    """What one server drops as a notification and another executes is refused: 400, -32600."""
    sidecar = play()
    body = b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"get"}}' % rpc_id.encode()
    answer = sidecar.post(body, mcp_protocol_version=version).reply
    assert answer.status == 400
    assert json.loads(answer.body) == {"jsonrpc": "2.0", "id": None, "error": json.loads(answer.body)["error"]}
    assert json.loads(answer.body)["error"]["code"] == jsonrpc.INVALID_REQUEST
    assert sidecar.findings[0]["rule"] == "wire.not-a-message"


@pytest.mark.parametrize(
    "answer",
    [
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}',
        b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}',
        b'{"jsonrpc":"2.0","id":99,"error":{"code":-32600,"message":"no"}}',
    ],
)
def test_case_05_an_error_with_a_strange_id_from_the_server(play: Any, answer: bytes) -> None:
    """It is passed on as it came, since clients differ in what they make of it; and the call is not left open."""
    sidecar = play()
    assert sidecar.answer(sidecar.post(call(rpc_id=1)), answer, 400) is answer
    assert [row["status"] for row in sidecar.calls] == ["error"]


def test_case_05_ours_always_have_the_id(play: Any) -> None:
    """Whatever is refused or fails here for a request is answered under its id, on 200 as on 5xx."""
    sidecar = play(ACCESS, SECRETS)
    for rpc_id in (0, "a", 7):
        for method, params in (
            ("tools/call", {"name": "delete_all"}),
            ("prompts/get", {"name": "p", "arguments": {"k": aws_key()}}),
        ):
            body = {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}
            assert json.loads(sidecar.post(body).reply.body)["id"] == rpc_id
        exchange = sidecar.post(call(rpc_id=rpc_id))
        exchange.reply = sidecar.pipeline.fail(exchange, "gone", 502)
        assert json.loads(exchange.reply.body)["id"] == rpc_id


BIG = "12345678901234567890123"
NUMBERS = f"[{'9' * 400},1e400,-0.0,1.0,1.0000000000000000001,{BIG},-{BIG}]"


def test_case_07_numbers_keep_their_digits(play: Any) -> None:
    """Numbers no float can hold arrive as they were written, untouched, redacted, in a batch, filtered and with a key twice."""
    sidecar = play(ACCESS, SECRETS)
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{"n":%s}}}' % NUMBERS.encode()
    exchange = sidecar.post(body)
    assert exchange.reply is None and exchange.request.body is body
    answer = b'{"jsonrpc":"2.0","id":1,"result":{"n":%s,"k":"%s"}}' % (NUMBERS.encode(), aws_key().encode())
    assert sidecar.answer(exchange, answer) == answer.replace(aws_key().encode(), b"[secrets.aws-key]")
    batch = b"[" + body + b"," + body.replace(b'"id":1', b'"id":2') + b"]"
    exchange = sidecar.post(batch)
    assert exchange.request.body is batch
    answers = b"[" + answer + b"," + answer.replace(b'"id":1', b'"id":2') + b"]"
    assert sidecar.answer(exchange, answers) == answers.replace(aws_key().encode(), b"[secrets.aws-key]")
    twice = b'{"jsonrpc":"2.0","id":3,"result":{"a":0,"n":%s,"a":1}}' % NUMBERS.encode()
    got = sidecar.answer(sidecar.post(call(rpc_id=3)), twice)
    assert got == b'{"jsonrpc":"2.0","id":3,"result":{"a":1,"n":%s}}' % NUMBERS.encode()
    listing = b'{"jsonrpc":"2.0","id":4,"result":{"n":%s,"tools":[{"name":"delete_all"}]}}' % NUMBERS.encode()
    asked = sidecar.post({"jsonrpc": "2.0", "id": 4, "method": "tools/list"})
    assert sidecar.answer(asked, listing) == b'{"jsonrpc":"2.0","id":4,"result":{"n":%s,"tools":[]}}' % NUMBERS.encode()


@pytest.mark.parametrize("answered", [BIG, "1.2345678901234568e+22"])
def test_case_07_an_id_of_23_digits(play: Any, answered: str) -> None:
    """Such an id passes as it is written, its answer is found though the server rounded it, and refusals repeat it exactly."""
    sidecar = play(ONLY_GET, ACCESS)
    body = b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"%s"}}'
    exchange = sidecar.post(body % (BIG.encode(), b"get"), mcp_session_id="s")
    assert exchange.reply is None and exchange.request.body == body % (BIG.encode(), b"get")
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    said = b'data: {"jsonrpc":"2.0","id":%s,"result":{"k":"%s"}}\n\n' % (answered.encode(), aws_key().encode())
    assert send(said) == said.replace(aws_key().encode(), b"[secrets.aws-key]")
    assert (sidecar.calls[0]["status"], sidecar.calls[0]["rpc_id"]) == ("ok", BIG)
    refused = sidecar.post(body % (BIG.encode(), b"delete_all")).reply
    assert b'"id":' + BIG.encode() in refused.body


def test_case_07_long_ids_that_begin_alike_are_two(play: Any) -> None:
    """Texts of many digits are not taken for one another."""
    sidecar = play(ONLY_GET)
    ids = ["9" * 30 + "1", "9" * 30 + "2"]
    for rpc_id, tool in zip(ids, ("other", "get"), strict=True):
        sidecar.post(call("x", rpc_id, tool), mcp_session_id="s")
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    assert [aws_key() in json.dumps(data_of(send(result(aws_key(), each)))) for each in ids] == [True, False]
