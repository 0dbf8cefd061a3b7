"""No proxy, a new proxy, a dead proxy: a wrapped server starts one, waits for one, or refuses, and never passes unjudged."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar.wrap import socket_path
from tests.e2e.conftest import is_open, until
from tests.play import ACCESS
from tests.wrap.conftest import ECHO, Client, Home, call, python, request

KEEP = """
import json, sys, time
held = []
for line in sys.stdin:
    said = json.loads(line)
    if said["method"] == "hold":
        held.append(said["id"])
    elif said["method"] == "release":
        for each in held:
            print(json.dumps({"jsonrpc": "2.0", "id": each, "result": {"of": "hold"}}), flush=True)
    elif "id" in said:
        print(json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": {"seen": said["method"]}}), flush=True)
"""
"""Keeps the answers of ``hold`` until it is told to release them."""


@pytest.fixture
def alone(homes: Callable[..., Home]) -> Iterator[Home]:
    """A home where nothing runs yet."""
    home = homes()
    yield home
    home.stop()


@pytest.fixture(scope="module")
def started(homes: Callable[..., Home]) -> Iterator[Home]:
    """A home whose sidecar is started by the first who needs it, and then shared."""
    home = homes()
    yield home
    home.stop()


@pytest.fixture
def broken(homes: Callable[..., Home], tmp_path: Path) -> Home:
    """A home whose sidecar cannot start, because its policy is not valid."""
    (tmp_path / "wrong.yaml").write_text("this: is no policy\n")
    return homes(policies=tmp_path)


def test_twenty_at_once_start_one_sidecar_and_all_are_served(started: Home) -> None:
    """Whoever misses the proxy starts it, exactly once; proxy, collector and page run, and outlive their clients."""
    clients = [Client(started.wrap(*python(ECHO), stderr=subprocess.DEVNULL)) for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(call("many", number))
    assert [client.answer(60)["id"] for client in clients] == list(range(20))
    supervisor = started.background()
    for client in clients:
        client.close()
    assert len(started.sockets()) == 1
    assert started.background() == supervisor != 0
    logs = [log.read_text() for log in started.run.glob("*.log")]
    assert len(logs) == 1 and logs[0].count("ready  policy_version=") == 1
    until(lambda: is_open(started.reader_port), "the collector")
    until(lambda: started.rows("SELECT count() FROM calls WHERE tool = 'many' AND status = 'ok'") == [(20,)], "the record")
    folder = started.run.parent
    assert oct(started.run.stat().st_mode & 0o777) == "0o700" and oct(started.sockets()[0].stat().st_mode & 0o777) == "0o600"
    assert not (folder / "default.yaml").exists(), "only made where no settings are named"
    environ = Path(f"/proc/{supervisor}/environ").read_bytes()
    assert b"PYTEST" not in environ, "what a client set for its one server stays there"


def test_up_says_that_one_runs_instead_of_fighting_for_its_ports(started: Home) -> None:
    """Typed while a background sidecar runs, it names the process and what to do, and harms nothing."""
    client = Client(started.wrap(*python(ECHO)))
    client.send(request("ping"))
    assert client.answer(60)["id"] == 1
    typed = started.program("up", name="typed")
    assert typed.process.wait(30) == 2
    assert f"a sidecar runs with these settings already (process {started.background()})" in typed.output
    proxy = started.program("proxy", name="second")
    assert proxy.process.wait(30) == 2
    assert "another proxy" in proxy.output
    client.send(request("ping", 2))
    assert client.answer()["id"] == 2
    client.close()


def test_a_background_sidecar_runs_without_the_page_whose_port_is_taken(alone: Home) -> None:
    """What stands in somebody's way is left out, and the log says so; messages are judged all the same."""
    with socket.create_server(("127.0.0.1", alone.page_port)), socket.create_server(("127.0.0.1", alone.reader_port)):
        client = Client(alone.wrap(*python(ECHO)))
        client.send(request("ping"))
        assert "result" in client.answer(60)
        log = next(alone.run.glob("*.log"))
        until(lambda: log.read_text().count("is started again") == 2, "page and collector to be put off")
        client.send(request("ping", 2))
        assert "result" in client.answer()
        client.close()


def test_no_settings_at_all_are_the_default_ones(alone: Home) -> None:
    """Without a file the starter policies judge, and where to read the record is a file one can name."""
    command = [word for word in alone.command(*python(ECHO)) if word not in ("-c", str(alone.file))]
    at = command.index("--") + 1
    command[at:] = python(ECHO)
    (alone.folder / "elsewhere").mkdir()
    default = alone.run.parent / "default.yaml"
    default.parent.mkdir(parents=True)
    default.write_text(alone.file.read_text())
    process = subprocess.Popen(
        command, env=alone.environ, cwd=alone.folder / "elsewhere", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    client = Client(process)
    client.send(request("ping"))
    assert "result" in client.answer(60)
    assert [path.name for path in alone.sockets()] == ["default.sock"]
    client.close()


def test_a_sidecar_that_cannot_start_means_a_refusal_that_says_why(broken: Home) -> None:
    """Every request is answered in the form its kind allows, notifications are dropped, stray text passes, nothing hangs."""
    client = Client(broken.wrap(*python(ECHO)))
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    client.send(
        call("t", 1),
        request("tools/call", "two", name="t", _meta=meta),
        request("tools/list", 3),
        b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n',
        b"hello\n",
        b"{broken\n",
    )
    first, second, third = client.answer(60), client.answer(), client.answer()
    assert (first["id"], first["result"]["isError"], "resultType" in first["result"]) == (1, True, False)
    assert (second["id"], second["result"]["resultType"]) == ("two", "complete")
    assert (third["id"], third["error"]["code"]) == (3, 1503)
    for text in (first["result"]["content"][0]["text"], third["error"]["message"]):
        assert "cannot be reached" in text and ".log" in text
    assert {client.line(), client.line()} >= {b"stray hello\n"}
    _, err = client.process.communicate(None, 60)
    assert b"sidecar wrap (files): no sidecar runs" in err
    assert "error[" in next(broken.run.glob("*.log")).read_text()


def test_pass_relays_unjudged_and_says_so(broken: Home) -> None:
    """Whoever prefers working to judging is told, loudly, that nothing is judged."""
    client = Client(broken.wrap(*python(ECHO), options=("--on-unavailable", "pass")))
    client.send(call("t", 1))
    assert json.loads(client.answer(60)["result"]["got"])["params"]["name"] == "t"
    _, err = client.process.communicate(None, 60)
    assert b"PASSED ON UNJUDGED" in err


def test_a_proxy_that_comes_back_is_picked_up_without_a_restart(broken: Home, tmp_path: Path) -> None:
    """Once the policy is fixed the same client is judged again."""
    client = Client(broken.wrap(*python(ECHO)))
    client.send(call("t", 1))
    assert client.answer(60)["result"].get("isError")
    (tmp_path / "wrong.yaml").write_text(ACCESS)
    proxy = broken.proxy()
    client.send(call("t", 2))
    assert "got" in client.answer(60)["result"]
    _, err = client.process.communicate(None, 60)
    assert b"reached again" in err
    proxy.stop()


def test_a_proxy_killed_in_mid_session_loses_nothing(alone: Home) -> None:
    """Open calls are answered after a new proxy came, under their own rules, and the next calls too."""
    first = alone.proxy()
    client = Client(alone.wrap(*python(KEEP)))
    client.send(request("hold", 1), request("hold", 2), request("other", 3))
    assert client.answer()["id"] == 3
    first.stop(signal.SIGKILL)
    assert alone.sockets(), "the dead proxy's socket is still there, and is taken over"
    client.send(request("release", 4))
    assert [client.answer(60) for _ in range(2)] == [
        {"jsonrpc": "2.0", "id": each, "result": {"of": "hold"}} for each in (1, 2)
    ]
    client.send(request("other", 5))
    assert client.answer()["result"] == {"seen": "other"}
    client.close()
    until(lambda: is_open(alone.reader_port), "the collector that was started")
    sql = "SELECT method, status, mapContains(attrs, 'resumes') FROM calls WHERE method = 'hold' ORDER BY status"
    both = [("hold", "no_response", 0)] * 2 + [("hold", "ok", 1)] * 2
    until(lambda: alone.rows(sql) == both, "both halves of the calls in the record")


def test_a_proxy_killed_while_it_judges_is_asked_again(alone: Home) -> None:
    """A line without a verdict is judged by the next proxy; the server gets it once."""
    first = alone.proxy()
    client = Client(alone.wrap(*python(ECHO)))
    client.send(request("ping", 0))
    client.answer()
    first.process.send_signal(signal.SIGSTOP)
    client.send(call("asked", 1))
    first.process.kill()
    first.process.wait(20)
    assert client.answer(60)["id"] == 1
    client.send(request("ping", 2))
    assert client.answer()["id"] == 2, "and nothing came twice"
    client.close()


def test_a_proxy_that_is_stopped_waits_for_open_calls_and_leaves_no_socket(alone: Home) -> None:
    """Draining is as over HTTP: no new process, open calls end, then the socket and the lock are gone."""
    proxy = alone.proxy()
    client = Client(alone.wrap(*python(KEEP)))
    client.send(request("hold", 1), request("other", 2))
    assert client.answer()["id"] == 2
    proxy.process.send_signal(signal.SIGTERM)
    until(lambda: not alone.sockets(), "the socket to go")
    client.send(b'{"jsonrpc":"2.0","method":"release"}\n')
    assert client.answer()["id"] == 1
    assert proxy.process.wait(60) == 0
    assert not [*alone.run.glob("*.lock")]
    client.close()


def test_a_session_that_waits_does_not_hold_a_stop_up(alone: Home) -> None:
    """An idle wrapped server is no call under way."""
    proxy = alone.proxy()
    client = Client(alone.wrap(*python(ECHO)))
    client.send(request("ping"))
    client.answer()
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(60) == 0
    assert "cut off" not in proxy.output
    client.close()


def test_a_socket_path_is_never_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A long or missing home has a folder of this user's elsewhere; both sides find the same one from the settings' path."""
    monkeypatch.setenv("HOME", str(tmp_path / ("x" * 120)))
    path = socket_path.socket_of("sidecar.yaml")
    assert len(path.encode()) < 104 and path.startswith(f"/tmp/sidecar-{os.getuid()}-")
    assert path == socket_path.socket_of(os.path.realpath("sidecar.yaml")) != socket_path.socket_of("other.yaml")
    monkeypatch.delenv("HOME")
    assert socket_path.socket_of("").endswith("/default.sock")
    monkeypatch.setenv("HOME", "relative")
    assert socket_path.socket_of("").startswith(f"/tmp/sidecar-{os.getuid()}/")


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    """Whoever holds it is known by its process, and a file that was given away is not mistaken for the next one's."""
    file = str(tmp_path / "lock")
    first = socket_path.hold(file)
    assert first is not None and socket_path.hold(file) is None and socket_path.holder(file) == os.getpid()
    socket_path.let_go(file, first)
    second = socket_path.hold(file)
    assert second is not None
    socket_path.let_go(file, second)
    assert socket_path.holder(file) == 0


def test_a_folder_of_somebody_else_is_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A link where the folder should be is refused rather than followed."""
    monkeypatch.setenv("HOME", str(tmp_path / ("y" * 120)))
    folder = Path(socket_path.run_folder())
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(socket_path.Unsafe):
            socket_path.open_run_folder()
    finally:
        folder.unlink()
