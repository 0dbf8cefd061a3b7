"""``sidecar install`` as a person meets it: what it shows, asks, writes, refuses and takes back."""

import json
import os
import stat
from pathlib import Path

import pytest

from sidecar import settings
from sidecar.install import command
from sidecar.install.entries import Wrapper
from tests.install.conftest import SETTINGS, Home

CURSOR = ".cursor/mcp.json"
GEMINI = ".gemini/settings.json"


def servers(**entries: object) -> str:
    return json.dumps({"mcpServers": entries}, indent=2)


def entry(file: Path, name: str) -> dict[str, object]:
    value: dict[str, object] = json.loads(file.read_text())["mcpServers"][name]
    return value


def test_dry_run_touches_nothing(home: Home) -> None:
    """--dry-run shows the whole change and leaves every file, ours too, as it was."""
    home.put(CURSOR, servers(a={"command": "npx", "args": ["-y"]}, b={"url": "https://b.example.com/mcp"}))
    before = home.snapshot()
    done = home.install("--dry-run")
    assert done.code == 0
    assert '+      "command": ' in done.out and "upstream: https://b.example.com}" in done.out
    assert home.snapshot() == before
    home.install()
    before = home.snapshot()
    assert '-      "command": ' in home.install("--undo", "--dry-run").out
    assert home.snapshot() == before


def test_a_moved_sidecar_is_followed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the sidecar or its settings moved, install points wrapped commands at the new place and wraps nothing twice."""
    file = home.put(CURSOR, original := servers(a={"command": "npx", "args": ["-y", "pkg"]}))
    monkeypatch.setattr(command, "wrapper", lambda config: Wrapper(("/old/bin/sidecar",), "/old/sidecar.yaml"))
    home.install()
    assert entry(file, "a")["command"] == "/old/bin/sidecar"
    new = Wrapper(("/new/bin/python", "-m", "sidecar"), "/new/sidecar.yaml")
    monkeypatch.setattr(command, "wrapper", lambda config: new)
    home.install()
    assert entry(file, "a") == {
        "command": "/new/bin/python",
        "args": ["-m", "sidecar", "wrap", "--server", "a", "-c", "/new/sidecar.yaml", "npx", "-y", "pkg"],
    }
    home.install("--undo")
    assert file.read_text() == original


@pytest.mark.parametrize("separator", [["--"], []], ids=["with --", "without"])
def test_both_forms_of_a_wrapped_command_are_recognised(home: Home, separator: list[str]) -> None:
    """Entries that an earlier version wrote, with '--' before the command, are brought to today's form, and undone."""
    words = ["wrap", "--server=a", "-c", "/old/sidecar.yaml", *separator, "npx", "--", "-c", "pkg"]
    file = home.put(CURSOR, servers(a={"command": "/old/bin/sidecar", "args": words}))
    home.install()
    assert entry(file, "a")["args"] == ["wrap", "--server", "a", "-c", str(home.settings), "npx", "--", "-c", "pkg"]
    for kept in (home.path / ".local/state/sidecar/install").iterdir():
        kept.unlink()
    home.install("--undo")
    assert entry(file, "a") == {"command": "npx", "args": ["--", "-c", "pkg"]}


def test_a_command_that_looks_like_an_option_is_kept_apart(home: Home) -> None:
    """A command whose name begins with '-' still reaches the server's launcher, behind a '--'."""
    file = home.put(CURSOR, original := servers(a={"command": "-odd", "args": ["x"]}))
    home.install()
    assert entry(file, "a")["args"] == ["wrap", "--server", "a", "-c", str(home.settings), "--", "-odd", "x"]
    assert home.install().out.startswith("Nothing to change.\n")
    home.install("--undo")
    assert file.read_text() == original


def test_names_are_told_apart(home: Home) -> None:
    """Two clients' servers of one name are one server when they are started alike, and two when not; listeners count too."""
    first = home.put(CURSOR, servers(same={"command": "x"}, other={"command": "y"}, crm={"command": "z"}, web={"command": "w"}))
    second = home.put(
        GEMINI, servers(same={"command": "x"}, other={"command": "y", "args": ["-v"]}, web={"httpUrl": "https://w.example.com"})
    )
    home.install()
    named = {key: entry(first, key)["args"][2] for key in ("same", "other", "crm", "web")}  # type: ignore[index]
    assert named == {"same": "same", "other": "other", "crm": "crm-cursor", "web": "web"}
    assert [entry(second, key)["args"][2] for key in ("same", "other")] == ["same", "other-gemini"]  # type: ignore[index]
    assert [server.name for server in settings.load(home.settings).servers] == ["crm", "web-gemini"]


