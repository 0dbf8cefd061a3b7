"""What ``sidecar install`` says beside its changes: whether a sidecar runs, what settings clients are tied to, empty files."""

import json
import os
from pathlib import Path

import pytest

from sidecar import settings
from sidecar.install.advice import is_user_wide
from sidecar.wrap import socket_path
from tests.install.conftest import Home

CURSOR = ".cursor/mcp.json"
STDIO = json.dumps({"mcpServers": {"a": {"command": "x"}}})
HTTP = json.dumps({"mcpServers": {"a": {"url": "https://a.example.com/mcp", "headers": {"A": "b"}}}})


def test_an_address_needs_a_sidecar_that_runs(home: Home) -> None:
    """After a server with an address was moved behind a listener, the last lines say what to start, now and at every login."""
    home.put(CURSOR, HTTP)
    lines = home.install().out.splitlines()
    assert "cannot be reached until one does" in lines[-3]
    assert lines[-2].endswith(f"up -c {home.settings}") and lines[-1].endswith(f"service install -c {home.settings}")
    assert home.install().out.splitlines()[-3:] == lines[-3:], "also when nothing had to be changed"


def test_a_wrapped_server_starts_one_itself(home: Home) -> None:
    """Where all servers are started by their clients, nothing has to be started by hand, and the output says so."""
    home.put(CURSOR, STDIO)
    assert "The first wrapped server starts one in the background" in home.install().out


def test_a_sidecar_that_runs_is_named(home: Home) -> None:
    """A running sidecar is named with its process, and is to be restarted only for new listeners."""
    home.put(CURSOR, STDIO)
    socket_path.open_run_folder()
    base = socket_path.base_of(str(home.settings))
    lock = socket_path.hold(base + ".up")
    assert lock is not None
    try:
        assert home.install().out.endswith(f"A sidecar runs with these settings (process {os.getpid()}).\n")
        home.put(".gemini/settings.json", HTTP.replace('"url"', '"httpUrl"'))
        assert home.install().out.endswith("Restart it, so that it listens on the new addresses.\n")
    finally:
        socket_path.let_go(base + ".up", lock)


def test_undo_and_dry_run_give_no_advice(home: Home) -> None:
    """Nothing has to be started for what was not written, or was taken out."""
    home.put(CURSOR, STDIO)
    assert "sidecar runs" not in home.install("--dry-run").out
    home.install()
    assert "sidecar runs" not in home.install("--undo").out


def test_user_wide_clients_are_not_tied_to_a_project_unsaid(home: Home) -> None:
    """Before anything is written it is said that a client's servers would depend on one project's file, and what to do."""
    home.put(CURSOR, STDIO)
    warning = "to all your projects, but would depend on"
    out = home.install("--dry-run").out
    assert warning in out and f"install -c {socket_path.default_settings()}" in out
    default = socket_path.default_settings()
    assert warning not in home.install("-c", default).out
    assert settings.load(default).data_path == Path(default).parent, "the user-wide settings are those that wrap writes"
    assert warning not in home.install("--undo").out and not Path(default).exists()


def test_a_projects_own_file_may_name_its_settings(home: Home) -> None:
    """A project's client file is not user-wide, so it may depend on the project's settings."""
    home.put("work/.mcp.json", STDIO)
    assert "to all your projects" not in home.install().out


@pytest.mark.parametrize(
    ("file", "is_wide"),
    [
        (".config/sidecar/s.yaml", True),
        (".local/state/sidecar/a.yaml", True),
        ("sidecar.yaml", True),
        ("p/sidecar.yaml", False),
    ],
)
def test_where_user_wide_settings_are(home: Home, file: str, is_wide: bool) -> None:
    """Settings in the home folder itself and in its folders for configuration and state belong to no project."""
    assert is_user_wide(home.path / file) is is_wide
    assert is_user_wide(Path("/etc/sidecar.yaml"))


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), (" \n", "is empty"), ('{"theme": 1}', "names no MCP server")])
def test_a_file_without_servers_is_mentioned(home: Home, text: str, said: str) -> None:
    """A client whose file is empty or names no server is listed as such, and its file stays as it is."""
    file = home.put(CURSOR, text)
    done = home.install()
    assert f"Cursor: {file} {said}" in done.out and done.out.endswith("Nothing to change.\n") and done.code == 0
    assert file.read_text() == text
