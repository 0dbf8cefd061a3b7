"""Notifications of our own, sent on an open stream and recorded like those of a server."""

from collections.abc import Mapping
from typing import Any

from sidecar.decode import lossless, mcp, sse
from sidecar.events import Caller, Message
from sidecar.exchange.services import Services
from sidecar.state.call import open_call
from sidecar.state.exchange import Exchange


def send_notice(services: Services, stream: Exchange, notice: Mapping[str, Any], caller: Caller) -> None:
    """Send a JSON-RPC notification on an open event stream, for ``caller``; nothing where the stream is over."""
    if stream.stream.inject is None:
        return
    raw, now = lossless.canonical(notice), services.clock()
    stream.stream.inject(sse.message_event(raw))
    session = services.session_of(stream, caller, now)
    message = Message(
        server=stream.server.name,
        direction="response",
        kind="notification",
        method=str(notice["method"]),
        payload=notice,
        size=len(raw),
        caller=caller,
        session=session.id,
    )
    row = services.row_of(stream, session.kind)
    row.describe("sent_by", "sidecar")
    call = open_call(
        services.ledger,
        services.message_judge.scan_only(message, raw),
        mcp.facts(notice),
        row,
        rpc_id=None,
        now=now,
        started=services.timer(),
        server=stream.server,
    )
    services.end(call, "notification")