def test_one_upstream_is_one_listener(home: Home) -> None:
    """Two clients, and two paths, of one server share a listener; a server that the settings know already gets no other."""
    first = home.put(
        CURSOR, servers(a={"url": "https://A.example.com:443/mcp?x=1"}, mine={"url": "http://127.0.0.1:18001/mcp"})
    )
    second = home.put(GEMINI, servers(b={"url": "https://a.example.com/sse", "httpUrl": "https://a.example.com/mcp"}))
    assert home.install().code == 0
    listed = settings.load(home.settings).servers
    assert [(server.name, server.upstream) for server in listed] == [
        ("crm", "http://127.0.0.1:18001"),
        ("a", "https://a.example.com"),
    ]
    address = f"http://{listed[1].listen}"
    assert entry(first, "a")["url"] == f"{address}/mcp?x=1"
    assert entry(first, "mine")["url"] == "http://127.0.0.1:19001/mcp"
    assert entry(second, "b") == {"url": f"{address}/sse", "httpUrl": f"{address}/mcp"}


def test_ports_are_free_and_the_same_again(home: Home) -> None:
    """A new listener takes the first port that nobody has: not the settings, not a client's own server, not a listening one."""
    home.put(CURSOR, servers(a={"url": "http://127.0.0.1:9001/mcp"}, b={"url": "http://localhost:9002/mcp"}))
    home.install()
    first = home.settings.read_text()
    ports = [server.port for server in settings.load(home.settings).servers]
    assert not {9001, 9002} & set(ports) and len(set(ports)) == 3
    home.install("--undo")
    home.install()
    assert home.settings.read_text() == first


def test_settings_are_made_when_missing(home: Home) -> None:
    """Without a settings file install writes one that loads, and undo removes it again."""
    home.settings.unlink()
    home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp", "headers": {"A": "b"}}))
    assert home.install().code == 0
    assert [server.upstream for server in settings.load(home.settings).servers] == ["https://a.example.com"]
    assert home.install("--undo").code == 0
    assert not home.settings.exists()


def test_settings_for_stdio_alone(home: Home) -> None:
    """Where every server speaks over stdio the settings that are made name none, and load."""
    if settings.Settings.model_fields["servers"].is_required():
        pytest.skip("settings without servers come with `sidecar wrap`")
    home.settings.unlink()
    home.put(CURSOR, servers(a={"command": "x"}))
    assert home.install().code == 0
    assert settings.load(home.settings).servers == ()


def test_settings_edited_since_keep_the_edit(home: Home) -> None:
    """Undo takes only our listeners out of settings that somebody went on writing."""
    home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp"}))
    home.install()
    text = home.settings.read_text()
    home.settings.write_text(text + "keep_days: 7  # a week\n")
    home.install("--undo")
    assert home.settings.read_text() == SETTINGS + "keep_days: 7  # a week\n"


def test_settings_broken_since_are_left_alone(home: Home) -> None:
    """Undo restores the clients where the settings no longer parse, tells where, and finishes once they do."""
    file = home.put(CURSOR, text := servers(a={"url": "https://a.example.com/mcp"}))
    home.install()
    good = home.settings.read_text()
    home.settings.write_text(good + "]: {\n")
    done = home.install("--undo")
    assert done.code == 1 and "error[syntax]" in done.err
    assert file.read_text() == text and home.settings.read_text() == good + "]: {\n"
    home.settings.write_text(good + "# fixed\n")
    assert home.install("--undo").code == 0
    assert home.settings.read_text() == SETTINGS + "# fixed\n"


def test_settings_deleted_since_are_forgotten(home: Home) -> None:
    """Undo without the settings file restores the clients, and leaves nothing of ours behind."""
    file = home.put(CURSOR, text := servers(a={"url": "https://a.example.com/mcp"}))
    home.install()
    home.settings.unlink()
    assert home.install("--undo").code == 0
    assert file.read_text() == text and not home.settings.exists()
    assert not list((home.path / ".local/state/sidecar/install").iterdir())


def test_a_changed_listener_is_not_ours_any_more(home: Home) -> None:
    """A listener that was edited since stays where it is when the rest is undone."""
    home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp"}))
    home.install()
    home.settings.write_text(home.settings.read_text().replace("https://a.example.com", "https://staging.example.com"))
    home.install("--undo")
    assert "staging" in home.settings.read_text()


