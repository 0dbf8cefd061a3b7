"""Official clients see through the sidecar exactly what they see without it."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CreateMessageResult, ElicitResult, TextContent

from tests.e2e.conftest import ROOT, Installation, Program, is_open, until
from tests.ports import free_port

MODES = ["legacy", "auto", "2026-07-28"]


async def elicit(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "Bob"})


async def sample(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="hi"), model="m")


async def tour(server: str | StdioServerParameters, mode: Any) -> dict[str, Any]:
    """Use everything a server offers, and keep what came back."""
    seen: dict[str, Any] = {"progress": []}

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        seen["progress"].append((progress, total, message))

    async with Client(server, mode=mode, elicitation_callback=elicit, sampling_callback=sample) as client:
        seen["tools"] = [tool.model_dump() for tool in (await client.list_tools()).tools]
        seen["prompts"] = [prompt.model_dump() for prompt in (await client.list_prompts()).prompts]
        seen["resources"] = [resource.model_dump() for resource in (await client.list_resources()).resources]
        asked: list[tuple[str, dict[str, Any]]] = [
            ("echo", {"text": 'Zürich "1" 🚲 \u2028'}),
            ("add", {"a": 0.1, "b": 1e15}),
            ("account", {"key": "plain"}),
            ("fail", {}),
            ("greet", {}),
            ("think", {}),
            ("no_such_tool", {}),
        ]
        for tool, arguments in asked:
            try:
                seen[tool] = (await client.call_tool(tool, arguments)).model_dump(exclude={"meta"})
            except MCPError as error:
                seen[tool] = (error.error.code, error.error.message)
        counted = await client.call_tool("count", {"to": 3}, progress_callback=progressed)
        seen["count"] = counted.structured_content
        seen["prompt"] = (await client.get_prompt("hello", {"name": "Ada"})).model_dump(exclude={"meta"})
        seen["resource"] = (await client.read_resource("note://today")).model_dump(exclude={"meta"})
    return seen


@pytest.mark.parametrize("mode", MODES)
def test_the_python_client_sees_the_same_with_and_without(
    sidecar: Installation, fixture_server: tuple[int, Path], mode: str
) -> None:
    """Lists, calls, errors, progress, elicitation, sampling, prompts and resources are the same in both eras."""
    direct = asyncio.run(tour(f"http://127.0.0.1:{fixture_server[0]}/mcp", mode))
    through = asyncio.run(tour(sidecar.url, mode))
    assert through == direct
    assert len(through["progress"]) == 3


def test_the_servers_questions_are_calls_of_their_own(sidecar: Installation) -> None:
    """What a server asked the client stands in the record, beside the call that made it ask."""
    asyncio.run(tour(sidecar.url, "legacy"))
    sql = "SELECT method, status FROM calls WHERE direction = 'response' AND kind = 'request' GROUP BY ALL ORDER BY method"
    until(
        lambda: sidecar.rows(sql) == [("elicitation/create", "ok"), ("sampling/createMessage", "ok")],
        "the server's questions in the record",
    )


def npm(name: str) -> Path:
    """An npm package of the tests, or a skip with the reason."""
    found = ROOT / ".tools" / "npm" / "node_modules" / name
    if not found.is_dir() or not shutil.which("node"):
        pytest.skip(f"the npm package {name} is not installed here; scripts/test-tools installs it where npm is allowed")
    return found


def inspect(url: str, *arguments: str) -> Any:
    """The TypeScript SDK's inspector, in its command-line mode."""
    script = npm("@modelcontextprotocol/inspector")
    package = json.loads((script / "package.json").read_text())
    binary = next(iter(package["bin"].values())) if isinstance(package["bin"], dict) else package["bin"]
    done = subprocess.run(
        ["node", str(script / binary), "--cli", url, "--transport", "http", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_inspector_sees_the_same_of_a_python_server(sidecar: Installation, fixture_server: tuple[int, Path]) -> None:
    """The TypeScript client lists and calls a Python server through the sidecar as it does directly."""
    direct_url = f"http://127.0.0.1:{fixture_server[0]}/mcp"
    for arguments in (["--method", "tools/list"], ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "text=hi"]):
        assert inspect(sidecar.url, *arguments) == inspect(direct_url, *arguments)


def test_the_everything_server_is_the_same_through_the_sidecar(another: Any, tmp_path: Path) -> None:
    """A TypeScript server with every feature is listed and called the same, by both official clients."""
    package = npm("@modelcontextprotocol/server-everything")
    port = free_port()
    program = Program(
        ["node", str(package / "dist" / "index.js"), "streamableHttp"], tmp_path / "everything.log", PORT=str(port)
    )
    try:
        until(lambda: is_open(port), "server-everything")
        installation = another(port=port)
        installation.start_proxy()
        direct_url = f"http://127.0.0.1:{port}/mcp"
        for arguments in (
            ["--method", "tools/list"],
            ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hi"],
            ["--method", "resources/list"],
            ["--method", "prompts/list"],
        ):
            assert inspect(installation.url, *arguments) == inspect(direct_url, *arguments)
        assert asyncio.run(everything(installation.url)) == asyncio.run(everything(direct_url))
    finally:
        program.stop()


async def everything(server: str | StdioServerParameters) -> dict[str, Any]:
    """The tools of server-everything that ask the client, report progress or answer with structure."""
    steps: list[Any] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    seen: dict[str, Any] = {}
    async with Client(server, mode="legacy", elicitation_callback=elicit, sampling_callback=sample) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        seen["names"] = names
        asked: list[tuple[str, dict[str, Any]]] = [
            ("echo", {"message": "hi"}),
            ("get-sum", {"a": 2, "b": 3}),
            ("get-structured-content", {"location": "New York"}),
            ("trigger-sampling-request", {"prompt": "hi", "maxTokens": 10}),
            ("trigger-elicitation-request", {}),
        ]
        for tool, arguments in asked:
            if tool in names:
                seen[tool] = (await client.call_tool(tool, arguments)).model_dump(exclude={"meta"})
        if "trigger-long-running-operation" in names:
            await client.call_tool("trigger-long-running-operation", {"duration": 1, "steps": 3}, progress_callback=progressed)
    seen["steps"] = steps
    return seen
