"""From a client's configuration to a server and back: what install wrote is started as the client would start it."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from sidecar.install import command
from sidecar.install.entries import Wrapper
from tests import compiled
from tests.e2e.conftest import ROOT, Program, until
from tests.install.conftest import Home
from tests.ports import free_port

SERVER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("files")

@server.tool()
def read(path: str) -> str:
    return "text of " + path

@server.tool()
def wipe(path: str) -> str:
    return "gone: " + path

server.run("stdio")
"""
POLICY = """version: 1
policy: files
owner: security
description: Nobody wipes.
mode: enforce
rules:
  - id: files.wipe
    title: A wipe
    severity: high
    match: {server: files, tool: wipe, direction: request}
    action: block
    message: Wiping is not for agents.
tests:
  - name: a wipe is refused
    call: {server: files, tool: wipe, args: {path: a}}
    expect: {verdict: block, rules: [files.wipe]}
  - name: reading is not
    call: {server: files, tool: read, args: {path: a}}
    expect: {verdict: allow, rules: []}
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as the path of a Unix socket must be."""
    folder = Path(tempfile.mkdtemp(prefix="si"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def calls(entry: dict[str, object], environ: dict[str, str]) -> list[tuple[bool, str]]:
    """Start a configured server as clients do and call both of its tools: for each, whether it failed, and its text."""
    given = StdioServerParameters(command=str(entry["command"]), args=entry["args"], env=environ)  # type: ignore[arg-type]
    found = []
    async with stdio_client(given) as (reads, writes), ClientSession(reads, writes) as session:
        await session.initialize()
        for tool in ("read", "wipe"):
            try:
                result = await session.call_tool(tool, {"path": "a.txt"})
                found.append((bool(result.is_error), result.content[0].text))  # type: ignore[union-attr]
            except Exception as error:
                found.append((True, str(error)))
    return found


def test_a_wrapped_server_works_and_is_judged(home: Home, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that install wrote starts the real server with the proxy between: calls work, and policies are in force."""
    (short / "server.py").write_text(SERVER)
    (short / "policies").mkdir()
    (short / "policies/files.yaml").write_text(POLICY)
    config = short / "sidecar.yaml"
    ports = f"reader: 127.0.0.1:{free_port()}\npage: 127.0.0.1:{free_port()}\n"
    config.write_text(f"servers: []\npolicies: {short}/policies\ndata: {short}/data\n{ports}")
    original = json.dumps({"mcpServers": {"files": {"command": sys.executable, "args": [str(short / "server.py")]}}})
    file = home.put(".cursor/mcp.json", original)
    monkeypatch.setattr(command, "wrapper", lambda path: Wrapper((sys.executable, "-P", "-m", "sidecar"), str(path)))
    assert home.install("-c", str(config)).code == 0
    entry = json.loads(file.read_text())["mcpServers"]["files"]

    environ = {"HOME": str(short), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    compiled.lend(short / "data")
    proxy = Program([sys.executable, "-m", "sidecar", "proxy", "-c", str(config)], short / "proxy.log", **environ)
    try:
        until(lambda: list(short.rglob("*.sock")) or proxy.process.poll() is not None, "the proxy's socket")
        assert proxy.process.poll() is None, proxy.output
        read, wipe = asyncio.run(calls(entry, environ))
    finally:
        proxy.stop()
    assert read == (False, "text of a.txt"), proxy.output
    assert wipe[0] and "Wiping is not for agents" in wipe[1]
    home.install("--undo")
    assert file.read_text() == original
