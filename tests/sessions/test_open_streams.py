"""The transport of 2024-11-05: one stream for all answers, and POSTs that only say they were accepted."""

import json
from typing import Any

import pytest

from sidecar.state.exchange import Exchange
from tests.exchange.test_pipeline import call, data_of, result
from tests.play import ACCESS, SECRETS, aws_key

POST = "/message?sessionId=5f"


def session(sidecar: Any, endpoint: str = POST, path: str = "/sse") -> tuple[Exchange, Any]:
    """The stream of a new session, and what sends one event on it."""
    stream = sidecar.get(path, host="127.0.0.1:9001")
    send = sidecar.stream(stream)
    event = f"event: endpoint\ndata: {endpoint}\n\n".encode()
    assert send(event) == event
    return stream, send


def test_a_call_and_its_answer_on_the_stream_are_one(play: Any) -> None:
    """The POST is only accepted; what comes on the stream answers it, is judged as its answer, and is recorded once."""
    sidecar = play()
    _, send = session(sidecar)
    exchange = sidecar.post(call(), POST)
    sidecar.answer(exchange, b"Accepted", 202)
    assert sidecar.calls == []
    assert b"[secrets.aws-key]" in send(result(aws_key()))
    (row,) = sidecar.calls
    assert (row["transport"], row["status"], row["tool"], row["session_kind"]) == ("sse", "ok", "get", "mcp-session")


def test_a_refused_call_is_answered_on_the_stream(play: Any) -> None:
    """The server is not asked; the POST is accepted and the model reads the refusal where it waits for the answer."""
    sidecar = play()
    stream, _ = session(sidecar)
    exchange = sidecar.post(call(aws_key()), POST)
    assert (exchange.reply.status, exchange.reply.body) == (202, b"Accepted")
    ((where, event),) = sidecar.injected
    assert where is stream
    assert event.startswith(b"event: message\ndata: ")
    assert data_of(event)["id"] == 1
    assert data_of(event)["result"]["isError"] is True
    assert [row["status"] for row in sidecar.calls] == ["blocked"]


@pytest.mark.parametrize("method", ["prompts/get", "initialize"])
def test_a_refused_request_of_another_kind_is_answered_there_too(play: Any, method: str) -> None:
    """Even a refused handshake: a POST that fails would end the client's writer and leave it waiting."""
    sidecar = play()
    session(sidecar)
    message = {"jsonrpc": "2.0", "id": "x", "method": method, "params": {"name": "n", "arguments": {"k": aws_key()}}}
    assert sidecar.post(message, POST).reply.status == 202
    assert data_of(sidecar.injected[0][1])["error"]["code"] == 1403


def test_a_server_that_cannot_be_reached_is_told_on_the_stream(play: Any) -> None:
    """Its client waits on the stream, so that is where the error has to be."""
    sidecar = play()
    session(sidecar)
    exchange = sidecar.post(call(), POST)
    exchange.reply = sidecar.pipeline.fail(exchange, "connection refused", 502)
    assert exchange.reply.status == 202
    assert data_of(sidecar.injected[0][1]) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32000, "message": "The server 'crm' gave no answer: connection refused."},
    }


def test_a_body_that_cannot_be_read_exactly_is_answered_by_its_ids(play: Any) -> None:
    """Whoever can read an id in it waits for that id on the stream; where none can be read, the POST itself fails."""
    sidecar = play()
    session(sidecar)
    exchange = sidecar.post(b'{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}', POST)
    assert exchange.reply.status == 202
    assert data_of(sidecar.injected[0][1])["id"] == 7
    assert sidecar.post(b"{", POST).reply.status == 400


