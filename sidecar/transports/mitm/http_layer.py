"""mitmproxy's HTTP layer with our answers where it would send a page of its own.

Its error pages are HTML, which MCP clients report as a generic failure or wait out. Here the ``error`` hook may set
``flow.response`` (nothing was sent yet) or ``flow.metadata[TAIL]`` (an event stream is open), and that is what is sent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mitmproxy import flow as mitm_flow
from mitmproxy.connection import Connection
from mitmproxy.http import HTTPFlow
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    DropStream,
    ErrorCode,
    GetHttpConnection,
    HttpErrorHook,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server

from sidecar import limits
from sidecar.decode.http1 import is_sound
from sidecar.transports.mitm.trailers import ClientSide, adopt
from sidecar.transports.routing import OTHER

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

TAIL: Final = "sidecar.tail"
"""Bytes that end an open event stream whose server is gone."""


@dataclass
class Injected(events.Event):
    """Whole events of ours for the open event stream of ``flow``, whose own bytes so far end where an event ends."""

    flow: HTTPFlow
    data: bytes


class CheckReusable(commands.ConnectionCommand):
    """Asks whether a connection to a server may take another request; answered in place, before the layer goes on."""

    is_kept = True
    """False when bytes or an end have arrived that the event loop has yet to tell of."""


Route = Callable[[HTTPFlow], None]
"""Says by the metadata of a flow whose it is, as soon as the head of its request is read."""


class SidecarHttpLayer(HttpLayer):
    """HTTP between one client connection and its server, or in ``HTTPMode.regular`` as many hosts as the client asks for."""

    def __init__(self, context: Context, route: Route, mode: HTTPMode = HTTPMode.transparent) -> None:
        super().__init__(context, mode)
        self._route = route

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, Injected):
            yield from self._inject(event)
            return
        if isinstance(event, events.Start) and self.context.client.alpn != b"h2":
            self.connections[self.context.client] = ClientSide(self.context.fork())
        yield from super()._handle_event(event)
        if isinstance(event, events.DataReceived):
            yield from self._bound_head(event.connection)

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> CommandGenerator[None]:
        """A connection for a request: a kept one, unless the server is closing it; what is sent into that one is lost."""
        for connection in [*self.connections]:
            if reuse and event.connection_spec_matches(connection) and connection.connected:
                check = CheckReusable(connection)
                yield check
                reuse = check.is_kept
        yield from super().get_connection(event, reuse=reuse)

    def register_connection(self, command: RegisterHttpConnection) -> CommandGenerator[None]:
        """A connection to a server is there: from here on it is read by ``ServerSide``."""
        adopt(self.connections.get(command.connection))
        yield from super().register_connection(command)

    def _inject(self, event: Injected) -> CommandGenerator[None]:
        """Send it, framed as the rest of the response is; nothing if the stream has ended meanwhile."""
        for stream in self.streams.values():
            if stream.server_state == stream.state_stream_response_body and stream.flow is event.flow:
                client = self.connections[self.context.client]
                yield from self.event_to_child(client, ResponseData(stream.stream_id, event.data))
                return

    def _bound_head(self, connection: Connection) -> CommandGenerator[None]:
        """Close a connection whose message head goes on and on; mitmproxy itself would hold any amount of it."""
        reader = self.connections.get(connection)
        reader = getattr(reader, "child_layer", reader)
        if not isinstance(reader, Http1Connection) or len(reader.buf) <= limits.HEADER_BYTES_MAX:
            return
        if reader.state == reader.read_headers:
            if isinstance(reader, Http1Server):
                yield commands.SendData(connection, _TOO_LARGE)
            yield commands.CloseConnection(connection)

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        """One request and its response."""
        stream = SidecarStream(self.context.fork(), stream_id, self._route)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())


class SidecarStream(HttpStream):
    """One request and its response, with bounds and errors answered in the client's language."""

    flow: HTTPFlow

    def __init__(self, context: Context, stream_id: int, route: Route) -> None:
        super().__init__(context, stream_id)
        self._route = route

    def check_invalid(self, request: bool) -> CommandGenerator[bool]:
        """The first that happens with a request, so it is routed here: bounds already depend on that.

        A response with a head that could be read in two ways is answered for, instead of by a page that quotes it.
        """
        if request:
            self._route(self.flow)
            return (yield from super().check_invalid(True))
        if OTHER in self.flow.metadata or self._is_sound():
            return (yield from super().check_invalid(False))
        self.flow.error = mitm_flow.Error("Received a head that can be read in two ways")
        yield commands.CloseConnection(self.flow.server_conn)
        yield HttpErrorHook(self.flow)
        yield from self._send_answer()
        self.flow.live = False
        return True

    def _is_sound(self) -> bool:
        response = self.flow.response
        assert response is not None
        try:
            validate_headers(response)
        except ValueError:
            return False
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.fields]
        return is_sound(response.status_code, response.data.reason.decode("latin-1"), fields)

    def check_body_size(self, request: bool) -> CommandGenerator[bool]:
        """Refuse a body over its bound, by its declared length or as soon as that much has arrived."""
        if OTHER in self.flow.metadata:
            return False
        bound = limits.REQUEST_BYTES_MAX if request else limits.RESPONSE_BYTES_MAX
        size = len(self.request_body_buf if request else self.response_body_buf)
        if not size:
            try:
                size = expected_http_body_size(self.flow.request, None if request else self.flow.response) or 0
            except ValueError:
                size = 0
        if size <= bound:
            return False
        what = "request" if request else "response"
        error = mitm_flow.Error(f"the {what} is larger than {bound // limits.MIB} MiB")
        if request and not self.request_body_buf:
            yield HttpRequestHeadersHook(self.flow)
        self.flow.error = error
        yield HttpErrorHook(self.flow)
        yield from self._send_answer()
        if request:
            yield commands.CloseConnection(self.context.client)
        else:
            gone = RequestProtocolError(self.stream_id, error.msg, ErrorCode.RESPONSE_TOO_LARGE)
            yield SendHttp(gone, self.context.server)
        self.flow.live = False
        return True

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> CommandGenerator[None]:
        """The server failed: answer for it. The client failed: mitmproxy does the right thing."""
        is_streaming = self.server_state == self.state_stream_response_body
        can_answer = is_streaming or self.server_state in (
            self.state_wait_for_response_headers,
            self.state_consume_response_body,
        )
        # What is passed on unseen ends as it ended: only a cut connection says that more was to come.
        is_cut = is_streaming and OTHER in self.flow.metadata
        is_ours = isinstance(event, ResponseProtocolError) and can_answer and not is_cut
        if not is_ours or self.client_state == self.state_errored:
            yield from super().handle_protocol_error(event)
            return
        self.flow.error = mitm_flow.Error(event.message)
        yield HttpErrorHook(self.flow)
        if is_streaming:
            if tail := self.flow.metadata.get(TAIL, b""):
                yield SendHttp(ResponseData(self.stream_id, tail), self.context.client)
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        else:
            yield from self._send_answer()
        self.server_state = self.state_errored
        self.flow.live = False
        yield DropStream(self.stream_id)

    def _send_answer(self) -> CommandGenerator[None]:
        response = self.flow.response
        assert response is not None
        self.client_state = self.server_state = self.state_errored
        yield SendHttp(ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client)
        yield SendHttp(ResponseData(self.stream_id, response.raw_content or b""), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
