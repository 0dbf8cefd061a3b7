"""One exchange, over HTTP or stdio: its request, its response, its event stream, the calls it opened, and where it stands.

A transport fills it and acts on it; everything between judges it. Header names are lower case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import parse_qs, urlsplit

from sidecar.decode.mcp import Era
from sidecar.judging.carry_over import CarryOver
from sidecar.outcomes import Anomaly
from sidecar.settings import Server
from sidecar.state.call import Call, Peer

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


class ExchangeState(Enum):
    """Where an exchange stands."""

    RECEIVED = "received"
    """Its request is whole and not yet judged."""
    FORWARDED = "forwarded"
    """Its request may go on to the server, whose response is awaited."""
    STREAMING = "streaming"
    """Its response is an event stream that is open."""
    ENDED = "ended"
    """It was answered, by the server or by the sidecar, or it broke off."""


_NEXT: Final = {
    ExchangeState.RECEIVED: (ExchangeState.FORWARDED, ExchangeState.ENDED),
    ExchangeState.FORWARDED: (ExchangeState.STREAMING, ExchangeState.ENDED),
    ExchangeState.STREAMING: (ExchangeState.ENDED,),
    ExchangeState.ENDED: (ExchangeState.ENDED,),
}
"""What a state may lead to. An exchange may end twice: a client leaves while its answer is on the way."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP response of ours."""

    status: int
    body: bytes = b""
    content_type: str = JSON


@dataclass(slots=True)
class Request:
    """What the client sent, and what of it goes on."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    address: str
    seen_at: float
    """When it was seen, in unix seconds."""
    started: float
    """The same moment on the steady clock."""
    is_forwarded: bool = False
    """Whether the client asked for the server by its own name, so that nothing of addresses is ours to change."""
    user: str = ""
    """Who sent it, where that is verified: over stdio the user of the operating system."""
    judged_from: float = 0.0
    """When our work on it began, on the clock of ``started``: the body may take its time to arrive."""
    is_batch: bool = False
    is_changed: bool = False
    """Whether its body is another than the one that came; its length and digests then change too."""
    set_headers: dict[str, str] = field(default_factory=dict)
    """Headers to replace, where they repeat a value that was changed in the body."""
    anomalies: tuple[Anomaly, ...] = ()
    """What two parsers might have read differently in its body, before that was settled (``decode.anomalies``)."""

    def replace_body(self, body: bytes) -> None:
        """Another body goes on."""
        self.body = body
        self.is_changed = True


@dataclass(slots=True)
class Response:
    """What the server answered, and what of it goes back."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_changed: bool = False
    """Whether its body is another than the one that came."""
    headers_at: float = 0.0
    """When its head came, on the steady clock."""
    failure: str = ""
    """Why the sidecar gave the server up."""
    is_timed_out: bool = False

    def replace_body(self, body: bytes) -> None:
        """Another body goes back."""
        self.body = body
        self.is_changed = True

    @property
    def is_event_stream(self) -> bool:
        """Whether any client would read it as an event stream; some look only for the words."""
        return "event-stream" in self.headers.get("content-type", "").lower()


@dataclass(slots=True)
class Stream:
    """The event stream of an exchange, or the one on which it is answered."""

    endpoint: str = ""
    """The session of the transport of 2024-11-05 as its stream named it: where its client posts to. On both exchanges of it."""
    inject: Callable[[bytes], None] | None = None
    """Sends an event of ours between two of its own. None: it is not open."""
    is_resumable: bool = False
    """Whether its events carried ids, so that the client may fetch the rest elsewhere."""
    events_at: list[float] = field(default_factory=list)
    """When its first events came, on the steady clock."""
    event_id: bytes | None = None
    """Of the event that is being read."""
    subscribed: frozenset[str] = frozenset()
    """The kinds of list that the subscription on it tells of, as its server acknowledged them."""
    carry_over: CarryOver | None = None
    """What notifications on it ended with whose call is not known."""
    rows_minute: int = 0
    rows_written: list[int] = field(default_factory=lambda: [0, 0])
    """In this minute, of notifications in which no rule found anything, and of those in which one did."""
    rows_left_out: int = 0
    """Notifications that were judged but not written, because there were too many."""


@dataclass(slots=True)
class Exchange:
    """One request and its response. ``reply`` set means: send this; the server is not asked, or its answer not passed on."""

    server: Server
    request: Request
    wrap: str = ""
    """The wrap process a line came through, which is then the whole id space; empty over HTTP."""
    response: Response = field(default_factory=Response)
    stream: Stream = field(default_factory=Stream)
    state: ExchangeState = ExchangeState.RECEIVED
    reply: Reply | None = None
    calls: dict[tuple[str, object], Call] = field(default_factory=dict)
    """The calls its request opened, by id."""
    notifications: list[Call] = field(default_factory=list)
    """The notifications it carries, until it is known whether they arrived."""
    path_session: str = ""
    """The session id of the transport of 2024-11-05, which stands in the path."""
    is_mcp: bool = False
    is_oauth: bool = False
    protocol: str = ""
    era: Era = "handshake"

    def __post_init__(self) -> None:
        self.path_session = session_in(self.request.path)

    def move(self, state: ExchangeState) -> None:
        """Go on to another state."""
        assert state in _NEXT[self.state], f"an exchange that is {self.state.value} cannot become {state.value}"
        self.state = state

    @property
    def mcp_session(self) -> str:
        """The session id of the wire, from either side; a bearer secret, so never recorded."""
        return self.request.headers.get("mcp-session-id") or self.response.headers.get("mcp-session-id", "")

    @property
    def wire_session(self) -> str:
        """What the peers of this transport have as a session: its id on the wire, as much a secret, or the wrap process."""
        said = self.stream.endpoint or self.request.headers.get("mcp-session-id") or self.response.headers.get("mcp-session-id")
        return said or self.path_session or self.wrap

    @property
    def peer(self) -> Peer:
        """Who is on the other side, as the two ends of one id space."""
        return self.server.name, self.wire_session or f"address {self.request.address}"

    @property
    def transport(self) -> str:
        """``sse`` for the two endpoints of 2024-11-05, ``http`` for the one of every later revision, or ``stdio``."""
        if self.wrap:
            return "stdio"
        return "sse" if self.stream.endpoint else "http"

    @property
    def is_listening(self) -> bool:
        """Whether it is a stream that a client opened to hear of things, not to ask one."""
        return self.request.method == "GET"

    def open_calls(self) -> list[Call]:
        """The calls no answer has closed."""
        return [call for call in self.calls.values() if not call.is_ended]


def session_in(path: str) -> str:
    """The session id a path's query carries, in the spelling of either SDK."""
    if "?" not in path:
        return ""
    query = parse_qs(urlsplit(path).query)
    return next((query[name][0] for name in ("sessionId", "session_id") if name in query), "")
