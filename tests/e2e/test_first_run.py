"""The first ten minutes of a user: init, up, and the commands that find what runs, in folders with spaces in their names."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.wrap import running, socket_path
from tests import compiled
from tests.e2e.conftest import ROOT, Program, until
from tests.ports import free_port


class User:
    """Somebody with a home and a project folder of their own, who runs commands in it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home of mine"
        self.project = folder / "my project"
        for each in (self.home, self.project):
            each.mkdir()
        self.page, self.reader, self.listener = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
        self.environ |= {"HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}

    def run(self, *arguments: str, folder: Path | None = None, **environ: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", *arguments],
            capture_output=True, text=True, timeout=90, cwd=folder or self.project, check=False,
            env={**self.environ, **environ},
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def start(self, *arguments: str, name: str = "up", **environ: str) -> Program:
        """A command that goes on running."""
        command = [sys.executable, "-m", "sidecar", *arguments]
        return Program(command, self.project / f"{name}.log", **{**self.environ, **environ})

    def own(self, **changed: str) -> Path:
        """Settings with ports nobody else has; the compiled detectors are there already."""
        compiled.lend(self.project / "data")
        server = f"[{{name: crm, listen: '{self.listener}', upstream: 'http://127.0.0.1:{free_port()}'}}]"
        values = {"servers": server, "data": "data", "page": self.page, "reader": self.reader, **changed}
        file = self.project / "sidecar.yaml"
        file.write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
        return file


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A user who has nothing yet."""
    return User(tmp_path)


@contextlib.contextmanager
def ended(program: Program) -> Iterator[Program]:
    """Stop a program at the end of a test."""
    try:
        yield program
    finally:
        program.stop()


def is_ready(program: Program) -> bool:
    """Whether ``sidecar up`` says that everything answers."""
    assert program.process.poll() is None, program.output
    return "sidecar  ready: " in program.output


def lines(program: Program) -> list[str]:
    """What ``sidecar up`` itself has said."""
    return [line for line in program.output.splitlines() if line.startswith("sidecar  ")]


def test_init_writes_what_checks_tests_and_runs(user: User, tmp_path: Path) -> None:
    """``sidecar init`` makes settings and policies that are valid as they are, and never overwrites."""
    code, said, _ = user.run("init")
    assert code == 0
    assert "wrote  sidecar.yaml" in said and "wrote  policies/example.yaml" in said and "sidecar up" in said
    assert user.run("check")[0] == user.run("test")[0] == 0
    before = (user.project / "sidecar.yaml").read_bytes()
    code, _, error = user.run("init")
    assert code == 2 and "there is one already, and nothing was written; start it with sidecar up" in error
    assert (user.project / "sidecar.yaml").read_bytes() == before
    kept = tmp_path / "else where" / "policies" / "mine.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    code, said, _ = user.run("init", str(tmp_path / "else where"))
    assert code == 0 and "which holds files already" in said
    assert [each.name for each in kept.parent.iterdir()] == ["mine.yaml"] and kept.read_text() == "mine"
    assert f"sidecar up -c '{tmp_path / 'else where' / 'sidecar.yaml'}'" in said


def test_what_init_wrote_takes_the_servers_of_clients(user: User) -> None:
    """``sidecar install`` adds listeners to the settings that ``init`` wrote, comments and all."""
    user.run("init")
    client = user.home / ".cursor" / "mcp.json"
    client.parent.mkdir()
    client.write_text(json.dumps({"mcpServers": {"wiki": {"url": "http://127.0.0.1:1/mcp"}}}))
    code, said, error = user.run("install", "--client", "cursor", "--yes")
    assert code == 0, said + error
    text = (user.project / "sidecar.yaml").read_text()
    assert "- {name: wiki, listen: 127.0.0.1:" in text and "policies: [starter, ./policies]" in text
    assert user.run("check")[0] == 0


def test_up_without_settings_offers_init(user: User) -> None:
    """Who starts ``up`` in an empty folder is told the one command that makes it work."""
    code, said, error = user.run("up")
    assert (code, said) == (2, "")
    assert (
        error
        == "sidecar.yaml: error[no-file]: there is no such file; 'sidecar init' writes one, or name another with -c FILE\n"
    )


def test_without_anything_commands_say_what_to_start(user: User) -> None:
    """With no settings here and nothing running, a command says so and both ways on."""
    for command in (["calls"], ["tools"], ["check"], ["test"], ["ca"], ["review"], ["dashboards", "push", "--dry-run"]):
        code, _, error = user.run(*command)
        assert code == 2 and "no sidecar runs; start one with 'sidecar up'" in error and "-c FILE" in error, command


def test_up_announces_in_order_and_commands_find_it(user: User, tmp_path: Path) -> None:
    """``up`` speaks at once, names each server once and the page last; other commands then need no ``-c`` anywhere."""
    user.run("init")
    compiled.lend(user.home / ".local")
    file = user.own(policies="[starter, ./policies]")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ended(user.start("up")) as program:
        until(lambda: bool(lines(program)), "the first line", 5)
        assert lines(program)[0] == "sidecar  starting with sidecar.yaml"
        until(lambda: is_ready(program), "everything to answer", 180)
        said = lines(program)
        assert program.output.count(f"http://{user.listener}") == program.output.count(f"http://{user.page}") == 1
        assert said[-2:][0] == f"sidecar  page: http://{user.page}"
        assert said[-1].startswith(f"sidecar  ready: policies in {ROOT / 'policies'}, {user.project / 'policies'}, data in ")
        assert "the starter policies are off" not in program.output
        for command in (["calls"], ["tools"], ["check"], ["test"]):
            code, _, error = user.run(*command, folder=elsewhere)
            assert code == 0 and f"using {file} (the sidecar that runs, process {program.process.pid})" in error, command
        _edit_is_in_force(user, program)
        _two_are_listed(user, tmp_path, program)
        assert program.stop() == 0
    assert user.run("calls", folder=elsewhere)[0] == 2


def _edit_is_in_force(user: User, program: Program) -> None:
    """A file of the second folder is watched as one of the first is."""
    example = user.project / "policies" / "example.yaml"
    enforced = (
        example.read_text()
        .replace("mode: monitor\n", "mode: enforce\n")
        .replace("verdict: allow, would:", "verdict: block, rules:")
    )
    example.write_text(enforced)
    until(lambda: "policies in force" in program.output, "the edit to be in force")
    host, port = user.listener.split(":")
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "delete_customer", "arguments": {}}}
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"http://{host}:{port}/mcp", json.dumps(call).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        assert "Agents do not delete here." in response.read().decode()


def _two_are_listed(user: User, tmp_path: Path, program: Program) -> None:
    other = User(_made(tmp_path / "second"))
    other.home, other.environ["HOME"] = user.home, str(user.home)
    file = other.own()
    with ended(other.start("up")) as second:
        until(lambda: bool(lines(second)), "the second to start")
        until(lambda: len(user.run("tools", folder=tmp_path)[2].splitlines()) == 3, "both to be listed")
        code, _, error = user.run("calls", folder=tmp_path)
        assert code == 2 and "2 sidecars run; name one of them:" in error
        assert f"-c '{file}'   (process {second.process.pid})" in error and f"(process {program.process.pid})" in error
        assert user.run("check", folder=tmp_path, SIDECAR_CONFIG=str(file))[0] == 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_killed_sidecar_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process left in the run folder is not taken for a sidecar that runs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "a b" / "sidecar.yaml"
    with running.sole_run(str(file)):
        assert running.running() == [(str(file), os.getpid())]
        assert running.process_of(str(file)) == os.getpid()
        with pytest.raises(running.AlreadyRunningError), running.sole_run(str(file)):
            pass
    assert running.running() == []
    Path(socket_path.base_of(str(file)) + ".settings").write_text(str(file))
    Path(socket_path.base_of(str(file)) + ".up").write_text("1")
    assert running.running() == [] and running.process_of(str(file)) == 0


@pytest.mark.parametrize(("setting", "advice"), [
    ("page", "set 'page:' (or SIDECAR_PAGE) to another address"),
    ("reader", "set 'reader:' (or SIDECAR_READER) to another address"),
    ("listener", "give this server another 'listen'"),
])  # fmt: skip
def test_a_taken_port_is_said_before_anything_starts(user: User, setting: str, advice: str) -> None:
    """Page, record or listener: the same clear message, and no page is announced that is somebody else's."""
    address = getattr(user, setting)
    user.own()
    host, port = address.split(":")
    with socket.create_server((host, int(port))):
        code, said, error = user.run("up")
    assert code == 2 and "page: http" not in said
    code_word = "listen" if setting == "listener" else setting
    assert error == f"sidecar.yaml: error[{code_word}]: {address} is already in use; stop what uses it, or {advice}\n"
    assert user.run("up", SIDECAR_POLICIES="nowhere", SIDECAR_PAGE="7")[0] == 2


def test_policies_that_are_missing_stop_up_before_the_page_is_announced(user: User) -> None:
    """A policy folder that is not there is one message; nothing was announced that then went away."""
    user.own(policies="policies")
    code, said, error = user.run("up")
    assert code == 2 and "page: http" not in said
    assert f"{user.project / 'policies'}: error[no-folder]: there is no such folder; 'sidecar init' writes one" in error


def test_own_policies_alone_are_said_to_switch_the_starter_ones_off(user: User) -> None:
    """One line at the start says that nothing of the starter policies judges, and how to turn them on."""
    user.run("init")
    (user.project / "sidecar.yaml").unlink()
    user.own(policies="./policies")
    with ended(user.start("proxy", name="proxy")) as program:
        until(lambda: "ready" in program.output, "the proxy")
        assert program.output.count("the starter policies are off: 'policies:' names none of them; 'starter' in its list") == 1


def test_up_runs_without_the_page(user: User) -> None:
    """Where the extra ``page`` is not installed, all else runs, and one line says how to get the page."""
    user.own()
    without = _made(user.project / "without")
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['streamlit'] = None\n")
    path = os.pathsep.join([str(without), str(ROOT)])
    with ended(user.start("up", PYTHONPATH=path)) as program:
        until(lambda: is_ready(program), "everything else to answer", 180)
        assert lines(program)[0] == "sidecar  starting with sidecar.yaml"
        assert (
            lines(program)[1]
            == "sidecar  page: not installed; it comes with the package's extra 'page', in the checkout: pip install '.[page]'"
        )
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://{user.page}", timeout=5)
        assert program.stop() == 0
    code, _, error = user.run("review", PYTHONPATH=path)
    assert code == 2 and "error[page]: the page is not installed" in error


def test_the_demo_moves_away_from_ports_that_are_taken(user: User) -> None:
    """``make up`` works beside whatever has its ports: it says what moved, and ``sidecar calls`` shows its calls."""
    upstreams = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    listeners = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    servers = ", ".join(
        f"{{name: {name}, listen: '{listen}', upstream: 'http://{upstream}'}}"
        for name, listen, upstream in zip(("crm", "mail"), listeners, upstreams, strict=True)
    )
    file = user.own(servers=f"[{servers}]", policies="starter")
    with contextlib.ExitStack() as taken:
        for address in (user.page, user.reader, listeners[0], upstreams[1]):
            host, port = address.split(":")
            taken.enter_context(socket.create_server((host, int(port))))
        demo = Program(
            [sys.executable, str(ROOT / "examples" / "demo.py"), str(file)], user.project / "demo.log", **user.environ
        )
        with ended(demo):
            until(lambda: "sidecar  ready: " in demo.output or demo.process.poll() is not None, "the demo to be up", 240)
            assert demo.process.poll() is None, demo.output
            for address, owner in ((user.page, "page"), (user.reader, "record"), (listeners[0], "listener of crm")):
                assert f"demo: {address} is in use, so the {owner} is at 127.0.0.1:" in demo.output
            assert f"{listeners[1]} is in use" not in demo.output
            until(lambda: "get_customer" in user.run("calls", folder=user.home)[1], "a call of the demo in the record")
            again = subprocess.run(
                [sys.executable, str(ROOT / "examples" / "demo.py"), str(file)],
                capture_output=True, text=True, timeout=60, env=user.environ, check=False,
            )  # fmt: skip
            assert again.returncode == 2 and "demo: it runs already (sidecar process " in again.stderr
            page = json.loads((user.project / "data" / "demo.yaml").read_text())["page"]
            assert f"its page is at http://{page}\n" in again.stderr and f"sidecar  page: http://{page}\n" in demo.output
            assert demo.stop() == 0