def test_each_session_is_answered_on_its_own_stream(play: Any) -> None:
    """Two clients with equal ids do not read each other's refusals, and a stream that is gone gets none."""
    sidecar = play()
    first, _ = session(sidecar)
    second, _ = session(sidecar, "/message?sessionId=60")
    sidecar.post(call(aws_key()), "/message?sessionId=60")
    sidecar.post(call(aws_key()), POST)
    assert [where for where, _ in sidecar.injected] == [second, first]
    sidecar.pipeline.close(first, "client")
    assert sidecar.post(call(aws_key()), POST).reply.status == 200
    assert len(sidecar.injected) == 2
    assert list(sidecar.pipeline.services.open_streams) == [second]


def test_a_blocked_question_asks_nobody_on_the_one_stream(play: Any) -> None:
    """The server's request becomes a ping, whose answer in the next POST is the server's refusal."""
    policy = SECRETS.replace("action: redact", "action: block").replace("verdict: redact", "verdict: block")
    sidecar = play(policy)
    _, send = session(sidecar)
    question = {"jsonrpc": "2.0", "id": 4, "method": "elicitation/create", "params": {"message": aws_key()}}
    assert data_of(send(question)) == {"jsonrpc": "2.0", "id": 4, "method": "ping"}
    answer = sidecar.post({"jsonrpc": "2.0", "id": 4, "result": {}}, POST)
    assert json.loads(answer.request.body)["error"]["code"] == -1
    assert [row["status"] for row in sidecar.calls] == ["blocked"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("http://127.0.0.1:8001/message?sessionId=5f", "/message?sessionId=5f"),
        ("http://127.0.0.1:9001/message?sessionId=5f", "http://127.0.0.1:9001/message?sessionId=5f"),
        ("http://elsewhere.example/message?sessionId=5f", "http://elsewhere.example/message?sessionId=5f"),
        ("message?sessionId=5f", "message?sessionId=5f"),
    ],
)
def test_an_endpoint_at_the_servers_own_address_leads_through_the_sidecar(play: Any, said: str, read: str) -> None:
    """Clients refuse, or go past the sidecar, when the server names its own address; every other endpoint stays as it is."""
    sidecar = play()
    send = sidecar.stream(sidecar.get("/sse", host="127.0.0.1:9001"))
    assert send(f"event: endpoint\r\ndata: {said}\r\n\r\n".encode()) == f"event: endpoint\r\ndata: {read}\r\n\r\n".encode()
    assert sidecar.post(call(aws_key()), POST).reply.status == 202


def test_calls_end_with_their_stream(play: Any) -> None:
    """A client that leaves has cancelled; a server that breaks off is told to the client while it still listens."""
    sidecar = play()
    stream, _ = session(sidecar)
    sidecar.answer(sidecar.post(call(), POST), b"Accepted", 202)
    assert sidecar.pipeline.close(stream, "client") == b""
    stream, _ = session(sidecar)
    sidecar.answer(sidecar.post(call(), POST), b"Accepted", 202)
    assert data_of(sidecar.pipeline.close(stream, "it closed the connection"))["error"]["code"] == -32000
    assert [(row["status"], row["error_type"]) for row in sidecar.calls] == [
        ("cancelled", "client_left"), ("upstream_error", "stream_broken")
    ]  # fmt: skip


def test_a_post_that_is_accepted_after_its_stream_ended_does_not_stay_open(play: Any) -> None:
    """The record does not wait for an answer that has nowhere to come."""
    sidecar = play()
    stream, _ = session(sidecar)
    exchange = sidecar.post(call(), POST)
    sidecar.pipeline.close(stream, "client")
    sidecar.answer(exchange, b"Accepted", 202)
    assert [row["status"] for row in sidecar.calls] == ["no_response"]
    assert sidecar.pipeline.services.correlation.waiting() == []


def test_an_endpoint_of_another_name_is_known_by_its_whole_path(play: Any) -> None:
    """Servers on other SDKs put their session elsewhere; what the stream named is what counts."""
    sidecar = play(ACCESS)
    session(sidecar, "/to/abc?k=1")
    assert sidecar.post(call(tool="delete_all"), "/to/abc?k=1").reply.status == 202
    assert sidecar.post(call(tool="delete_all"), "/to/other?k=1").reply.status == 200
