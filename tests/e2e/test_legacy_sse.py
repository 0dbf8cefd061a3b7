"""The transport of 2024-11-05 with the SDKs that still speak it: what works directly works through the sidecar."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, MCPError
from mcp.client.sse import sse_client

from tests.e2e.conftest import Installation, Program, is_open, until
from tests.e2e.test_clients import elicit, npm, sample
from tests.play import aws_key
from tests.ports import free_port

EVERYTHING = [("echo", {"message": "hi"}), ("get-sum", {"a": 2, "b": 3}), ("no-such-tool", {})]
ASKING = [("trigger-sampling-request", {"prompt": "hi", "maxTokens": 10})]
FIXTURE = [("echo", {"text": "Zürich 🚲"}), ("account", {"key": "plain"}), ("fail", {}), ("no_such_tool", {})]


@pytest.fixture(scope="module", params=["python", "typescript"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Installation]]:
    """A server of either SDK that speaks this transport, by its port, and a sidecar in front of it."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    if request.param == "python":
        script = str(Path(__file__).parent / "fixture_server.py")
        arrivals = str(folder / "arrivals.jsonl")
        program = Program([sys.executable, script, "--sse", "--port", str(port), "--log", arrivals], folder / "server.log")
    else:
        package = npm("@modelcontextprotocol/server-everything")
        program = Program(["node", str(package / "dist" / "index.js"), "sse"], folder / "server.log", PORT=str(port))
    until(lambda: is_open(port) or program.process.poll() is not None, "the server")
    assert program.process.poll() is None, program.output
    installation = Installation(folder, port)
    installation.start_proxy()
    yield port, installation
    installation.stop()
    program.stop()


async def python(url: str, calls: list[tuple[str, Any]]) -> dict[str, Any]:
    """What the Python client sees; a call that hangs fails here."""
    seen: dict[str, Any] = {"answers": []}
    async with (
        sse_client(url) as (read, write),
        ClientSession(read, write, sampling_callback=sample, elicitation_callback=elicit) as client,
    ):
        seen["protocol"] = (await client.initialize()).protocol_version
        seen["tools"] = [tool.name for tool in (await client.list_tools()).tools]
        for name, arguments in calls:
            try:
                answer = await asyncio.wait_for(client.call_tool(name, arguments), 60)
                seen["answers"].append(answer.model_dump(exclude={"meta"}))
            except MCPError as error:
                seen["answers"].append({"thrown": error.error.message, "code": error.error.code})
    return seen


def typescript(version: str) -> Callable[[str, list[tuple[str, Any]]], dict[str, Any]]:
    """What a TypeScript client sees."""

    def tour(url: str, calls: list[tuple[str, Any]]) -> dict[str, Any]:
        modules = npm("@modelcontextprotocol/sdk").parents[1]
        script = Path(__file__).parent / "sse_client.mjs"
        pairs = [text for name, arguments in calls for text in (name, json.dumps(arguments))]
        command = ["node", str(script), str(modules), version, url, *pairs]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    return tour


@pytest.mark.parametrize("client", ["python", "v1", "v2"])
def test_clients_see_the_same_and_refusals_reach_them(
    served: tuple[int, Installation], client: str, request: pytest.FixtureRequest
) -> None:
    """Lists, calls, errors and the server's questions are as without; a refused call is an answer the model reads at once."""
    port, installation = served
    is_typescript = "typescript" in request.node.name
    calls = [*(EVERYTHING if is_typescript else FIXTURE), *(ASKING if is_typescript and client == "python" else [])]
    tour = typescript(client) if client != "python" else lambda url, made: asyncio.run(python(url, made))
    name, argument = calls[0][0], next(iter(calls[0][1]))
    seen = tour(f"http://127.0.0.1:{installation.port}/sse", [*calls, (name, {argument: aws_key()})])
    refused = seen["answers"].pop()
    assert seen == tour(f"http://127.0.0.1:{port}/sse", calls)
    is_error = refused.get("isError") or refused.get("is_error")
    assert is_error, refused
    assert "Blocked by policy" in refused["content"][0]["text"]


def test_a_server_that_dies_is_an_error_and_not_a_wait(another: Callable[..., Installation], tmp_path: Path) -> None:
    """When the server dies in the middle of a call, its client reads an error at once."""
    port, arrivals = free_port(), tmp_path / "arrivals.jsonl"
    script = str(Path(__file__).parent / "fixture_server.py")
    command = [sys.executable, script, "--sse", "--port", str(port), "--log", str(arrivals)]
    program = Program(command, tmp_path / "server.log")
    until(lambda: is_open(port), "the server")
    installation = another(port=port)
    installation.start_proxy()

    async def scenario() -> None:
        url = f"http://127.0.0.1:{installation.port}/sse"
        async with sse_client(url) as (read, write), ClientSession(read, write) as client:
            await client.initialize()
            waiting = asyncio.ensure_future(client.call_tool("hold", {}))
            await asyncio.to_thread(until, lambda: "hold begins" in arrivals.read_text(), "the call to arrive")
            program.stop(signal.SIGKILL)
            with pytest.raises(MCPError, match="gave no answer"):
                await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())
