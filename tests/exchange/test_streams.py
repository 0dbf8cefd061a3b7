"""What peers do to each other over hours and lost connections: floods, replays, second answers, cancels, tasks, rounds."""

import json
from typing import Any

import pytest

from sidecar import limits
from tests.exchange.test_hostile import ONLY_GET
from tests.exchange.test_pipeline import call, data_of, result
from tests.play import ACCESS, aws_key

PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 5, "progress": 1}}
QUESTION = {"jsonrpc": "2.0", "id": 4, "method": "roots/list"}
ROOTS = {"jsonrpc": "2.0", "id": 4, "result": {"roots": []}}


def event(message: Any, event_id: str) -> bytes:
    return f"id: {event_id}\nevent: message\ndata: {json.dumps(message)}\n\n".encode()


def replays(sidecar: Any) -> list[str]:
    return [row["call_id"] for row in sidecar.findings if row["rule"] == "wire.replayed"]


def test_a_flood_of_progress_is_one_row(play: Any) -> None:
    """Two thousand notifications of one call pass as they came and are counted in its row."""
    sidecar = play()
    asked = call()
    asked["params"]["_meta"] = {"progressToken": 5}
    exchange = sidecar.post(asked, mcp_session_id="s")
    send = sidecar.stream(exchange)
    for _ in range(2000):
        assert data_of(send(PROGRESS)) == PROGRESS
    send(result())
    (row,) = sidecar.calls
    assert (row["events"], row["status"]) == (2000, "ok")


def test_progress_on_another_stream_belongs_to_its_call(play: Any) -> None:
    """In the transport of 2024-11-05 everything comes on one stream; the token says which call makes progress."""
    sidecar = play()
    send = sidecar.stream(sidecar.get("/sse"))
    send(b"event: endpoint\ndata: /m?sessionId=1\n\n")
    asked = call()
    asked["params"]["_meta"] = {"progressToken": 5}
    sidecar.answer(sidecar.post(asked, "/m?sessionId=1"), b"Accepted", 202)
    for _ in range(100):
        send(PROGRESS)
    send(result())
    (row,) = sidecar.calls
    assert (row["events"], row["method"]) == (100, "tools/call")


def test_a_flood_on_a_listening_stream_is_bounded_and_told(play: Any) -> None:
    """Log messages belong to no call; of thousands a minute some are rows, and the record says how many are not."""
    sidecar = play()
    listening = sidecar.get(mcp_session_id="s")
    send = sidecar.stream(listening)
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}
    for _ in range(2000):
        assert data_of(send(note)) == note
    assert len(sidecar.calls) == limits.NOTIFICATION_ROWS_PER_MINUTE
    sidecar.pipeline.close(listening, "")
    (told,) = [row for record in sidecar.records for row in record["rows"].get("health", [])]
    assert (told["metric"], told["value"]) == ("notifications_left_out", 2000 - limits.NOTIFICATION_ROWS_PER_MINUTE)


def test_a_flood_hides_no_finding(play: Any) -> None:
    """Whoever talks first until no chatter is written any more is still found out, and recorded with it."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    for _ in range(3 * limits.NOTIFICATION_ROWS_PER_MINUTE):
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}})
    send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": aws_key()}})
    assert [row["rule"] for row in sidecar.findings] == ["secrets.in"]


def test_a_secret_in_a_flood_never_passes(play: Any) -> None:
    """What is no longer written is still judged and redacted."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": aws_key()}}
    for _ in range(2 * limits.NOTIFICATION_ROWS_PER_MINUTE):
        assert aws_key().encode() not in send(note)


def test_what_is_replayed_is_recorded_once(play: Any) -> None:
    """A resumed stream brings again a note, a question that was answered, an empty message and an answer: no new rows."""
    sidecar = play(ONLY_GET)
    exchange = sidecar.post(call(), mcp_session_id="s")
    send = sidecar.stream(exchange)
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}
    storm = [event({}, "0"), event(note, "1"), event(QUESTION, "2"), event(result(aws_key()), "3")]
    for raw in storm:
        send(raw)
    sidecar.post(ROOTS, mcp_session_id="s")
    rows = len(sidecar.calls)
    again = sidecar.stream(sidecar.get(mcp_session_id="s", last_event_id="0"))
    got = [again(raw) for raw in storm]
    assert got[:3] == storm[:3]
    assert b"[secrets.aws-key]" in got[3], "a replay is judged like the first time"
    assert sidecar.post(ROOTS, mcp_session_id="s").reply is None, "the second answer passes"
    assert len(sidecar.calls) == rows == 2
    question, answered = sidecar.calls
    assert sorted(replays(sidecar)) == sorted([question["call_id"], answered["call_id"]])


