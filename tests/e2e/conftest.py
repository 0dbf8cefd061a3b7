"""Whole installations: a real server, the real programs as processes, a real webhook, read back as users read."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from sidecar import settings as settings_module
from tests import compiled
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


def until[T](condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Wait for a condition to give something true, and say what was waited for if it never does."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s for {what}"
        pause.wait(0.05)


def is_open(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


class Program:
    """One process of ours, with its output in a file."""

    def __init__(self, command: list[str], log: Path, **environ: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=log.parent, env={**os.environ, **environ}
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def output(self) -> str:
        """What it printed."""
        return self.log.read_text("utf-8", "replace")


class Webhook:
    """A receiver of alerts on loopback."""

    def __init__(self) -> None:
        self.received: list[tuple[float, dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.received.append((time.time(), json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()


class Installation:
    """A sidecar in front of one real server, with the starter policies unless others are given."""

    def __init__(self, folder: Path, upstream_port: int, policies: Path | None = None, webhook: str = "") -> None:
        self.folder = folder
        self.port, self.reader_port, self.page_port = free_port(), free_port(), free_port()
        self.dead_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.file = folder / "sidecar.yaml"
        self.policies = policies or ROOT / "policies"
        self.data = folder / "data"
        text = (
            f"servers:\n"
            f"  - {{name: fixture, listen: '127.0.0.1:{self.port}', upstream: 'http://127.0.0.1:{upstream_port}'}}\n"
            f"  - {{name: dead, listen: '127.0.0.1:{self.dead_port}', upstream: 'http://127.0.0.1:{free_port()}'}}\n"
            f"policies: {self.policies}\ndata: {self.data}\nreader: '127.0.0.1:{self.reader_port}'\n"
            f"page: '127.0.0.1:{self.page_port}'\nsecrets: [env:REGISTERED_IN_TESTS]\n"
        )
        if webhook:
            text += f"alerts:\n  - {{webhook: '{webhook}'}}\n"
        self.registered = " ".join((token_hex(4), token_hex(8)))
        """A secret that looks like none, known to the programs by its variable only."""
        self.file.write_text(text)
        self.programs: dict[str, Program] = {}

    def start(self, name: str, port: int) -> Program:
        """Start one program and wait until it answers."""
        program = self.programs[name] = self.command(name)
        until(lambda: is_open(port) or program.process.poll() is not None, f"{name} to listen")
        assert program.process.poll() is None, program.output
        return program

    def command(self, *arguments: str, name: str = "") -> Program:
        """Run ``sidecar`` as a user does."""
        log = self.folder / f"{name or arguments[0]}.log"
        if arguments[0] in ("proxy", "up"):
            compiled.lend(self.data)
        known = {"PYTHONPATH": str(ROOT), "REGISTERED_IN_TESTS": self.registered}
        return Program([sys.executable, "-m", "sidecar", *arguments, "-c", str(self.file)], log, **known)

    def start_proxy(self) -> Program:
        """The proxy."""
        return self.start("proxy", self.port)

    def start_collect(self) -> Program:
        """The collector."""
        return self.start("collect", self.reader_port)

    def stop(self) -> None:
        """Stop what runs, in order."""
        for name in ("proxy", "collect"):
            if name in self.programs:
                self.programs[name].stop()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the record as every reader does."""
        from sidecar.record.store import reader

        client = reader(settings_module.load(self.file))
        try:
            return [tuple(row) for row in client.query(sql).result_rows]
        finally:
            client.close()

    def kept_bytes(self) -> bytes:
        """Everything on disk: outbox, embedded store, logs."""
        return b"".join(file.read_bytes() for file in self.folder.rglob("*") if file.is_file())


@pytest.fixture(scope="session")
def fixture_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A real MCP server on the official SDK: its port, and the log of what reached it."""
    folder = tmp_path_factory.mktemp("server")
    port, arrivals = free_port(), folder / "arrivals.jsonl"
    arrivals.touch()
    script = str(Path(__file__).parent / "fixture_server.py")
    program = Program([sys.executable, script, "--port", str(port), "--log", str(arrivals)], folder / "server.log")
    until(lambda: is_open(port) or program.process.poll() is not None, "the fixture server")
    assert program.process.poll() is None, program.output
    yield port, arrivals
    program.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def webhook() -> Iterator[Webhook]:
    """Where alerts of the shared installation go."""
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture(scope="session")
def sidecar(
    fixture_server: tuple[int, Path], webhook: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A whole installation that the tests of this folder share: proxy, collector, webhook, starter policies."""
    installation = Installation(tmp_path_factory.mktemp("sidecar"), fixture_server[0], webhook=webhook.url)
    installation.start_collect()
    installation.start_proxy()
    yield installation
    installation.stop()


@pytest.fixture
def calm_policies(tmp_path: Path) -> Path:
    """The starter policies without the one that stops an agent in a loop, which is what a load looks like."""
    folder = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", folder)
    (folder / "runaway.yaml").unlink()
    return folder


@pytest.fixture
def another(fixture_server: tuple[int, Path], tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes an installation for a test that stops, kills or edits it."""
    made: list[Installation] = []

    def make(policies: Path | None = None, webhook: str = "", port: int = 0) -> Installation:
        folder = tmp_path / f"installation{len(made)}"
        folder.mkdir()
        made.append(Installation(folder, port or fixture_server[0], policies, webhook))
        return made[-1]

    yield make
    for installation in made:
        installation.stop()
