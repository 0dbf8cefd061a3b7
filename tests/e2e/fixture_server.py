"""A real MCP server for the end-to-end tests: every surface a call can have, and a log of what really arrived."""

import argparse
import json
from pathlib import Path
from typing import Annotated, Any

import anyio
import uvicorn
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import Context, Elicit, Resolve, Sample
from mcp.types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("fixture", version="1.0", log_level="ERROR")


class Name(BaseModel):
    """What a person is asked for."""

    name: str


class Account(BaseModel):
    """A result with a schema."""

    owner: str
    key: str
    balance: float


def ask_name() -> Elicit[Name]:
    """Ask the person behind the client."""
    return Elicit("What is your name?", Name)


def ask_model() -> Sample:
    """Ask the model behind the client."""
    said = SamplingMessage(role="user", content=TextContent(type="text", text="Say hello"))
    return Sample([said], max_tokens=10)


@server.tool()
def echo(text: str) -> str:
    """The text that came in."""
    return text


@server.tool()
def add(a: float, b: float) -> dict[str, float]:
    """A structured sum."""
    return {"sum": a + b}


@server.tool()
def account(key: str) -> Account:
    """A record that holds the key, as text and as structured content."""
    return Account(owner="Ada", key=key, balance=12.5)


@server.tool()
def leak(parts: list[str]) -> str:
    """Joins the parts of a value, so that a test can have a secret in a result without one in the arguments."""
    return "the key is " + "".join(parts)


@server.tool()
def leak_account(parts: list[str]) -> Account:
    """The same, structured."""
    return Account(owner="Ada", key="".join(parts), balance=12.5)


@server.tool()
def fail() -> str:
    """A tool that fails."""
    raise ValueError("this tool always fails")


@server.tool()
async def count(to: int, ctx: Context) -> int:
    """Counts and tells how far it is."""
    for number in range(to):
        await ctx.report_progress(number + 1, to, f"step {number + 1}")
    return to


@server.tool()
async def hold() -> str:
    """Never answers; its end is noted."""
    Arrivals.note("hold begins")
    try:
        await anyio.sleep_forever()
    finally:
        Arrivals.note("hold is cancelled")
    return "never"


@server.tool()
def greet(person: Annotated[Name, Resolve(ask_name)]) -> str:
    """Asks a person for a name."""
    return f"hello {person.name}"


@server.tool()
def think(answer: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    """Asks the client's model."""
    return f"the model said {answer.content.text}" if isinstance(answer.content, TextContent) else "nothing"


@server.tool()
def delete_everything() -> str:
    """A tool a policy denies."""
    return "gone"


@server.prompt()
def hello(name: str) -> str:
    """A prompt."""
    return f"Say hello to {name}."


@server.resource("note://today")
def note() -> str:
    """A resource."""
    return "buy milk"


class Arrivals:
    """Appends every message that reaches the server to a file."""

    log = Path()

    @classmethod
    def note(cls, method: str, params: Any = None) -> None:
        """Write one line."""
        with cls.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"method": method, "params": params}, default=str) + "\n")

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Note it, then go on."""
        self.note(ctx.method, ctx.params)
        return await call_next(ctx)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, help="over HTTP there; without it over stdio")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--sse", action="store_true", help="speak the transport of 2024-11-05")
    parser.add_argument("--cert", help="a PEM file with key and certificate: speak TLS")
    options = parser.parse_args()
    Arrivals.log = options.log
    server.middleware.append(Arrivals())
    if options.port is None:
        server.run("stdio")
    else:
        app = server.sse_app() if options.sse else server.streamable_http_app()
        uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="error", ssl_certfile=options.cert)