def test_an_event_id_that_is_used_again_hides_nothing(play: Any) -> None:
    """Only the same data under the same id is a replay; a server cannot keep a message out of the record by its id."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    for text in ("a", "b"):
        send(event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": text}}, "1"))
    assert len(sidecar.calls) == 2


def test_a_second_answer_in_other_words_is_a_row_of_its_own(play: Any) -> None:
    """What a client says later to a question that is closed still travels to the server, so it is judged and recorded."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    send(QUESTION)
    sidecar.post(ROOTS, mcp_session_id="s")
    other: dict[str, Any] = {"jsonrpc": "2.0", "id": 4, "result": {"roots": [{"uri": "file:///other"}]}}
    sidecar.post(other, mcp_session_id="s")
    first, second = sidecar.calls
    assert (second["method"], second["attrs"]["parent"]) == ("roots/list", first["call_id"])
    assert second["anomalies"] == ["answered-twice"]
    other["result"]["roots"][0]["uri"] = aws_key()
    assert json.loads(sidecar.post(other, mcp_session_id="s").request.body)["error"]["code"] == -1


def test_a_redacted_question_that_is_repeated_is_redacted_again(play: Any) -> None:
    """Saying it twice is no way around the rule."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    question = {"jsonrpc": "2.0", "id": 4, "method": "elicitation/create", "params": {"message": aws_key()}}
    assert aws_key().encode() not in send(question) + send(question)


def test_a_question_its_server_withdraws_is_cancelled(play: Any) -> None:
    """A server may take back what it asked; the answer that still comes is no new call."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    send(QUESTION)
    send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}})
    assert sidecar.calls[0]["status"] == "cancelled"
    assert sidecar.post(ROOTS, mcp_session_id="s").reply is None
    assert [row["method"] for row in sidecar.calls] == ["roots/list", "notifications/cancelled", "roots/list"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": -32800, "message": "Request cancelled"}}, "cancelled"),
        (result(), "ok"),
    ],
)
def test_a_cancel_that_races_with_the_answer(play: Any, answer: Any, status: str) -> None:
    """What became of the call is what its server says, and the record keeps that it was cancelled before."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    sidecar.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, mcp_session_id="s")
    assert data_of(send(answer)) == answer
    (row,) = [row for row in sidecar.calls if row["method"] == "tools/call"]
    assert (row["status"], row["attrs"]["cancelled"]) == (status, "before its answer")


def test_a_cancelled_call_does_not_wait_for_a_stream_that_can_be_resumed(play: Any) -> None:
    """A server that goes silent after the cancel leaves no call open for ever."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    sidecar.stream(exchange)(b"id: 1\ndata:\n\n")
    sidecar.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, mcp_session_id="s")
    sidecar.pipeline.close(exchange, "")
    assert [row["status"] for row in sidecar.calls if row["method"] == "tools/call"] == ["cancelled"]