def test_an_edited_client_of_a_listener_of_ones_own(home: Home) -> None:
    """A client that was pointed at a listener the settings had already is restored too, also after an edit; one that called
    it before we came goes on calling it."""
    text = servers(a={"url": "http://127.0.0.1:18001/mcp"}, b={"url": "http://127.0.0.1:19001/mcp"})
    file = home.put(CURSOR, text)
    home.install()
    assert entry(file, "a") == entry(file, "b")
    file.write_text(file.read_text() + "\n")
    home.install()
    home.install("--undo")
    assert file.read_text() == text + "\n"
    assert home.settings.read_text() == SETTINGS


def test_settings_that_we_made_stay_while_a_client_needs_them(home: Home) -> None:
    """Settings that install made are removed with the last client, not with the first, and an edit of them stays for good."""
    home.settings.unlink()
    home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp"}))
    home.put(GEMINI, servers(b={"httpUrl": "https://b.example.com/mcp"}))
    home.install()
    home.install("--undo", "--client", "cursor")
    assert [server.name for server in settings.load(home.settings).servers] == ["b"]
    home.install()
    home.install("--undo")
    assert not home.settings.exists()


def test_settings_edited_before_a_part_of_them_is_undone(home: Home) -> None:
    """An edit of the settings survives undoing one client after the other."""
    home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp"}))
    home.put(GEMINI, servers(b={"httpUrl": "https://b.example.com/mcp"}))
    home.install()
    home.settings.write_text(home.settings.read_text() + "keep_days: 7\n")
    home.install("--undo", "--client", "cursor")
    home.install("--undo", "--client", "gemini")
    assert home.settings.read_text() == SETTINGS + "keep_days: 7\n"


def test_a_listener_stays_while_another_client_uses_it(home: Home) -> None:
    """Undoing one client leaves the listener it shares with another; undoing that one too removes it."""
    home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp"}))
    other = home.put(GEMINI, servers(a={"httpUrl": "https://a.example.com/mcp"}))
    home.install()
    home.install("--undo", "--client", "cursor")
    assert "a.example.com" in home.settings.read_text() and "127.0.0.1" in other.read_text()
    home.install("--undo")
    assert home.settings.read_text() == SETTINGS and "127.0.0.1" not in other.read_text()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (CURSOR, '{"mcpServers": {"a": {"command": "x",, }}}', "1:38: error[syntax]: a key in double quotes"),
        (CURSOR, '{\n  "mcpServers": {', "2:18: error[syntax]"),
        (CURSOR, "[1]", "1:1: error[shape]"),
        (CURSOR, '{"mcpServers": "none"}', "1:16: error[shape]: mcpServers: expected an object"),
        (".codex/config.toml", 'a = 1\nb = "', "error[syntax]: this is not TOML"),
        (".codex/config.toml", "a = 1\na = 2\n", "error[syntax]: this is not TOML"),
        (CURSOR, "{" * 200, "error[syntax]"),
        (CURSOR, '{"a":' * 200, "error[syntax]: nested over"),
    ],
)
def test_a_broken_file_is_left_alone(home: Home, name: str, text: str, said: str) -> None:
    """A file that does not parse is told with its place and not touched; the other clients are done."""
    file, good = home.put(name, text), home.put(GEMINI, servers(a={"command": "x"}))
    done = home.install()
    assert done.code == 1 and said in done.err and str(file) in done.err
    assert file.read_text() == text and "wrap" in good.read_text()
    home.install("--undo")
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"command": ["npx"]}, "its command is not a text"),
        ({"command": "x", "args": "y"}, "its args are not a list of texts"),
        ({"command": "x", "args": [1]}, "its args are not a list of texts"),
        ({"url": "ws://x.example.com"}, "its address is not an http(s) one"),
        ({"url": "https://${HOST}/mcp"}, "a variable that only the client knows"),
        ({"url": "http://:80/"}, "names no host"),
        ({"url": "http://x:port/"}, "names no host"),
        ({"url": 5}, "its address is not an http(s) one"),
        ({"type": "sdk"}, "neither a command nor an address"),
        ("npx", "it is not an object"),
        ({"url": "https://o.example.com/mcp", "oauth": {"clientId": "c"}}, "OAuth"),
    ],
)
def test_what_cannot_be_carried_is_told(home: Home, value: object, why: str) -> None:
    """A server of an unknown shape, or one that would break behind a listener, stays as it is, and a person is told."""
    text = servers(odd=value, good={"command": "x"})
    file = home.put(CURSOR, text)
    done = home.install()
    assert done.code == 1 and "odd: " in done.err and why in done.err
    assert json.loads(file.read_text())["mcpServers"]["odd"] == value
    assert "wrap" in file.read_text()


