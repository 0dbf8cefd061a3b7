"""One exchange over HTTP or stdio: what its carrier tells the rest of the program, and what it is told in return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlsplit

from sidecar.judging.carry_over import CarryOver
from sidecar.outcomes import Anomaly
from sidecar.settings import Server
from sidecar.state.call import Call, Peer

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP response of ours."""

    status: int
    body: bytes = b""
    content_type: str = JSON


@dataclass(slots=True)
class Exchange:
    """One request and its response. Header names are lower case.

    ``answer`` set means: send this, the server is never asked. ``body`` and ``response_body`` may be replaced; the carrier
    then mends lengths and drops digests.
    """

    server: Server
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    address: str
    seen_at: float
    started: float
    is_forwarded: bool = False
    """Whether the client asked for the server by its own name, so that nothing of addresses is ours to change."""
    began: float = 0.0
    """When our work on it began, on the clock of ``started``: the body may take its time to arrive."""
    answer: Reply | None = None
    status: int = 0
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes = b""
    anomalies: tuple[Anomaly, ...] = ()
    """What two parsers might have read differently in its body, before that was settled (``decode.anomalies``)."""
    set_headers: dict[str, str] = field(default_factory=dict)
    """Request headers to replace, where they mirror a value that was redacted in the body."""
    calls: dict[tuple[str, object], Call] = field(default_factory=dict)
    """The calls this exchange's request opened, by id."""
    notifications: list[Call] = field(default_factory=list)
    """The notifications it carries, until it is known whether they arrived."""
    wrap: str = ""
    """The wrap process a line came through, which is then the whole id space; empty over HTTP."""
    user: str = ""
    """Who sent it, where that is verified: over stdio the user of the operating system."""
    path_session: str = ""
    """The session id of the transport of 2024-11-05, which stands in the path."""
    endpoint: str = ""
    """The session of that transport as its stream named it: where its client posts to. On both exchanges of it."""
    inject: Callable[[bytes], None] | None = None
    """Sends an event of ours into the open event stream, between two of its own. None: there is no open stream."""
    is_resumable: bool = False
    """Whether events of its stream carried ids, so that the client may fetch the rest elsewhere."""
    is_batch: bool = False
    is_timed_out: bool = False
    failure: str = ""
    """Why the sidecar itself gave the server up."""
    headers_at: float = 0.0
    events_at: list[float] = field(default_factory=list)
    """When the head of the response came, and its first events, on the clock of ``started``."""
    event_id: bytes | None = None
    """Of the event that is being read."""
    subscribed: frozenset[str] = frozenset()
    """The kinds of list that the subscription on its stream tells of, as its server acknowledged them."""
    rows_minute: int = 0
    rows_written: list[int] = field(default_factory=lambda: [0, 0])
    """In this minute, of notifications in which no rule found anything, and of those in which one did."""
    rows_left_out: int = 0
    """Notifications of its stream that were judged but not written, because there were too many."""
    carry_over: CarryOver | None = None
    """What notifications on its stream ended with whose call is not known."""
    is_mcp: bool = False
    is_oauth: bool = False
    protocol: str = ""
    era: str = "handshake"

    @property
    def mcp_session(self) -> str:
        """The session id of the wire, from either side; a bearer secret, so never recorded."""
        return self.headers.get("mcp-session-id") or self.response_headers.get("mcp-session-id", "")

    @property
    def wire_session(self) -> str:
        """What the peers of this transport have as a session: its id on the wire, as much a secret, or the wrap process."""
        said = self.endpoint or self.headers.get("mcp-session-id") or self.response_headers.get("mcp-session-id")
        return said or self.path_session or self.wrap

    @property
    def peer(self) -> Peer:
        """Who is on the other side, as the two ends of one id space."""
        return self.server.name, self.wire_session or f"address {self.address}"

    @property
    def transport(self) -> str:
        """``sse`` for the two endpoints of 2024-11-05, ``http`` for the one of every later revision, or ``stdio``."""
        if self.wrap:
            return "stdio"
        return "sse" if self.endpoint else "http"

    def __post_init__(self) -> None:
        self.path_session = session_in(self.path)

    def open_calls(self) -> list[Call]:
        """The calls no answer has closed."""
        return [call for call in self.calls.values() if not call.is_ended]

    @property
    def is_event_stream(self) -> bool:
        """Whether any client would read the response as an event stream; some look only for the words."""
        return "event-stream" in self.response_headers.get("content-type", "").lower()


def session_in(path: str) -> str:
    """The session id a path's query carries, in the spelling of either SDK."""
    if "?" not in path:
        return ""
    query = parse_qs(urlsplit(path).query)
    return next((query[name][0] for name in ("sessionId", "session_id") if name in query), "")
