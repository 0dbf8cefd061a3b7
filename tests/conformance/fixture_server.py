"""The MCP server the conformance suite is run against: every surface the suite asks for, in all four revisions."""

import argparse
import json
import re
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import uvicorn
from mcp import MCPError
from mcp.server.caching import CACHEABLE_METHODS, CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.server.subscriptions import ListenHandler
from mcp.types import (
    CallToolRequestParams,
    CompleteRequestParams,
    GetPromptRequestParams,
    JSONRPCMessage,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from tests.conformance import offered
from tests.conformance.fixture_tools import (
    INVALID_PARAMS,
    RETRY_MS,
    Answer,
    Context,
    bus,
    call_tool,
    input_required,
    list_tools,
)

RESOURCE_NOT_FOUND = -32002  # until 2025-11-25; INVALID_PARAMS since
STATELESS = "2026-07-28"


async def list_resources(ctx: Context, params: PaginatedRequestParams | None) -> Answer:
    """resources/list."""
    return {"resources": offered.RESOURCES}


async def list_templates(ctx: Context, params: PaginatedRequestParams | None) -> Answer:
    """resources/templates/list."""
    return {"resourceTemplates": offered.TEMPLATES}


async def read_resource(ctx: Context, params: ReadResourceRequestParams) -> Answer:
    """resources/read."""
    uri = str(params.uri)
    if uri in offered.CONTENTS:
        return {"contents": [{"uri": uri, **offered.CONTENTS[uri]}]}
    if found := re.fullmatch(r"test://template/([^/]+)/data", uri):
        text = json.dumps({"id": found[1], "templateTest": True, "data": f"Data for ID: {found[1]}"})
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": text}]}
    code = INVALID_PARAMS if ctx.protocol_version >= STATELESS else RESOURCE_NOT_FOUND
    raise MCPError(code, "Resource not found", {"uri": uri})


async def list_prompts(ctx: Context, params: PaginatedRequestParams | None) -> Answer:
    """prompts/list."""
    return {"prompts": offered.PROMPTS}


async def get_prompt(ctx: Context, params: GetPromptRequestParams) -> Answer:
    """prompts/get."""
    arguments = params.arguments or {}
    contents: list[Answer] = [offered.TEXT]
    match params.name:
        case "test_prompt_with_arguments":
            text = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
            contents = [{"type": "text", "text": text}]
        case "test_prompt_with_embedded_resource":
            contents.insert(0, offered.embedded(arguments["resourceUri"], "What stands in it."))
        case "test_prompt_with_image":
            contents.insert(0, offered.IMAGE)
        case "test_input_required_result_prompt":
            if not set(offered.PROMPT_NEEDS) <= set(params.input_responses or {}):
                return input_required(offered.PROMPT_NEEDS)
        case "test_simple_prompt":
            pass
        case _:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return {"messages": [{"role": "user", "content": content} for content in contents]}


async def complete(ctx: Context, params: CompleteRequestParams) -> Answer:
    """completion/complete."""
    values = [value for value in ("paris", "park", "party") if value.startswith(params.argument.value)]
    return {"completion": {"values": values, "total": len(values), "hasMore": False}}


async def nothing(ctx: Context, params: Any) -> Answer:
    """Requests that are taken note of."""
    return {}


class Events(EventStore):
    """What was sent on each stream, for clients that come back with Last-Event-ID."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._events: dict[EventId, tuple[StreamId, JSONRPCMessage | None]] = {}

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        """Keep an event, and give it an id."""
        event_id = str(next(self._numbers))
        self._events[event_id] = (stream_id, message)
        return event_id

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        """Send again what came later on the same stream."""
        if last_event_id not in self._events:
            return None
        stream_id = self._events[last_event_id][0]
        for event_id, (stream, message) in list(self._events.items()):
            if stream == stream_id and int(event_id) > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream_id


def complete_unless_said(handler: Callable[[Context, Any], Awaitable[Answer]]) -> Callable[[Context, Any], Awaitable[Answer]]:
    """A handler whose results say that they are complete, which 2026-07-28 asks for and earlier revisions leave out."""

    async def handle(ctx: Context, params: Any) -> Answer:
        return {"resultType": "complete", **await handler(ctx, params)}

    return handle


def make_server() -> Server[Any]:
    """The server with all its handlers."""
    hints: Any = {method: CacheHint(ttl_ms=60_000, scope="private") for method in CACHEABLE_METHODS}
    server: Server[Any] = Server("conformance-fixture", version="1.0", cache_hints=hints)
    for method, params, handler in (
        ("tools/list", PaginatedRequestParams, list_tools),
        ("tools/call", CallToolRequestParams, call_tool),
        ("resources/list", PaginatedRequestParams, list_resources),
        ("resources/templates/list", PaginatedRequestParams, list_templates),
        ("resources/read", ReadResourceRequestParams, read_resource),
        ("prompts/list", PaginatedRequestParams, list_prompts),
        ("prompts/get", GetPromptRequestParams, get_prompt),
        ("completion/complete", CompleteRequestParams, complete),
    ):
        server.add_request_handler(method, params, complete_unless_said(handler))
    # These ended with 2025-11-25, and their results were strictly empty.
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, nothing)
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, nothing)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, nothing)
    server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, ListenHandler(bus))
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
    return server


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = make_server().streamable_http_app(event_store=Events(), retry_interval=RETRY_MS)
    # The suite asks that spaces around a header's value are ignored, and httptools hands on those behind it.
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="error", http="h11")