def test_an_open_server_far_away_may_want_oauth(home: Home) -> None:
    """An address without any header may be one that signs in by OAuth: the operator is told what to do then."""
    home.put(CURSOR, servers(a={"url": "https://a.example.com"}, b={"url": "https://b.example.com", "headers": {"K": "v"}}))
    done = home.install()
    assert "a: if it uses OAuth" in done.out and "b: if it" not in done.out


def test_broken_settings_stop_everything(home: Home) -> None:
    """Settings that do not load are told with their place, and no client is touched."""
    home.settings.write_text("servers: [\n")
    file = home.put(CURSOR, text := servers(a={"command": "x"}))
    done = home.install()
    assert done.code == 2 and "sidecar.yaml:2:1: error[syntax]" in done.err
    assert file.read_text() == text


def test_an_unknown_client_is_refused(home: Home) -> None:
    """A client that is not in the table is named as such, with the ones that are."""
    with pytest.raises(SystemExit) as stopped:
        home.install("--client", "emacs")
    assert stopped.value.code == 2


def test_nothing_found(home: Home) -> None:
    """Without any client there is nothing to do, and that is good."""
    done = home.install()
    assert (done.code, done.out) == (0, "No MCP client's configuration was found here.\n")
    assert home.install("--undo").code == 0


def test_undo_of_a_file_of_another_project(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo from anywhere restores every file that was changed, also in projects one is not in now."""
    file = home.put("work/.mcp.json", text := servers(a={"command": "x"}))
    home.install()
    monkeypatch.chdir(home.path)
    assert home.install("--undo").code == 0
    assert file.read_text() == text


def test_undo_of_a_file_that_is_gone(home: Home) -> None:
    """A configuration that was deleted since is told, once, and the rest is undone."""
    file = home.put(CURSOR, servers(a={"url": "https://a.example.com/mcp"}))
    home.install()
    file.unlink()
    done = home.install("--undo")
    assert "no longer exists" in done.err and home.settings.read_text() == SETTINGS
    assert not file.exists()
    assert home.install("--undo").err == ""


def test_undo_without_our_memory(home: Home) -> None:
    """Wrapped commands carry all that undoing them needs, so it works without the backup."""
    file = home.put(CURSOR, servers(a={"command": "x", "args": ["1"]}))
    home.install()
    for kept in (home.path / ".local/state/sidecar/install").iterdir():
        kept.unlink()
    home.install("--undo")
    assert entry(file, "a") == {"command": "x", "args": ["1"]}


def test_a_server_added_since_is_kept(home: Home) -> None:
    """A server that was added after the install is carried by the next one, and undo leaves it as it was written."""
    file = home.put(CURSOR, '{"mcpServers": {\n  "a": {"command": "x"}\n}}')
    home.install()
    file.write_text(file.read_text().replace("\n}}", ',\n  "b": {"command": "y"} // new\n}}'))
    home.install()
    assert file.read_text().count('"wrap"') == 2
    home.install("--undo")
    assert file.read_text() == '{"mcpServers": {\n  "a": {"command": "x"},\n  "b": {"command": "y"} // new\n}}'


def test_backups_are_ours_alone(home: Home) -> None:
    """What is kept may hold secrets: nobody else may read the files or the folder."""
    home.put(CURSOR, servers(a={"command": "x", "env": {"K": "v"}}))
    home.install()
    folder = home.path / ".local/state/sidecar/install"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept = list(folder.iterdir())
    assert kept and {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}


class Terminal:
    """Standard input of somebody who answers."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_a_terminal_is_asked(home: Home, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    """On a terminal nothing is written without a yes; --yes answers beforehand."""
    file = home.put(CURSOR, text := servers(a={"command": "x"}))
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    done = home.install()
    assert done.code == code and "Write this file? [y/N]" in done.out
    assert (file.read_text() == text) == bool(code)
    home.install("--undo", "--yes")
    assert file.read_text() == text


def test_the_program_is_named_by_its_whole_path(home: Home) -> None:
    """A client with windows has another PATH than a shell, so the command it starts is absolute, as are the settings."""
    file = home.put(CURSOR, servers(a={"command": "x"}))
    home.install("-c", "sidecar.yaml")
    wrapped = entry(file, "a")
    assert os.access(str(wrapped["command"]), os.X_OK) and Path(str(wrapped["command"])).is_absolute()
    assert str(home.settings) in wrapped["args"]  # type: ignore[operator]
