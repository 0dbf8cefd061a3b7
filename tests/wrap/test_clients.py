"""Official clients see a wrapped server exactly as they see it without us."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import StdioServerParameters

from tests.e2e.conftest import ROOT
from tests.e2e.test_clients import MODES, everything, npm, tour
from tests.wrap.conftest import Home

SERVER = str(ROOT / "tests" / "e2e" / "fixture_server.py")


def parameters(command: list[str], home: Home) -> StdioServerParameters:
    environ = {"HOME": str(home.folder), "PYTHONPATH": str(ROOT), "PATH": home.environ["PATH"]}
    return StdioServerParameters(command=command[0], args=command[1:], env=environ)


@pytest.mark.parametrize("mode", MODES)
def test_the_python_client_sees_the_same_with_and_without(home: Home, tmp_path: Path, mode: str) -> None:
    """Lists, calls, errors, progress, elicitation, sampling, prompts and resources are the same in both eras."""
    server = [sys.executable, SERVER, "--log", str(tmp_path / "arrivals")]
    direct = asyncio.run(tour(parameters(server, home), mode))
    through = asyncio.run(tour(parameters(home.command(*server), home), mode))
    assert through == direct
    assert len(through["progress"]) == 3


@pytest.fixture
def everything_server() -> list[str]:
    """The command of the TypeScript server with every feature."""
    return [shutil.which("node") or "node", str(npm("@modelcontextprotocol/server-everything") / "dist" / "index.js"), "stdio"]


def test_the_python_client_sees_the_same_of_a_typescript_server(home: Home, everything_server: list[str]) -> None:
    """Structured results, questions to the client and progress come through."""
    direct = asyncio.run(everything(parameters(everything_server, home)))
    assert asyncio.run(everything(parameters(home.command(*everything_server), home))) == direct


@pytest.fixture(scope="session")
def inspector_2() -> Path:
    """The program of MCP Inspector 2.x."""
    package = npm("@modelcontextprotocol/inspector")
    binaries = json.loads((package / "package.json").read_text())["bin"]
    return package / str(next(iter(binaries.values())) if isinstance(binaries, dict) else binaries)


@pytest.fixture(scope="session")
def inspector_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command-line mode of MCP Inspector 1.x, in the place where the whole package has it, because it looks for that."""
    package, folder = npm("@modelcontextprotocol/inspector-cli"), tmp_path_factory.mktemp("inspector")
    shutil.copytree(package, folder / "cli")
    shutil.copy(package / "package.json", folder)
    (folder / "node_modules").symlink_to(package.parents[1])
    return folder / "cli" / "build" / "cli.js"


def inspected(command: list[str], home: Home, inspector: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """MCP Inspector in its command-line mode, with a server from a configuration file, which it starts itself."""
    servers = home.folder / "inspected.json"
    environ = {"HOME": str(home.folder), "PYTHONPATH": str(ROOT)}
    servers.write_text(
        json.dumps({"mcpServers": {"it": {"type": "stdio", "command": command[0], "args": command[1:], "env": environ}}})
    )
    return subprocess.run(
        ["node", str(inspector), "--cli", "--config", str(servers), "--server", "it", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def inspect(command: list[str], home: Home, inspector: Path, *arguments: str) -> Any:
    """What it prints, which is JSON."""
    done = inspected(command, home, inspector, *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("release", ["inspector_1", "inspector_2"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--method", "tools/list"],
        ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hi"],
    ],
)
def test_the_typescript_client_sees_the_same(
    home: Home, everything_server: list[str], arguments: list[str], release: str, request: pytest.FixtureRequest
) -> None:
    """Both major releases of the Inspector list and call a server that they start through the sidecar as they do directly."""
    inspector: Path = request.getfixturevalue(release)
    through = home.command(*everything_server, separator=())
    assert inspect(through, home, inspector, *arguments) == inspect(everything_server, home, inspector, *arguments)


def test_a_command_after_a_separator_still_works(
    home: Home, everything_server: list[str], inspector_1: Path, inspector_2: Path
) -> None:
    """Configurations with '--' before the server's command keep working; only Inspector 1.x never could start such entries."""
    with_separator = home.command(*everything_server)
    assert inspect(with_separator, home, inspector_2, "--method", "tools/list")["tools"]
    done = inspected(with_separator, home, inspector_1, "--method", "tools/list")
    assert done.returncode != 0 and "Method is required" in done.stderr


CLIENT = """
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
const [command, ...args] = JSON.parse(process.argv[2]);
const client = new Client({ name: 'probe', version: '1' }, { versionNegotiation: { mode: 'auto' } });
await client.connect(new StdioClientTransport({ command, args, env: JSON.parse(process.argv[3]) }));
const tools = (await client.listTools()).tools.map(tool => tool.name);
const said = await client.callTool({ name: 'echo', arguments: { text: 'hi', message: 'hi' } });
console.log(JSON.stringify({ tools, said }));
await client.close();
"""


@pytest.mark.parametrize("kind", ["python", "typescript"])
def test_case_25_a_client_that_spawns_twice_to_probe_works(
    home: Home, everything_server: list[str], tmp_path: Path, kind: str
) -> None:
    """The TypeScript client's probe is a process of its own; it ends quietly, and the next one serves."""
    server = everything_server if kind == "typescript" else [sys.executable, SERVER, "--log", str(tmp_path / "arrivals")]
    (tmp_path / "node_modules").symlink_to(npm("@modelcontextprotocol/client").parents[1])
    script = tmp_path / "client.mjs"
    script.write_text(CLIENT)
    spawned = tmp_path / "spawned"
    counted = ["sh", "-c", f'echo $$ >> {spawned}; exec "$@"', "sh", *server]

    def run(command: list[str]) -> Any:
        environ = json.dumps({"HOME": str(home.folder), "PYTHONPATH": str(ROOT), "PATH": home.environ["PATH"]})
        done = subprocess.run(
            ["node", str(script), json.dumps(command), environ], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    assert run(home.command(*counted)) == run(counted)
    assert len(spawned.read_text().split()) == 4, "two processes each time, as without us"
