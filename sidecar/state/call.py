"""A call while it is open, and for as long as something may still refer to it."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from sidecar import limits
from sidecar.decode import mcp
from sidecar.events import Caller, Direction, Kind, Message
from sidecar.judging.carry_over import CarryOver
from sidecar.methods import TASK_RESULT
from sidecar.policy.judgement import Judgement
from sidecar.record.call_row import WrittenRow
from sidecar.record.ledger import CallRecord, Ledger
from sidecar.settings import Server

Peer = tuple[str, str]
"""Who is on the other side, as the two ends of one id space: the server, and the session or address."""

Key = tuple[Peer, tuple[str, object]]
"""A request of a peer: its id alone says nothing, because both sides count from zero."""


class CallState(Enum):
    """Where a call stands."""

    OPEN = "open"
    """Its answer is expected on its own exchange."""
    WAITING = "waiting"
    """Its own exchange is over, and its answer is expected on another."""
    ENDED = "ended"
    """It is written, and what still comes of it is a replay."""


_NEXT: Final = {
    CallState.OPEN: (CallState.OPEN, CallState.WAITING, CallState.ENDED),
    CallState.WAITING: (CallState.WAITING, CallState.ENDED),
    CallState.ENDED: (CallState.ENDED,),
}
"""What a state may lead to."""


@dataclass(frozen=True, slots=True)
class TaskOrigin:
    """The call a task belongs to, as policies see it: what its task brings later is that call's output."""

    call_id: str
    method: str
    tool: str
    args: Any
    recorded_tool: str


@dataclass(frozen=True, slots=True)
class Round:
    """One sending of a call that its server answers by questions: the id of the first, and the number of this one."""

    call_id: str
    number: int


@dataclass(slots=True)
class Call:
    """A request on its way, until its answer closes it."""

    record: CallRecord
    rpc_id: Any
    method: str
    tool: str
    args: Any
    caller: Caller
    session: str
    era: str
    state: CallState = CallState.OPEN
    is_cancelled: bool = False
    """Whether the client wants no answer any more; one may come all the same."""
    is_streamed: bool = False
    """Whether anything of it came on an event stream, which a client may resume and a server replay."""
    key: Key | None = None
    """Under what it is remembered while it is open, and for a while after."""
    substituted: str = ""
    """Why a server's request was replaced by a ping, and so what the server reads as the answer."""
    origin: TaskOrigin | None = None
    """The call whose task this one asks about."""
    round: Round | None = None
    carry_over: CarryOver | None = None
    """What the notifications of it ended with."""
    replays: int = 0
    """How often its server, or its client, sent again what belongs to it."""
    request_hash: int = 0
    response_hash: int = 0

    @property
    def id(self) -> str:
        """The id of its row."""
        return self.record.row.call_id

    @property
    def row(self) -> WrittenRow:
        """Its row, as far as it is known."""
        return self.record.row

    @property
    def server(self) -> Server:
        """The server of the settings it went to or came from."""
        return self.record.server

    @property
    def is_ended(self) -> bool:
        """Whether it is written."""
        return self.state is CallState.ENDED

    @property
    def is_waiting(self) -> bool:
        """Whether its answer is expected on another exchange than its own."""
        return self.state is CallState.WAITING

    def move(self, state: CallState) -> None:
        """Go on to another state."""
        assert state in _NEXT[self.state], f"a call that is {self.state.value} cannot become {state.value}"
        self.state = state

    def spend(self, seconds: float) -> None:
        """The sidecar worked this long on it."""
        self.record.spent_s += seconds

    def remembered(self) -> "Call":
        """What must be known of it to judge a replay of its answer, and no more."""
        return replace(
            self, record=self.record.without_payload(), args=self._remembered_args(), key=None, state=CallState.ENDED
        )

    def as_origin(self) -> TaskOrigin:
        """What must be known of it to judge what its task brings later."""
        return TaskOrigin(self.id, self.method, self.tool, self._remembered_args(), self.row.tool)

    def _remembered_args(self) -> Any:
        return self.args if self.row.request_bytes <= limits.REMEMBERED_ARGS_BYTES_MAX else {}

    @property
    def answers_as(self) -> str:
        """The method whose form of result answers it: what a task of a tool brings is that tool's result."""
        return self.origin.method if self.origin is not None and self.method == TASK_RESULT else self.method

    def answer_message(self, payload: Any, kind: Kind, size: int, direction: Direction = "response") -> Message:
        """The message that answers this call, as policies see it."""
        about = self.origin or self
        return Message(
            server=self.server.name,
            direction=direction,
            kind=kind,
            method=about.method,
            tool=about.tool,
            args=about.args,
            payload=payload,
            size=size,
            caller=self.caller,
            session=self.session,
        )


def open_call(
    ledger: Ledger,
    judgement: Judgement,
    about: mcp.MessageFields,
    row: WrittenRow,
    *,
    rpc_id: Any,
    now: float,
    started: float,
    server: Server,
) -> Call:
    """A call for a judged request or notification that says ``about`` of itself, with its record begun but not written.

    ``row`` holds what is known beside the message (see ``Ledger.open``); ``now`` is in unix seconds, ``started`` steady.
    """
    message = judgement.message
    record = ledger.open(judgement, about, row, now=now, started=started, server=server)
    return Call(record, rpc_id, message.method, message.tool, message.args, message.caller, message.session, record.row.era)
