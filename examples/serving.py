"""How the demo servers are started: one port on loopback, and a log of what really arrived at the server."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult


class Arrivals:
    """Notes every tool call that reaches the server: on stderr, and with its arguments in ``log`` if that is given.

    It is what proves that a blocked call did not arrive.
    """

    def __init__(self, name: str, log: Path | None) -> None:
        self._name = name
        self._log = log

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Note the message if it is a call, then let it go on."""
        if ctx.method == "tools/call" and ctx.params:
            tool, arguments = ctx.params.get("name"), ctx.params.get("arguments") or {}
            print(f"{self._name}: {tool} ({', '.join(arguments)})", file=sys.stderr, flush=True)
            if self._log:
                with self._log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"tool": tool, "arguments": arguments}) + "\n")
        return await call_next(ctx)


def serve(server: MCPServer[Any], port: int) -> None:
    """Serve until SIGINT or SIGTERM, on ``port`` unless the command line names another."""
    parser = argparse.ArgumentParser(description=server.description)
    parser.add_argument("--port", type=int, default=port, help=f"on 127.0.0.1 (default {port})")
    parser.add_argument("--log", type=Path, help="append every tool call that arrives, as a line of JSON")
    options = parser.parse_args()
    server.middleware.append(Arrivals(server.name, options.log))
    print(f"{server.name}: http://127.0.0.1:{options.port}/mcp", file=sys.stderr, flush=True)
    uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=options.port, log_level="warning")
