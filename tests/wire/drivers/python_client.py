"""The Python SDK's client: calls every shape it is told, and prints what its application got.

Reads its task from stdin, ``{"url", "mode", "alone": [name, ...], "waves": [[{"name", "timeout_s"}, ...], ...]}``, and writes
``{name: outcome}`` to stdout.
"""

import asyncio
import hashlib
import json
import logging
import sys
from typing import Any

from mcp import Client
from mcp.types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent
from pydantic import FileUrl

logging.disable(logging.CRITICAL)


class Seen:
    """What arrived beside the results, by shape."""

    def __init__(self) -> None:
        self.by_shape: dict[str, list[Any]] = {}

    def note(self, shape: str, *what: Any) -> None:
        self.by_shape.setdefault(shape, []).append(what)


def dumped(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True) if hasattr(value, "model_dump") else value


def shape_of(params: Any) -> str:
    meta = getattr(params, "meta", None) or {}
    return str(meta.get("shape", "?")) if isinstance(meta, dict) else str(getattr(meta, "shape", "?"))


def failed(error: BaseException) -> dict[str, Any]:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = getattr(error, "error", None)
    if said is not None and hasattr(said, "code"):
        return {"error": type(error).__name__, "code": said.code, "message": said.message, "data": said.data}
    return {"error": type(error).__name__, "message": str(error)}


def printable(outcome: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(outcome)
    if len(text) < 3000:
        return outcome
    return {"chars": len(text), "head": text[:200], "hash": hashlib.sha256(text.encode()).hexdigest()}


async def run(url: str, mode: str, alone: list[str], waves: list[list[dict[str, Any]]]) -> dict[str, Any]:
    seen = Seen()

    async def sample(context: Any, params: Any) -> CreateMessageResult:
        seen.note(shape_of(params), "sampling", dumped(params))
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="hi"), model="m")

    async def elicit(context: Any, params: Any) -> ElicitResult:
        seen.note(shape_of(params), "elicitation", dumped(params))
        return ElicitResult(action="accept", content={"name": "Zoë"})

    async def roots(context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=FileUrl("file:///work"))])

    async def handle(message: Any) -> None:
        params = getattr(message, "params", None)
        if params is not None and not isinstance(message, Exception):
            seen.note(shape_of(params), type(message).__name__, dumped(params))

    async def call(client: Client, name: str, timeout_s: float) -> dict[str, Any]:
        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            seen.note(name, "progress", (progress, total, message))

        try:
            outcome = {"result": dumped(await client.call_tool(name, {}, timeout_s, progressed))}
        except Exception as error:
            outcome = failed(error)
        return outcome

    outcomes: dict[str, Any] = {}

    def connect() -> Client:
        return Client(
            url,
            mode=mode,
            message_handler=handle,
            sampling_callback=sample,
            elicitation_callback=elicit,
            list_roots_callback=roots,
        )

    async def call_alone(name: str, timeout_s: float) -> dict[str, Any]:
        try:
            async with connect() as client:
                return await call(client, name, timeout_s)
        except BaseException as error:
            return failed(error)

    outcomes |= {name: await call_alone(name, 3.0) for name in alone}
    async with connect() as client:
        await client.list_tools()
        for wave in waves:
            found = await asyncio.gather(*[call(client, each["name"], each["timeout_s"]) for each in wave])
            outcomes |= {each["name"]: outcome for each, outcome in zip(wave, found, strict=True)}
        await asyncio.sleep(0.2)
    return {name: printable(outcome | {"seen": seen.by_shape.get(name, [])}) for name, outcome in outcomes.items()}


if __name__ == "__main__":
    task = json.loads(sys.stdin.read())
    print(json.dumps(asyncio.run(run(task["url"], task["mode"], task["alone"], task["waves"]))))