def test_an_answer_to_nothing_is_recorded_as_that(play: Any) -> None:
    """A stray answer passes, because clients ignore it, and stands in the record."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    stray = result("x", 99)
    assert data_of(send(stray)) == stray
    assert sidecar.calls[0]["anomalies"] == ["unknown-id"]


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
def test_what_a_task_brings_later_is_judged_as_its_tools_output(play: Any, era: str) -> None:
    """A rule of one tool holds for its output even when it leaves minutes later by another method."""
    sidecar = play(ONLY_GET)
    task = {"taskId": "t-1", "status": "working"}
    made = {"task": task} if era < "2026" else {"resultType": "task", **task}
    sidecar.answer(sidecar.post(call(), mcp_protocol_version=era), {"jsonrpc": "2.0", "id": 1, "result": made})
    method = "tasks/result" if era < "2026" else "tasks/get"
    follow_up = {"jsonrpc": "2.0", "id": 2, "method": method, "params": {"taskId": "t-1"}}
    exchange = sidecar.post(follow_up, mcp_protocol_version=era)
    content = {"content": [{"type": "text", "text": aws_key()}]}
    brought = content if era < "2026" else {"resultType": "complete", **task, "status": "completed", "result": content}
    got = sidecar.answer(exchange, {"jsonrpc": "2.0", "id": 2, "result": brought})
    assert b"[secrets.aws-key]" in got
    first, second = sidecar.calls
    assert (second["method"], second["tool"], second["attrs"]["parent"]) == (method, "get", first["call_id"])


def test_a_task_of_a_tool_that_is_denied_meanwhile_is_refused(play: Any) -> None:
    """Access is asked again when the output is fetched, by the tool's name, and the model reads the refusal as a result."""
    sidecar = play(ONLY_GET)
    made = {"jsonrpc": "2.0", "id": 1, "result": {"task": {"taskId": "t-1"}}}
    sidecar.answer(sidecar.post(call(tool="delete_all")), made)
    denying = play(ONLY_GET, ACCESS)
    sidecar.pipeline.services.message_judge._policies.current = denying.pipeline.services.message_judge._policies.current
    fetch = {"jsonrpc": "2.0", "id": 2, "method": "tasks/result", "params": {"taskId": "t-1"}}
    said = json.loads(sidecar.post(fetch).reply.body)
    assert said["result"]["isError"] is True


