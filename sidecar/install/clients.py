"""Where MCP clients configure their servers: a table with one entry for each client, from its own documentation.

Sources, by client (read in November 2026):

* Claude Desktop: https://modelcontextprotocol.io/quickstart/user (``claude_desktop_config.json``); on Linux, which has
  community builds only, Electron's folder below ``$XDG_CONFIG_HOME``.
* Claude Code: https://code.claude.com/docs/en/mcp (scopes: user and local in ``~/.claude.json``, the latter below
  ``projects.<folder>``; project in ``.mcp.json``); ``CLAUDE_CONFIG_DIR`` moves ``.claude.json`` into that folder
  (https://github.com/anthropics/claude-code/issues/24479).
* Cursor: https://cursor.com/docs/mcp (``~/.cursor/mcp.json``, ``.cursor/mcp.json``).
* VS Code: https://code.visualstudio.com/docs/copilot/reference/mcp-configuration (``.vscode/mcp.json``, or ``mcp.json`` of
  the user profile, of which there may be several: https://code.visualstudio.com/docs/configure/profiles).
* Windsurf: https://docs.windsurf.com/windsurf/cascade/mcp (``~/.codeium/windsurf/mcp_config.json``, ``serverUrl``).
* Zed: https://zed.dev/docs/ai/mcp and https://zed.dev/docs/configuring-zed (``~/.config/zed/settings.json``,
  ``XDG_CONFIG_HOME`` on Linux only; ``context_servers``, once with ``command: {path, args}``).
* Gemini CLI: https://geminicli.com/docs/tools/mcp-server (``httpUrl`` is streamable HTTP, ``url`` is SSE) and
  https://geminicli.com/docs/reference/configuration (``GEMINI_CLI_HOME`` stands for the home folder).
* Codex CLI: https://developers.openai.com/codex/mcp (``$CODEX_HOME/config.toml``, ``.codex/config.toml`` of a project).
* Cline: https://docs.cline.bot/getting-started/config (``~/.cline/data/settings/cline_mcp_settings.json``, or what
  ``CLINE_MCP_SETTINGS_PATH`` names); the editor extension's older place is below the editor's ``globalStorage``
  (https://github.com/cline/cline/issues/7249).
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Syntax = Literal["json", "toml"]


@dataclass(frozen=True, slots=True)
class ConfigLocation:
    """Files of one client: a glob below a base folder, by its name in ``bases``, and where in them the servers are."""

    base: str
    glob: str
    servers: tuple[tuple[str, ...], ...]
    """Paths of keys to objects whose members are servers; ``*`` is any key."""


@dataclass(frozen=True, slots=True)
class Client:
    """One MCP client. ``urls`` are the keys under which it names an HTTP server's address."""

    key: str
    title: str
    places: tuple[ConfigLocation, ...]
    urls: tuple[str, ...] = ("url",)
    syntax: Syntax = "json"


_MCP: Final = (("mcpServers",),)
_VSCODE: Final = ("Code", "Code - Insiders", "VSCodium")
_CLINE: Final = "globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"

CLIENTS: Final = (
    Client("claude-desktop", "Claude Desktop", (ConfigLocation("app", "Claude/claude_desktop_config.json", _MCP),)),
    Client(
        "claude-code",
        "Claude Code",
        (
            ConfigLocation("claude", ".claude.json", (("mcpServers",), ("projects", "*", "mcpServers"))),
            ConfigLocation("project", ".mcp.json", _MCP),
        ),
    ),
    Client(
        "cursor",
        "Cursor",
        (ConfigLocation("home", ".cursor/mcp.json", _MCP), ConfigLocation("project", ".cursor/mcp.json", _MCP)),
    ),
    Client(
        "vscode",
        "VS Code",
        (
            *(ConfigLocation("app", f"{name}/User/mcp.json", (("servers",),)) for name in _VSCODE),
            *(ConfigLocation("app", f"{name}/User/profiles/*/mcp.json", (("servers",),)) for name in _VSCODE),
            ConfigLocation("project", ".vscode/mcp.json", (("servers",),)),
        ),
    ),
    Client(
        "windsurf", "Windsurf", (ConfigLocation("home", ".codeium/windsurf/mcp_config.json", _MCP),), urls=("serverUrl", "url")
    ),
    Client(
        "zed",
        "Zed",
        (
            ConfigLocation("zed", "zed/settings.json", (("context_servers",),)),
            ConfigLocation("project", ".zed/settings.json", (("context_servers",),)),
        ),
    ),
    Client(
        "gemini",
        "Gemini CLI",
        (ConfigLocation("gemini", ".gemini/settings.json", _MCP), ConfigLocation("project", ".gemini/settings.json", _MCP)),
        urls=("httpUrl", "url"),
    ),
    Client(
        "codex",
        "Codex CLI",
        (
            ConfigLocation("codex", "config.toml", (("mcp_servers",),)),
            ConfigLocation("project", ".codex/config.toml", (("mcp_servers",),)),
        ),
        syntax="toml",
    ),
    Client(
        "cline",
        "Cline",
        (
            ConfigLocation("cline", "cline_mcp_settings.json", _MCP),
            ConfigLocation("app", f"*/User/{_CLINE}", _MCP),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One configuration file that exists: its client, and the location in the table that matched."""

    client: Client
    place: ConfigLocation
    file: Path


def find(chosen: tuple[Client, ...], project: Path, environ: Mapping[str, str] = os.environ) -> Iterator[ConfigFile]:
    """The files of ``chosen`` clients that exist, each once, in the order of the table; ``project`` is a working folder."""
    seen: set[Path] = set()
    folders = bases(project, environ)
    for client in chosen:
        for place in client.places:
            for base in folders[place.base]:
                for file in _matches(base, place.glob):
                    real = file.resolve()
                    if real not in seen:
                        seen.add(real)
                        yield ConfigFile(client, place, file)


def _matches(base: Path, glob: str) -> list[Path]:
    try:
        return sorted(base.glob(glob)) if "*" in glob else [file for file in (base / glob,) if file.exists()]
    except OSError:
        return []


def bases(project: Path, environ: Mapping[str, str] = os.environ, platform: str = "") -> dict[str, list[Path]]:
    """The base folders by name; the clients' own environment variables move some of them."""
    home = Path(environ.get("HOME") or Path.home())
    given = environ.get("XDG_CONFIG_HOME", "")
    config = Path(given) if given.startswith("/") else home / ".config"
    is_mac = (platform or sys.platform) == "darwin"
    cline = environ.get("CLINE_MCP_SETTINGS_PATH")
    return {
        "home": [home],
        "app": [home / "Library/Application Support" if is_mac else config],
        "zed": [home / ".config" if is_mac else config],
        "claude": [_folder(environ, "CLAUDE_CONFIG_DIR", home)],
        "codex": [_folder(environ, "CODEX_HOME", home / ".codex")],
        "gemini": [_folder(environ, "GEMINI_CLI_HOME", home)],
        "cline": [Path(cline).parent if cline else home / ".cline/data/settings"],
        "project": _projects(project),
    }


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    return Path(environ[name]).expanduser() if environ.get(name) else default


def _projects(folder: Path) -> list[Path]:
    """The working folder, and the root of its repository, where clients look for a project's servers too."""
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    return [folder] if root == folder else [folder, root]
