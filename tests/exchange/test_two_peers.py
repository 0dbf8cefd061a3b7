"""Two peers talk in any order of calls, questions, cancels, replays and disconnects: nothing is lost, doubled or changed.

``SIDECAR_MODEL_EXAMPLES`` is how many conversations are played (150 unless it is set).
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.decode.jsonrpc import id_key, loose_key
from tests.exchange import two_peers as peers
from tests.exchange.two_peers import MODERN, Call, Flow
from tests.fuzz.peers import events
from tests.play import aws_key

IDS = st.sampled_from([0, 1, "1", "", -5, "a"])
PICK = st.integers(0, 30)
CUTS = st.lists(st.integers(0, 400), max_size=4)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
METHODS = st.sampled_from(["tools/call", "tools/call", "prompts/get", "tools/list", "tasks/result"])
KINDS = st.sampled_from(["result", "result", "error", "secret"])
SECRET = st.sampled_from([False, False, True])

with tempfile.TemporaryDirectory() as folder:
    WIRE = peers.Wire(Path(folder))


class TwoPeers(RuleBasedStateMachine):
    """The model. Every message holds a name of its own, by which it is found where it arrives and in the record."""

    def __init__(self) -> None:
        super().__init__()
        WIRE.anew()
        self.calls: list[Call] = []
        self.questions: list[Call] = []
        self.flows: list[Flow] = []
        self.sessions = ["session 0", "session 1", MODERN]
        self.by_id: dict[tuple[str, Any], Call] = {}
        self.asked: dict[tuple[str, Any], Call] = {}
        self.replayable: list[tuple[str, bytes, bytes | None]] = []
        self.count = 0

    # What is there to choose from.

    def name(self) -> str:
        """A name no message had."""
        self.count += 1
        return f"message {self.count}."

    def streams(self) -> list[Flow]:
        """Open event streams."""
        return [flow for flow in self.flows if flow.reader is not None]

    def silent(self) -> list[Flow]:
        """Requests the server has not begun to answer."""
        return [flow for flow in self.flows if flow.reader is None]

    # The client.

    @rule(which=PICK, rpc_id=IDS, method=METHODS, is_secret=SECRET)
    def client_calls(self, which: int, rpc_id: Any, method: str, is_secret: bool) -> None:
        """A request: it arrives byte-equal, or it is refused with its id and never arrives."""
        session = self.sessions[which % len(self.sessions)]
        call = Call(self.name(), session, rpc_id, session == MODERN)
        body = peers.request(call.name, rpc_id, method, aws_key() if is_secret else "hello", session)
        known = len(WIRE.received)
        exchange = WIRE.exchange("POST", session, body)
        self.calls.append(call)
        if is_secret:
            assert exchange.reply is not None and len(WIRE.received) == known
            said = json.loads(exchange.reply.body)
            assert (said["id"], type(said["id"])) == (rpc_id, type(rpc_id))
            assert said.get("result", {}).get("isError") is True if method == "tools/call" else "error" in said
            call.ended("blocked")
            return
        assert exchange.reply is None and WIRE.received[known:] == [body]
        key = (call.session, loose_key(rpc_id))
        before = self.by_id.get(key)
        if before is not None and before.is_waiting:
            before.ended("no_response")
        self.by_id[key] = call
        self.flows.append(Flow(exchange, session, call))

    @rule(which=st.integers(0, 1), rpc_id=IDS, kinds=st.tuples(KINDS, KINDS), is_secret=SECRET)
    def client_sends_batch(self, which: int, rpc_id: Any, kinds: tuple[str, str], is_secret: bool) -> None:
        """A batch passes whole or not at all, and each of its calls is recorded by its own answer."""
        session = self.sessions[which]
        calls = [Call(self.name(), session, each) for each in (rpc_id, "other")]
        texts = ("hello", aws_key() if is_secret else "hello")
        members = [
            peers.request(call.name, call.rpc_id, "tools/call", text, session) for call, text in zip(calls, texts, strict=True)
        ]
        body = b"[ " + b" ,".join(members) + b"]"
        if any((session, loose_key(call.rpc_id)) in self.by_id for call in calls):
            return
        known = len(WIRE.received)
        exchange = WIRE.exchange("POST", session, body)
        self.calls += calls
        if is_secret:
            assert exchange.reply is not None and len(WIRE.received) == known
            assert [each["id"] for each in json.loads(exchange.reply.body)] == [call.rpc_id for call in calls]
            for call in calls:
                call.ended("blocked")
            return
        assert exchange.reply is None and WIRE.received[known:] == [body]
        said = [self.answer(call, kind) for call, kind in zip(calls, kinds, strict=True)]
        answers = b"[" + b", ".join(each for each, _ in said) + b"]"
        got = WIRE.whole(Flow(exchange, session), answers)
        assert json.loads(got) == json.loads(peers.marked(answers))
        assert got == answers or "secret" in kinds
        for call, (_, status) in zip(calls, said, strict=True):
            call.ended(status)

    @rule(which=st.integers(0, 1), kind=KINDS)
    def client_has_a_task_done(self, which: int, kind: str) -> None:
        """A call becomes a task, and its output, which a later call fetches, is judged and recorded as that call's."""
        task, fetch = self.name(), self.name()
        made = peers.result(task, 70, "x").replace(
            b'"content"', f'"task":{{"taskId":"of {task}","status":"working"}},"content"'.encode()
        )
        for name, method, body, status in (
            (task, "tools/call", made, "ok"),
            (fetch, "tasks/result", *self.answer(Call(fetch, self.sessions[which], 70), kind)),
        ):
            asked = peers.request(name, 70, method, "hello", "").replace(b'"about"', f'"taskId":"of {task}","about"'.encode())
            flow = Flow(WIRE.exchange("POST", self.sessions[which], asked), self.sessions[which])
            assert WIRE.received[-1] == asked
            assert WIRE.whole(flow, body) == peers.marked(body)
            self.calls.append(Call(name, flow.session, 70))
            self.calls[-1].ended(status)

    @precondition(lambda self: len(self.streams()) < 6)
    @rule(which=PICK, resumes=st.booleans())
    def client_listens(self, which: int, resumes: bool) -> None:
        """A GET, for what the server sends by itself or to go on after a lost stream."""
        session = self.sessions[which % 2]
        more: dict[str, Any] = {"last_event_id": "7"} if resumes else {}
        flow = Flow(WIRE.exchange("GET", session, **more), session)
        assert flow.exchange.reply is None
        WIRE.open_stream(flow)
        self.flows.append(flow)

    @precondition(lambda self: any(call.is_open for call in self.calls))
    @rule(which=PICK, is_secret=SECRET)
    def client_cancels(self, which: int, is_secret: bool) -> None:
        """A cancellation arrives byte-equal; one that holds a credential is swallowed, and the call goes on."""
        open_calls = [call for call in self.calls if call.is_open]
        call = open_calls[which % len(open_calls)]
        text = aws_key() if is_secret else self.name()
        params = f'{{"requestId":{peers.spelt(call.rpc_id)},"reason":"{text}"}}'
        body = f'{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}'.encode()
        known = len(WIRE.received)
        exchange = WIRE.exchange("POST", call.session, body)
        if is_secret:
            assert exchange.reply is not None and exchange.reply.status == 202 and len(WIRE.received) == known
            return
        assert WIRE.received[known:] == [body]
        WIRE.accepted(exchange)
        cancelled = self.by_id.get((call.session, loose_key(call.rpc_id)))
        if cancelled is not None:
            cancelled.is_cancelled = True

    @precondition(lambda self: self.questions)
    @rule(which=PICK, kind=st.sampled_from(["result", "result", "error", "secret"]))
    def client_answers(self, which: int, kind: str) -> None:
        """An answer to a question arrives byte-equal once, or as a refusal where the question or the answer was blocked."""
        question = self.questions[which % len(self.questions)]
        key = (question.session, id_key(question.rpc_id))
        current = self.asked.get(key)
        if current is not question and current is not None:
            return
        name = self.name()
        body = peers.error(name, question.rpc_id, -1) if kind == "error" else peers.result(name, question.rpc_id, "Bob")
        if kind == "secret":
            body = peers.result(name, question.rpc_id, aws_key())
        known = len(WIRE.received)
        exchange = WIRE.exchange("POST", question.session, body)
        assert exchange.reply is None
        (arrived,) = WIRE.received[known:]
        if kind == "secret" or (question.is_refused and current is question):
            said = json.loads(arrived)
            assert said["id"] == question.rpc_id and said["error"]["code"] == -1
        elif current is question:
            assert arrived == body
        WIRE.accepted(exchange)
        if current is question:
            del self.asked[key]
            is_blocked = kind == "secret" or question.is_refused
            question.ended("blocked" if is_blocked else ("error" if kind == "error" else "ok"))

    @precondition(lambda self: self.flows)
    @rule(which=PICK)
    def client_leaves(self, which: int) -> None:
        """A closed connection ends the call in the modern era, and is recorded as cancelled in every era."""
        flow = self.flows.pop(which % len(self.flows))
        assert WIRE.close(flow, "client") == b""
        if flow.call is not None and flow.call.is_open and not flow.call.is_waiting:
            self.end(flow.call, "cancelled")

    @rule(which=PICK)
    def client_ends_session(self, which: int) -> None:
        """What waits in a session that is ended has no response; the next session is a new one."""
        session = self.sessions[which % 2]
        exchange = WIRE.exchange("DELETE", session)
        exchange.response.status, exchange.response.headers = 200, {}
        WIRE.http_policy.judge_response(exchange, b"")
        for call in self.calls:
            if call.session == session and call.is_waiting and call.is_open:
                self.end(call, "no_response")
        for key in [key for key in self.asked if key[0] == session]:
            self.asked.pop(key).ended("no_response")
        self.sessions[which % 2] = f"session {self.name()}"

    # The server.

    @precondition(lambda self: self.silent())
    @rule(which=PICK, kind=st.sampled_from(["result", "error", "secret", "cancelled"]))
    def server_answers_whole(self, which: int, kind: str) -> None:
        """A JSON answer arrives byte-equal, but for a credential, which is a mark then."""
        flow = self.silent()[which % len(self.silent())]
        assert flow.call is not None
        self.flows.remove(flow)
        call = self.answered_by(flow.call)
        body, status = self.answer(call, kind)
        assert WIRE.whole(flow, body) == peers.marked(body)
        self.end(call, status)

    @precondition(lambda self: self.silent())
    @rule(which=PICK)
    def server_opens_stream(self, which: int) -> None:
        """The answer will come as an event stream."""
        WIRE.open_stream(self.silent()[which % len(self.silent())])

    @precondition(lambda self: self.silent())
    @rule(which=PICK, is_closed=st.booleans())
    def server_primes_stream(self, which: int, is_closed: bool) -> None:
        """A stream begins with a cursor; the server may close it at once and expect the client to fetch the answer."""
        flow = self.silent()[which % len(self.silent())]
        WIRE.open_stream(flow)
        raw = f"id: {self.name()}\nretry: 100\ndata:\n\n".encode()
        WIRE.send(flow, raw, raw, [])
        flow.has_cursor = True
        if is_closed:
            self.closes(flow, "")

    @rule(which=st.integers(0, 1), rpc_id=IDS, kind=st.sampled_from(["", "result", "secret"]), newline=NEWLINES, cuts=CUTS)
    def server_lets_its_client_poll(self, which: int, rpc_id: Any, kind: str, newline: str, cuts: list[int]) -> None:
        """A call whose stream is primed and closed at once, and fetched on another, with its answer or without yet."""
        self.client_calls(which, rpc_id, "tools/call", False)
        flow = self.flows[-1]
        WIRE.open_stream(flow)
        WIRE.send(flow, b"id: 0\ndata:\n\n", b"id: 0\ndata:\n\n", cuts)
        flow.has_cursor = True
        self.closes(flow, "")
        self.client_listens(which, True)
        if kind and flow.call is not None and flow.call.is_open:
            body, status = self.answer(flow.call, kind)
            self.sends(self.flows[-1], body, peers.marked(body), newline, cuts, True)
            self.end(flow.call, status)

    @precondition(lambda self: len(self.silent()) > 1)
    @rule(which=PICK)
    def server_is_gone(self, which: int) -> None:
        """A server that gives no response: the client reads an error with its id."""
        flow = self.silent()[which % len(self.silent())]
        self.flows.remove(flow)
        assert flow.call is not None
        WIRE.http_policy.fail(flow.exchange, "it closed the connection")
        assert flow.exchange.reply is not None
        if flow.call.is_open:
            assert json.loads(flow.exchange.reply.body)["id"] == flow.call.rpc_id
        self.end(flow.call, "upstream_error")

    @precondition(lambda self: any(flow.call for flow in self.streams()))
    @rule(
        which=PICK,
        kind=st.sampled_from(["result", "error", "secret", "cancelled"]),
        newline=NEWLINES,
        cuts=CUTS,
        has_id=st.booleans(),
    )
    def server_answers_on_its_stream(self, which: int, kind: str, newline: str, cuts: list[int], has_id: bool) -> None:
        """An answer in the stream of its request; the same once more is a replay, and is judged like the first."""
        flows = [flow for flow in self.streams() if flow.call is not None]
        flow = flows[which % len(flows)]
        call = flow.call
        assert call is not None
        call = self.answered_by(call)
        body, status = self.answer(call, kind)
        self.sends(flow, body, peers.marked(body), newline, cuts, has_id)
        self.end(call, status)

    @precondition(lambda self: any(flow.call is None for flow in self.streams()))
    @rule(which=PICK, kind=st.sampled_from(["result", "error", "secret"]), newline=NEWLINES, cuts=CUTS)
    def server_answers_elsewhere(self, which: int, kind: str, newline: str, cuts: list[int]) -> None:
        """An answer on a listening stream of the session closes the call all the same."""
        flows = [flow for flow in self.streams() if flow.call is None]
        flow = flows[which % len(flows)]
        calls = [call for (session, _), call in self.by_id.items() if session == flow.session]
        calls = [call for call in calls if call.is_waiting] or calls
        if not calls:
            return
        call = calls[which % len(calls)]
        body, status = self.answer(call, kind)
        self.sends(flow, body, peers.marked(body), newline, cuts, True)
        self.end(call, status)

    @precondition(lambda self: self.streams())
    @rule(which=PICK, method=st.sampled_from(["progress", "message"]), is_secret=SECRET, newline=NEWLINES, cuts=CUTS)
    def server_notifies(self, which: int, method: str, is_secret: bool, newline: str, cuts: list[int]) -> None:
        """A notification arrives byte-equal, but for a credential."""
        flow = self.streams()[which % len(self.streams())]
        text = aws_key() if is_secret else "going on"
        params = f'{{"data":"{text}","about":"{self.name()}"}}'
        body = f'{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}'.encode()
        self.sends(flow, body, peers.marked(body), newline, cuts, False)

    @precondition(lambda self: self.streams())
    @rule(which=PICK, rpc_id=IDS, is_secret=SECRET, newline=NEWLINES, cuts=CUTS, has_id=st.booleans())
    def server_asks(self, which: int, rpc_id: Any, is_secret: bool, newline: str, cuts: list[int], has_id: bool) -> None:
        """A question arrives byte-equal, or as a ping where it holds a credential."""
        flow = self.streams()[which % len(self.streams())]
        if flow.session == MODERN:
            return
        question = Call(self.name(), flow.session, rpc_id, is_refused=is_secret)
        body = peers.question(question.name, rpc_id, aws_key() if is_secret else "Your name?")
        ping = json.dumps({"jsonrpc": "2.0", "id": rpc_id, "method": "ping"}, separators=(",", ":")).encode()
        self.sends(flow, body, ping if is_secret else body, newline, cuts, has_id)
        key = (flow.session, id_key(rpc_id))
        if (before := self.asked.pop(key, None)) is not None:
            before.ended("no_response")
        self.asked[key] = question
        self.questions.append(question)

    @precondition(lambda self: self.streams() and self.replayable)
    @rule(which=PICK, what=PICK, cuts=CUTS)
    def server_replays(self, which: int, what: int, cuts: list[int]) -> None:
        """An event that comes again, on whichever stream of its session, is what it was the first time."""
        session, raw, expected = self.replayable[what % len(self.replayable)]
        flows = [flow for flow in self.streams() if flow.session == session and flow.call is None]
        if flows:
            flow = flows[which % len(flows)]
            WIRE.send(flow, raw, expected, cuts)
            flow.has_cursor = True

    @precondition(lambda self: self.streams())
    @rule(
        which=PICK,
        what=st.sampled_from([": ping", "retry: 100", "id: 9\ndata:", "data: {}", "event: other\ndata: text"]),
        cuts=CUTS,
    )
    def server_keeps_alive(self, which: int, what: str, cuts: list[int]) -> None:
        """Comments, priming events and messages that are none pass as they came."""
        flow = self.streams()[which % len(self.streams())]
        raw = f"{what}\n\n".encode()
        WIRE.send(flow, raw, raw, cuts)
        flow.has_cursor |= what.startswith("id")

    @precondition(lambda self: self.streams())
    @rule(which=PICK, is_broken=st.booleans())
    def server_closes(self, which: int, is_broken: bool) -> None:
        """A stream that ends without its answer: the rest comes elsewhere if there is a cursor, else the client reads why."""
        self.closes(self.streams()[which % len(self.streams())], "it broke off" if is_broken else "")

    # What the rules share.

    def closes(self, flow: Flow, reason: str) -> None:
        """A stream ends; what the client still gets on it depends on whether its call has an answer, and on its cursor."""
        self.flows.remove(flow)
        tail = WIRE.close(flow, reason)
        call = flow.call
        if call is None or not call.is_open or call.is_waiting:
            assert tail.strip() == b""
        elif call.is_cancelled:
            assert tail.strip() == b""
            self.end(call, "cancelled")
        elif flow.has_cursor and not call.is_modern:
            assert tail.strip() == b""
            call.is_waiting = True
            if self.by_id.get((call.session, loose_key(call.rpc_id))) is not call:
                self.end(call, "no_response")
        else:
            ((_, data, _),) = events(tail.decode())
            assert json.loads(data)["id"] == call.rpc_id and "error" in json.loads(data)
            self.end(call, "upstream_error" if reason else "no_response")

    def answered_by(self, call: Call) -> Call:
        """Which call an answer on a call's own exchange is for: a second one is whichever call's has the id now, to clients."""
        return call if call.is_open else self.by_id.get((call.session, loose_key(call.rpc_id)), call)

    def answer(self, call: Call, kind: str) -> tuple[bytes, str]:
        """An answer of the server to a call, and how the call is recorded by it."""
        name = self.name()
        if kind in ("error", "cancelled"):
            code = -32800 if kind == "cancelled" else -32603
            is_cancelled = kind == "cancelled" and call.is_cancelled
            return peers.error(name, call.rpc_id, code), "cancelled" if is_cancelled else "error"
        return peers.result(name, call.rpc_id, aws_key() if kind == "secret" else "fine"), "ok"

    def sends(self, flow: Flow, body: bytes, expected: bytes, newline: str, cuts: list[int], has_id: bool) -> None:
        """One message as an event, which may come again where it has a cursor."""
        cursor = self.name() if has_id else ""
        raw, wanted = peers.event(body, newline, cursor), peers.event(expected, newline, cursor)
        WIRE.send(flow, raw, wanted, cuts)
        flow.has_cursor |= has_id
        if has_id and flow.session != MODERN and "elicitation" not in body.decode():
            self.replayable.append((flow.session, raw, wanted))

    def end(self, call: Call, *status: str) -> None:
        """A call ends, and its id is free."""
        call.ended(*status)
        key = (call.session, loose_key(call.rpc_id))
        if self.by_id.get(key) is call:
            del self.by_id[key]

    # What holds at any time.

    @invariant()
    def each_call_is_recorded_once(self) -> None:
        """What has ended has one row with the status of the model, and nothing else has one."""
        rows = [row for row in WIRE.play.calls if "about" in row.get("request", "")]
        for call in (*self.calls, *self.questions):
            ends = [row["status"] for row in rows if f'"{call.name}"' in row["request"] and "method" in row["request"]]
            if call.status is None:
                assert ends == [], f"{call.name} has ended too early"
            else:
                assert len(ends) == 1 and ends[0] in call.status, f"{call.name}: {ends}, not {sorted(call.status)}"

    def teardown(self) -> None:
        """When everything is over every call has an end, every table is empty, and no credential has got anywhere."""
        for flow in [*self.flows]:
            WIRE.close(flow, "client")
        WIRE.play.pipeline.stop()
        begun = {record["call"]["call_id"] for record in WIRE.play.records if record["phase"] == "begin"}
        ended = [row["call_id"] for row in WIRE.play.calls]
        assert begun <= set(ended), "a call is silently absent"
        assert len(ended) == len(set(ended)), "a call is recorded twice"
        correlation = WIRE.play.pipeline.services.correlation
        assert not [call for call in correlation.waiting() if not call.is_ended]
        assert not [*correlation.open.values()]
        assert not [*WIRE.play.pipeline.services.open_streams]
        assert WIRE.http_policy.open_calls() == 0
        everywhere = [*WIRE.received, WIRE.play.everything, *(flow.got for flow in self.flows)]
        assert not any(aws_key().encode() in each for each in everywhere), "a credential got through"


TestTwoPeers = TwoPeers.TestCase
TestTwoPeers.settings = settings(
    max_examples=int(os.environ.get("SIDECAR_MODEL_EXAMPLES", "150")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