def test_what_a_task_says_and_asks_is_linked_to_its_call(play: Any) -> None:
    """Status notes and questions of a task come on other streams, and belong to the call that made it."""
    sidecar = play()
    made = {"jsonrpc": "2.0", "id": 1, "result": {"task": {"taskId": "t-1"}}}
    sidecar.answer(sidecar.post(call(), mcp_session_id="s"), made)
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    send({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": {"taskId": "t-1", "status": "working"}})
    meta = {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t-1"}}}
    send({**QUESTION, "params": meta})
    sidecar.post(ROOTS, mcp_session_id="s")
    first, note, question = sidecar.calls
    assert note["attrs"]["parent"] == question["attrs"]["parent"] == first["call_id"]
    assert note["tool"] == "get"


def test_a_task_at_the_client_is_linked_too(play: Any) -> None:
    """Either side may run a task: what a client brings later answers the server's question."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    send({"jsonrpc": "2.0", "id": 4, "method": "sampling/createMessage", "params": {"task": {}, "messages": []}})
    sidecar.post({"jsonrpc": "2.0", "id": 4, "result": {"task": {"taskId": "c-1"}}}, mcp_session_id="s")
    send({"jsonrpc": "2.0", "id": 5, "method": "tasks/result", "params": {"taskId": "c-1"}})
    assert sidecar.pipeline.services.correlation.asked.get((("crm", "s"), ("int", 5))).origin.method == "sampling/createMessage"


def test_a_link_to_a_page_that_must_be_visited_passes(play: Any) -> None:
    """The error of 2025-11-25 that sends a person to a page carries its links unchanged."""
    sidecar = play()
    pages = {"elicitations": [{"mode": "url", "elicitationId": "e", "url": "https://auth.example/x", "message": "Sign in"}]}
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "Visit a page", "data": pages}}
    assert json.loads(sidecar.answer(sidecar.post(call()), error)) == error
    assert sidecar.calls[0]["error_code"] == -32042


@pytest.mark.parametrize("state", ["sealed", None])
def test_rounds_of_one_call_are_linked(play: Any, state: str | None) -> None:
    """A call that is sent again with the answers a server asked for is told as the next round of the first; state untouched."""
    sidecar = play()
    first = None
    for number in (1, 2, 3):
        asked = call(rpc_id=number)
        if number > 1:
            asked["params"]["inputResponses"] = {"k": {"action": "accept"}}
            if state:
                asked["params"]["requestState"] = f"{state}{number - 1}"
        exchange = sidecar.post(asked, mcp_protocol_version="2026-07-28")
        assert json.loads(exchange.request.body) == asked
        wanted = {"resultType": "input_required", "inputRequests": {"k": {"method": "elicitation/create", "params": {}}}}
        if state:
            wanted["requestState"] = f"{state}{number}"
        sidecar.answer(exchange, {"jsonrpc": "2.0", "id": number, "result": wanted})
        row = sidecar.calls[-1]
        if number == 1:
            first = row["call_id"]
        else:
            assert row["attrs"] == {"parent": first, "round": str(number)}


@pytest.mark.parametrize("line", [": %s", "x-note: %s", "event: %s"])
def test_data_beside_a_message_does_not_pass(play: Any, line: str) -> None:
    """Comments and fields no client reads can carry data out of a server all the same; the message itself arrives."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call()))
    raw = line.encode() % aws_key().encode() + b"\nid: 4\ndata: " + json.dumps(result()).encode() + b"\n\n"
    got = send(raw)
    assert aws_key().encode() not in got + sidecar.everything
    assert (b'"fine"' in got) is (not line.startswith("event")), "an event of a name no client knows is read by none"
    assert b"id: 4" in got
    assert sidecar.findings[0]["rule"] == "secrets.in"


def test_ordinary_comments_pass_as_they_came(play: Any) -> None:
    """Keep-alives of servers cost no row and change no byte."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call()))
    ping = b": ping - 2026-11-22 18:03:35.123456+00:00\r\n\r\n"
    assert send(ping) is ping
    assert sidecar.findings == []


def test_a_secret_in_an_endpoint_is_seen(play: Any) -> None:
    """The address a server gives can carry data; its session id, which only goes back to it, is left alone."""
    sidecar = play()
    send = sidecar.stream(sidecar.get("/sse"))
    got = send(f"event: endpoint\ndata: /m/{aws_key()}?sessionId=1\n\n".encode())
    assert [row["rule"] for row in sidecar.findings] == ["secrets.in"]
    assert aws_key().encode() not in got + sidecar.everything
    ordinary = f"event: endpoint\ndata: /m?sessionId={aws_key()}\n\n".encode()
    assert sidecar.stream(sidecar.get("/sse"))(ordinary) == ordinary


def test_a_day_of_silence_changes_nothing(play: Any) -> None:
    """A stream that is idle for a day brings the answer of its call, in the same session, and nothing is kept after it."""
    sidecar = play()
    asked = call()
    exchange = sidecar.post(asked, mcp_session_id="s")
    send, listening = sidecar.stream(exchange), sidecar.get(mcp_session_id="s")
    hear = sidecar.stream(listening)
    for _ in range(24 * 240):
        sidecar.now += 15
        assert send(b": ping\n\n") == hear(b": ping\n\n") == b": ping\n\n"
    assert sidecar.calls == []
    assert data_of(send(result())) == result()
    sidecar.post(call(rpc_id=2), mcp_session_id="s")
    (row,) = sidecar.calls
    assert row["status"] == "ok"
    assert row["duration_us"] > 24 * 3600 * 1_000_000
    begun = [record["call"]["session"] for record in sidecar.records if record["phase"] == "begin"]
    assert len(set(begun)) == 1
    sidecar.pipeline.close(exchange, "")
    sidecar.pipeline.close(listening, "client")
    assert list(sidecar.pipeline.services.open_streams) == []


@pytest.mark.parametrize("is_polled", [True, False])
def test_a_replayed_answer_does_not_close_a_later_call_with_its_id(play: Any, is_polled: bool) -> None:
    """A client may use an id again; an answer from before that a resumed stream repeats is not the new call's."""
    sidecar = play()
    first = sidecar.post(call(rpc_id=0), mcp_session_id="s")
    if is_polled:
        sidecar.stream(first)(event({}, "1"))
        sidecar.pipeline.close(first, "")
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    send(event(result("old", rpc_id=0), "2"))
    second = sidecar.post(call(rpc_id=0), mcp_session_id="s")
    assert data_of(send(event(result("old", rpc_id=0), "2"))) == result("old", rpc_id=0)
    assert len(sidecar.calls) == 1
    sidecar.answer(second, result("new", rpc_id=0))
    assert ["old" in row["response"] for row in sidecar.calls] == [True, False]


def test_two_calls_with_one_id_that_wait_elsewhere_both_end(play: Any) -> None:
    """Of two open calls with one id whose streams were closed for polling, the later gets the answer; the other has an end."""
    sidecar = play()
    calls = [sidecar.post(call(), mcp_session_id="s") for _ in range(2)]
    for exchange in (calls[1], calls[0]):
        sidecar.stream(exchange)(event({}, "1"))
        sidecar.pipeline.close(exchange, "")
    assert [(row["status"], row["error_type"]) for row in sidecar.calls] == [("no_response", "duplicate_id")]
    sidecar.stream(sidecar.get(mcp_session_id="s"))(event(result(), "2"))
    assert [row["status"] for row in sidecar.calls] == ["no_response", "ok"]
