"""How exchanges end that end without an answer: broken off, refused by the server, left by the client, gone elsewhere."""

from sidecar.decode import lossless, sse
from sidecar.exchange import replies
from sidecar.exchange.services import Services
from sidecar.outcomes import ErrorType, Status
from sidecar.state.call import Call, CallState
from sidecar.state.exchange import Exchange, Reply


class Completion:
    """Closes what is open, each call once, and says what a client should still be told."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._correlation = services.correlation
        self._ledger = services.ledger

    def close(self, exchange: Exchange, reason: str) -> bytes:
        """Ends what the exchange left open, and says what an open stream should still be sent."""
        tail = b""
        self._services.open_streams.remove(exchange)
        for note in exchange.notifications:
            self._services.end_on(exchange, note, "notification")
        if exchange.stream.rows_left_out:
            left_out, exchange.stream.rows_left_out = exchange.stream.rows_left_out, 0
            self._ledger.health("notifications_left_out", left_out, exchange.server.name, self._services.clock())
        if exchange.request.method == "GET" and exchange.stream.endpoint:
            return self._end_session(exchange, reason)
        if exchange.stream.is_resumable and not reason and not any(call.is_cancelled for call in exchange.open_calls()):
            self.wait_elsewhere(exchange)
            return tail
        for call in exchange.open_calls():
            if self._services.is_stopping:
                self._services.end_on(exchange, call, "no_response", error_type="sidecar_stopped")
            elif reason == "client" or call.is_cancelled:
                self._services.end_on(exchange, call, "cancelled", error_type=_why_cancelled(reason))
            elif exchange.stream.is_resumable:
                self.wait_elsewhere(exchange)
            else:
                tail += self._end_unanswered(exchange, call, reason)
        return tail

    def fail(self, exchange: Exchange, reason: str, status: int) -> Reply:
        """No usable response: an error every client can read, at once, and the call recorded with the reason."""
        text = f"The server '{exchange.server.name}' gave no answer: {reason}."
        calls = exchange.open_calls()
        reply = self._services.fail(exchange, [call.rpc_id for call in calls], text, status)
        for call in [*calls, *exchange.notifications]:
            error_type: ErrorType = "timeout" if exchange.response.is_timed_out else "unreachable"
            self._services.end(call, "upstream_error", error_type=error_type, error_message=text, http_status=status)
        return reply

    def wait_elsewhere(self, exchange: Exchange) -> None:
        """The answer is expected on another exchange; the table of open calls knows what it will answer."""
        is_over = (
            bool(exchange.stream.endpoint)
            and exchange.request.method == "POST"
            and self._services.open_streams.of(exchange) is None
        )
        for call in exchange.open_calls():
            call.move(CallState.WAITING)
            if is_over:
                self._services.end_on(exchange, call, "no_response", error_type="session_ended")
            elif call.key is None or self._correlation.open.get(call.key) is not call:
                # A later request took its id, so an answer on another stream would be the later one's.
                self._services.end_on(exchange, call, "no_response", error_type="duplicate_id")
        exchange.calls.clear()

    def _end_unanswered(self, exchange: Exchange, call: Call, reason: str) -> bytes:
        """The error a client reads in an open stream whose server will not answer any more."""
        text = f"The server '{exchange.server.name}' gave no answer: {reason or 'the stream ended without one'}."
        status: Status = "upstream_error" if reason else "no_response"
        error_type: ErrorType = "stream_broken" if reason else "stream_ended"
        if exchange.transport == "stdio":
            error_type = "server_ended"
        self._services.end_on(exchange, call, status, error_type=error_type, error_message=text)
        said = lossless.canonical(replies.server_failed(call.rpc_id, text))
        return said + b"\n" if exchange.transport == "stdio" else sse.message_event(said)

    def _end_session(self, exchange: Exchange, reason: str) -> bytes:
        """The one stream of a session of 2024-11-05 is over, so nothing that was asked in it can be answered any more."""
        tail = b""
        peer = exchange.peer
        self._correlation.clients.pop(peer)
        for call in self._correlation.waiting_of(peer):
            if reason == "client" or call.is_cancelled:
                self._services.end(call, "cancelled", error_type=_why_cancelled(reason))
            elif self._services.is_stopping or call.row.direction == "response":
                error_type: ErrorType = "sidecar_stopped" if self._services.is_stopping else "session_ended"
                self._services.end(call, "no_response", error_type=error_type)
            else:
                tail += self._end_unanswered(exchange, call, reason)
        return tail


def _why_cancelled(reason: str) -> ErrorType:
    return "client_left" if reason == "client" else "cancelled"
