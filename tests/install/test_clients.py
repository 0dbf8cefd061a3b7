"""Every client's file, as people have them: found, carried, and restored to the byte."""

from pathlib import Path

import pytest

from sidecar.install import jsonc, toml
from sidecar.install.clients import CLIENTS, bases
from tests.install.conftest import Home

DESKTOP = """{
  "globalShortcut": "",
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/data"]
    }
  }
}
"""
CLAUDE_CODE = """{
  "numStartups": 12,
  "projects": {
    "/srv/one": {"allowedTools": [], "mcpServers": {"db": {"type": "stdio", "command": "uvx", "args": ["db-mcp"], "env": {}}}},
    "/srv/two": {"mcpServers": {}}
  },
  "mcpServers": {
    "wiki": {"type": "http", "url": "https://wiki.example.com/mcp", "headers": {"Authorization": "Bearer ${WIKI}"}}
  },
  "userID": "0"
}"""
PROJECT = '{"mcpServers":{"lint":{"command":"./lint-mcp"}}}'
CURSOR = """{\r
\t"mcpServers": {\r
\t\t"old": {"url": "http://localhost:3000/sse"},\r
\t\t"tool": {"env": {"A": "b"}, "args": ["run"], "command": "tool"}\r
\t}\r
}\r
"""
VSCODE = """{
  // what is asked for
  "inputs": [{"type": "promptString", "id": "k", "description": "Key", "password": true},],
  "servers": {
    /* started here */
    "memory": {
      "type": "stdio",
      "command": "npx", // by npm
      "args": [
        "-y", // do not ask
        "@modelcontextprotocol/server-memory",
      ],
      "env": {"KEY": "${input:k}"},
    },
    "docs": {"type": "http", "url": "https://docs.example.com/mcp", "headers": {"X-Key": "${input:k}"}},
  },
}
"""
WINDSURF = """{"mcpServers": {"z": {"serverUrl": "https://z.example.com/api/sse", "headers": {"A": "b"}}}}
"""
ZED = """// Zed
{
  "theme": "One Dark",
  "context_servers": {
    "flat": {"command": "flat-mcp", "args": [], "env": {}},
    "older": {"source": "custom", "command": {"path": "older-mcp", "args": ["--stdio"]}},
    "far": {"url": "https://far.example.com/mcp", "headers": {"A": "b"}}
  },
  "vim_mode": true,
}
"""
GEMINI = """{
  "mcpServers": {
    "py": {"command": "python", "args": ["-m", "srv"], "cwd": "./srv", "trust": false},
    "web": {"httpUrl": "https://g.example.com:8443/mcp", "headers": {"A": "b"}},
    "sse": {"url": "https://g.example.com:8443/sse", "headers": {"A": "b"}}
  }
}
"""
CODEX = """# codex
model = "o"

[mcp_servers.files]   # here
command = 'npx'
args = [
  "-y", # yes
  "files",
]
startup_timeout_sec = 20

[mcp_servers.files.env]
ROOT = "/srv"

[mcp_servers."plain name"]
command = "plain" # no args

[mcp_servers]
short = { command = "short", enabled = false }
dotted.command = "dotted"

[mcp_servers.web]
url = 'https://web.example.com/mcp'
bearer_token_env_var = "WEB"
"""
CLINE = """{
  "mcpServers": {
    "off": {"disabled": true, "autoApprove": [], "command": "cmd", "args": ["/c", "npx", "-y", "off"], "timeout": 60},
    "http": {"type": "streamableHttp", "url": "https://c.example.com/mcp", "headers": {"A": "b"}, "disabled": false}
  }
}
"""
FILES = [
    ("claude-desktop", ".config/Claude/claude_desktop_config.json", DESKTOP, 1, 0),
    ("claude-code", ".claude.json", CLAUDE_CODE, 1, 1),
    ("claude-code", "work/.mcp.json", PROJECT, 1, 0),
    ("cursor", ".cursor/mcp.json", CURSOR, 1, 1),
    ("cursor", "work/.cursor/mcp.json", CURSOR, 1, 1),
    ("vscode", ".config/Code/User/mcp.json", VSCODE, 1, 1),
    ("vscode", ".config/Code/User/profiles/5552b383/mcp.json", VSCODE, 1, 1),
    ("vscode", "work/.vscode/mcp.json", VSCODE, 1, 1),
    ("windsurf", ".codeium/windsurf/mcp_config.json", WINDSURF, 0, 1),
    ("zed", ".config/zed/settings.json", ZED, 2, 1),
    ("zed", "work/.zed/settings.json", ZED, 2, 1),
    ("gemini", ".gemini/settings.json", GEMINI, 1, 2),
    ("gemini", "work/.gemini/settings.json", GEMINI, 1, 2),
    ("codex", ".codex/config.toml", CODEX, 4, 1),
    ("codex", "work/.codex/config.toml", CODEX, 4, 1),
    ("cline", ".cline/data/settings/cline_mcp_settings.json", CLINE, 1, 1),
    ("cline", ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json", CLINE, 1, 1),
]


def comments(name: str, text: str) -> list[str]:
    tree = toml.parse(text) if name.endswith(".toml") else jsonc.parse(text)
    return [text[start:end] for start, end in tree.comments]


@pytest.mark.parametrize(("client", "name", "text", "commands", "addresses"), FILES, ids=[each[1] for each in FILES])
def test_a_client_is_found_carried_and_restored(
    home: Home, client: str, name: str, text: str, commands: int, addresses: int
) -> None:
    """Each client's file is found where the client keeps it; every server in it goes through us; undo gives back every byte."""
    file = home.put(name, text)
    done = home.install("--client", client)
    assert (done.code, done.err) == (0, "")
    written = file.read_bytes().decode()
    assert written.count('"wrap", "--server"') == commands
    assert written.count("http://127.0.0.1:9") == addresses
    assert comments(name, written) == comments(name, text)
    assert ("\r\n" in text) == ("\r\n" in written) and text.endswith("\n") == written.endswith("\n")
    assert home.install("--client", client).out.startswith("Nothing to change.\n")
    assert home.install("--undo").code == 0
    assert file.read_bytes() == text.encode()


def test_all_clients_at_once(home: Home) -> None:
    """Without --client everything that is there is done in one run, and undone in one."""
    for _, name, text, _, _ in FILES:
        home.put(name, text)
    before = home.snapshot()
    assert home.install().code == 0
    assert home.install().out.startswith("Nothing to change.\n")
    assert home.install("--undo").code == 0
    after = home.snapshot()
    assert {name: after[name] for name in before} == before
    assert not [name for name in after if name not in before], "nothing is left behind"


def test_only_the_clients_named(home: Home) -> None:
    """--client leaves the others alone, in both directions."""
    cursor, desktop = home.put(FILES[3][1], CURSOR), home.put(FILES[0][1], DESKTOP)
    home.install("--client", "cursor")
    assert desktop.read_text() == DESKTOP and "wrap" in cursor.read_text()
    home.install()
    assert "wrap" in desktop.read_text()
    home.install("--undo", "--client", "claude-desktop")
    assert desktop.read_text() == DESKTOP and "wrap" in cursor.read_text()


def test_variables_and_systems_move_the_files(tmp_path: Path) -> None:
    """The clients' own variables are followed, and macOS has its own folder for programs with windows."""
    environ = {"HOME": "/h", "XDG_CONFIG_HOME": "/x", "CODEX_HOME": "/c", "CLAUDE_CONFIG_DIR": "/cl", "GEMINI_CLI_HOME": "/g"}
    environ["CLINE_MCP_SETTINGS_PATH"] = "/m/cline_mcp_settings.json"
    linux, mac = bases(tmp_path, environ, "linux"), bases(tmp_path, environ, "darwin")
    assert [str(linux[name][0]) for name in ("app", "zed", "claude", "codex", "gemini", "cline")] == [
        "/x", "/x", "/cl", "/c", "/g", "/m",
    ]  # fmt: skip
    assert [str(mac[name][0]) for name in ("app", "zed")] == ["/h/Library/Application Support", "/h/.config"]


def test_a_repository_is_looked_into_from_its_folders(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called from a folder of a repository, the project's file at its root is found."""
    file = home.put("repo/.mcp.json", PROJECT)
    (home.path / "repo/.git").mkdir()
    inner = home.path / "repo/src/deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    done = home.install("-c", str(home.settings))
    assert done.code == 0 and "wrap" in file.read_text()
    assert "may be shared" in done.out


def test_every_place_has_a_base() -> None:
    """The table names only folders that exist in the code."""
    known = set(bases(Path("/")))
    assert {place.base for client in CLIENTS for place in client.places} <= known
