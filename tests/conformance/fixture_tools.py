"""The tools of the fixture server, which do what each scenario of the conformance suite expects of its tool."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, PromptsListChanged, ToolsListChanged
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    CallToolRequestParams,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    PaginatedRequestParams,
)

from tests.conformance import offered

INVALID_PARAMS = -32602
CAPABILITY_MISSING = -32021
STEP_S = 0.05  # between two notifications of one call, so that each travels alone
RETRY_MS = 100  # how soon a client comes back to a stream that was closed on it

type Context = ServerRequestContext[Any, Any]
type Answer = dict[str, Any]
type Tool = Callable[[Context, CallToolRequestParams], Awaitable[Answer]]

bus = InMemorySubscriptionBus()
tools: dict[str, Tool] = {}


def tool(function: Tool) -> Tool:
    """Offer a function as a tool of its name."""
    tools[function.__name__] = function
    return function


def said(text: str) -> Answer:
    """The result of a tool that only says something."""
    return {"content": [{"type": "text", "text": text}]}


async def ask(ctx: Context, request: ElicitRequest | CreateMessageRequest, result: type[Any]) -> Any:
    """Ask the client on the stream of the call (handshake era)."""
    return await ctx.session.send_request(request, result, metadata=ServerMessageMetadata(related_request_id=ctx.request_id))


async def ask_person(ctx: Context, message: str, schema: dict[str, Any]) -> Answer:
    """Ask the person behind the client, and say what came back."""
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    answer = await ask(ctx, ElicitRequest.model_validate({"method": "elicitation/create", "params": params}), ElicitResult)
    return said(f"action={answer.action}, content={json.dumps(answer.content)}")


@tool
async def test_sampling(ctx: Context, params: CallToolRequestParams) -> Answer:
    """What the client's model says to a prompt."""
    request = CreateMessageRequest.model_validate(offered.asks_model(str((params.arguments or {})["prompt"])))
    answer = await ask(ctx, request, CreateMessageResult)
    return said(f"LLM response: {answer.content.text}")


@tool
async def test_elicitation(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Asks for an account."""
    return await ask_person(ctx, str((params.arguments or {})["message"]), offered.form(**offered.ACCOUNT))


@tool
async def test_elicitation_sep1034_defaults(ctx: Context, params: CallToolRequestParams) -> Answer:
    """A form with a default in every field."""
    return await ask_person(ctx, "Please check these values", offered.WITH_DEFAULTS)


@tool
async def test_elicitation_sep1330_enums(ctx: Context, params: CallToolRequestParams) -> Answer:
    """A form with every kind of choice."""
    return await ask_person(ctx, "Please choose", offered.WITH_CHOICES)


async def log(ctx: Context, text: str) -> None:
    """One line of log, on the stream of the call."""
    await ctx.session.send_log_message("info", text, related_request_id=ctx.request_id)


@tool
async def test_tool_with_logging(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Logs three times."""
    await log(ctx, "started")
    await asyncio.sleep(STEP_S)
    await log(ctx, "working")
    await asyncio.sleep(STEP_S)
    await log(ctx, "done")
    return said("logged three times")


@tool
async def test_logging_tool(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Logs once, if the client wants logs."""
    await log(ctx, "called")
    return said("logged, if you wanted logs")


@tool
async def test_tool_with_progress(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Tells three times how far it is."""
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100)
        await asyncio.sleep(STEP_S)
    return said("progressed")


@tool
async def test_error_handling(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Always fails."""
    return {**said("this tool always fails"), "isError": True}


@tool
async def test_reconnection(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Closes its stream on the client, who comes back for the result (SEP-1699)."""
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
        await asyncio.sleep(2 * RETRY_MS / 1000)
    return said("you came back")


@tool
async def test_missing_capability(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Only for clients with a model."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise MCPError(CAPABILITY_MISSING, "This tool needs sampling", {"requiredCapabilities": {"sampling": {}}})
    return said("you have a model")


@tool
async def test_trigger_tool_change(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Tells subscribers that the tools changed."""
    await bus.publish(ToolsListChanged())
    return said("told")


@tool
async def test_trigger_prompt_change(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Tells subscribers that the prompts changed."""
    await bus.publish(PromptsListChanged())
    return said("told")


@tool
async def test_input_required_result_multi_round(ctx: Context, params: CallToolRequestParams) -> Answer:
    """Asks twice, and knows from its state which question was answered (SEP-2322)."""
    answers = params.input_responses or {}
    number = int(params.request_state or 0)
    if number < len(offered.STEPS) and set(offered.STEPS[number]) <= set(answers):
        number += 1
    if number == len(offered.STEPS):
        return said("thank you for both")
    return input_required(offered.STEPS[number], str(number))


def input_required(requests: dict[str, Any], state: str | None = None) -> Answer:
    """The result of a call that needs input first (SEP-2322)."""
    return {"resultType": "input_required", "inputRequests": requests, **({"requestState": state} if state else {})}


def is_declared(ctx: Context, request: dict[str, Any]) -> bool:
    """Whether the client of this request can answer an embedded request."""
    capabilities = ctx.session.client_capabilities
    name = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
    return capabilities is not None and getattr(capabilities, name[request["method"]]) is not None


async def needing(ctx: Context, params: CallToolRequestParams) -> Answer:
    """The tools that ask for input once; the state says that the server itself asked."""
    requests = offered.NEEDS[params.name]
    if params.name == "test_input_required_result_capabilities":
        requests = {key: request for key, request in requests.items() if is_declared(ctx, request)}
    answers = params.input_responses or {}
    if set(requests) <= set(answers):
        told = {key: answers[key].model_dump(mode="json", by_alias=True, exclude_none=True) for key in requests}
        return said(f"{'state-ok ' if params.request_state == 'asked' else ''}{json.dumps(told)}")
    return input_required(requests, "asked")


async def call_tool(ctx: Context, params: CallToolRequestParams) -> Answer:
    """tools/call."""
    if params.name in offered.CONSTANT:
        return {"content": offered.CONSTANT[params.name]}
    if params.name in offered.NEEDS:
        return await needing(ctx, params)
    if params.name not in tools:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
    return await tools[params.name](ctx, params)


async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> Answer:
    """tools/list, always in the same order."""
    names = sorted([*offered.CONSTANT, *offered.NEEDS, *tools])
    schemas = {name: offered.SCHEMAS.get(name, offered.NOTHING) for name in names}
    return {"tools": [{"name": name, "description": f"Fixture {name}", "inputSchema": schemas[name]} for name in names]}
