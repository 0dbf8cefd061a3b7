"""Redirected traffic, as in a pod: clients that know nothing of the sidecar are judged, by the iptables lines of docs/."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.certificates import issue
from tests.e2e.conftest import ROOT, Installation, Program, is_open, until
from tests.e2e.test_clients import tour
from tests.e2e.test_forward import call, issuer
from tests.ports import free_port

SIDECAR_UID = 12345
ELSEWHERE = "198.51.100.7"
"""The address of a host that is no server's (RFC 5737)."""


class Pod:
    """A network of its own, entered by one thread and all it starts."""

    def __init__(self) -> None:
        self._inside = ThreadPoolExecutor(1)
        self.run(os.unshare, os.CLONE_NEWNET)
        self.run(subprocess.run, ["ip", "link", "set", "lo", "up"], check=True)
        self.run(subprocess.run, ["ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo"], check=True)

    def run[T](self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function inside."""
        return self._inside.submit(function, *arguments, **named).result(120)

    def close(self) -> None:
        """Leave; the network ends with its last process."""
        self._inside.shutdown()


class Redirected(Installation):
    """A sidecar that gets the traffic of a pod, as a user whose own traffic is not redirected."""

    def __init__(self, folder: Path, pod: Pod) -> None:
        super().__init__(folder, 1)
        issued = issue(folder, "localhost", "other.example")
        self.pod, self.ca = pod, issued.ca
        self.direct: dict[str, Any] = {}
        """What a client saw before the rule."""
        self.plain, self.secured, self.banner = (free_port() for _ in range(3))
        self.file.write_text(
            f"transparent: '127.0.0.1:{self.port}'\nservers:\n"
            f"  - {{name: plain, upstream: 'http://localhost:{self.plain}'}}\n"
            f"  - {{name: secured, upstream: 'https://localhost:{self.secured}', ca: '{issued.ca}'}}\n"
            f"policies: {self.policies}\ndata: {self.data}\n"
            f"reader: '127.0.0.1:{self.reader_port}'\npage: '127.0.0.1:{self.page_port}'\n"
        )
        self.arrivals = folder / "arrivals"
        self.arrivals.touch()
        for port, *more in ((self.plain,), (self.secured, "--cert", str(issued.server))):
            script = str(Path(__file__).parent / "fixture_server.py")
            command = [sys.executable, script, "--port", str(port), "--log", str(self.arrivals), *more]
            self.programs[f"server-{port}"] = Program(command, folder / f"server-{port}.log")
            until(partial(is_open, port), "a server")
        self.greeter = socket.create_server(("127.0.0.1", self.banner))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.server)
        self.foreign = context.wrap_socket(socket.create_server((ELSEWHERE, self.secured)), server_side=True)
        for listener in (self.greeter, self.foreign):
            threading.Thread(target=self._greet, args=(listener,), daemon=True).start()

    @staticmethod
    def _greet(listener: socket.socket) -> None:
        """A server that speaks first, as those of mail and of databases do."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.sendall(b"220 ready\r\n")
            connection.sendall(b"you said " + connection.recv(100))
            connection.close()

    def command(self, *arguments: str, name: str = "") -> Program:
        """The proxy runs as a user of its own; it may read what this user may, because the tests' files are here."""
        command = [sys.executable, "-m", "sidecar", *arguments, "-c", str(self.file)]
        if arguments == ("proxy",):
            rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
            command = ["setpriv", "--reuid", str(SIDECAR_UID), *rights, *command]
        return Program(command, self.folder / f"{name or arguments[0]}.log", PYTHONPATH=str(ROOT))

    def redirect(self) -> None:
        """The rule of docs/proxy-modes.md, for the ports of this pod."""
        ports = ",".join(str(port) for port in (self.plain, self.secured, self.banner))
        whose = f"-p tcp -m multiport --dports {ports} -m owner ! --uid-owner {SIDECAR_UID}"
        rule = f"OUTPUT {whose} -j REDIRECT --to-ports {self.port}"
        subprocess.run(["iptables", "-t", "nat", "-A", *rule.split()], check=True, capture_output=True, text=True)

    def stop_all(self) -> None:
        """Everything, in order."""
        self.greeter.close()
        self.foreign.close()
        self.stop()
        for program in self.programs.values():
            program.stop()


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    """A network namespace, or a skip that says what is missing."""
    if sys.platform != "linux":
        pytest.skip("redirected traffic is a matter of Linux")
    if os.geteuid() != 0:
        pytest.skip("a network namespace with iptables needs root")
    if missing := [name for name in ("ip", "iptables", "setpriv") if not shutil.which(name)]:
        pytest.skip(f"{', '.join(missing)} not found; scripts/test-tools installs iptables and iproute2 where it may")
    try:
        made = Pod()
        made.run(subprocess.run, ["iptables", "-t", "nat", "-L"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this kernel gives no network namespace with iptables: {error}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def redirected(pod: Pod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redirected]:
    """A pod with two servers of ours, one of somebody else, the sidecar, and the rule."""
    made = pod.run(Redirected, tmp_path_factory.mktemp("pod"), pod)
    try:
        pod.run(made.start_collect)
        pod.run(made.start_proxy)
        direct = pod.run(asyncio.run, tour(f"http://localhost:{made.plain}/mcp", "legacy"))
        pod.run(made.redirect)
        made.direct = direct
        yield made
    finally:
        pod.run(made.stop_all)


def test_plain_http_is_judged_without_the_clients_knowledge(redirected: Redirected) -> None:
    """A client that asks for the server by name sees what it saw before the rule, and its calls are in the record."""
    url = f"http://localhost:{redirected.plain}/mcp"
    assert redirected.pod.run(asyncio.run, tour(url, "legacy")) == redirected.direct
    sql = "SELECT count() FROM calls WHERE server = 'plain' AND tool = 'echo' AND status = 'ok'"
    redirected.pod.run(until, lambda: redirected.rows(sql)[0][0] == 1, "the call in the record")


def test_tls_is_judged_by_the_name_in_its_hello(redirected: Redirected, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that trusts the sidecar's authority is judged inside TLS: a credential does not leave."""
    monkeypatch.setenv("SSL_CERT_FILE", str(redirected.data / "ca" / "bundle.pem"))
    url = f"https://localhost:{redirected.secured}/mcp"
    allowed = redirected.pod.run(asyncio.run, call(url, "echo", {"text": "hello"}))
    assert allowed.content[0].text == "hello"
    key = "AK" + "IA" + "QX7RN4WZT2LKJ5YB"
    assert redirected.pod.run(asyncio.run, call(url, "echo", {"text": key})).is_error
    assert key not in redirected.arrivals.read_text()


def test_asking_for_the_address_is_no_way_past(redirected: Redirected) -> None:
    """A server set by name is judged too when a client goes to its address."""
    url = f"http://127.0.0.1:{redirected.plain}/mcp"
    key = "AK" + "IA" + "QX7RN4WZT2LKJ5YB"
    assert redirected.pod.run(asyncio.run, call(url, "echo", {"text": key})).is_error
    assert key not in redirected.arrivals.read_text()


def talk(port: int, said: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        heard = connection.recv(100)
        connection.sendall(said)
        while data := connection.recv(100):
            heard += data
        return heard


def test_other_protocols_go_where_they_were_going(redirected: Redirected) -> None:
    """A server that speaks first is heard at once, and nothing of it is read."""
    assert redirected.pod.run(talk, redirected.banner, b"EHLO") == b"220 ready\r\nyou said EHLO"


def test_another_name_on_a_servers_port_is_not_looked_into(redirected: Redirected) -> None:
    """Only the named host's TLS is opened: another on the same port shows its own certificate."""

    def shake_hands() -> tuple[dict[str, Any], bytes]:
        context = ssl.create_default_context(cafile=redirected.ca)
        with (
            socket.create_connection((ELSEWHERE, redirected.secured), 10) as raw,
            context.wrap_socket(raw, server_hostname="other.example") as secured,
        ):
            heard = secured.recv(100)
            secured.sendall(b"EHLO")
            return dict(secured.getpeercert() or {}), heard + secured.recv(100)

    certificate, heard = redirected.pod.run(shake_hands)
    assert issuer(certificate) == "Tests of the sidecar"
    assert heard == b"220 ready\r\nyou said EHLO"


def test_what_was_not_redirected_is_closed(redirected: Redirected) -> None:
    """The listener is no proxy for whoever finds it, and never calls itself."""

    def knock() -> bytes:
        with socket.create_connection(("127.0.0.1", redirected.port), 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(100)

    with contextlib.suppress(ConnectionResetError):
        assert redirected.pod.run(knock) == b""


def test_bytes_for_a_server_that_are_no_http_go_nowhere(redirected: Redirected) -> None:
    """What cannot be judged does not reach a server."""

    def babble() -> bytes:
        with socket.create_connection(("127.0.0.1", redirected.plain), 10) as connection:
            connection.sendall(b"\x00\x01\x02 not http\r\n\r\n")
            return connection.recv(100)

    assert redirected.pod.run(babble) == b""
    assert "neither HTTP nor TLS" in redirected.programs["proxy"].output
