"""A sidecar for servers over stdio: a home of its own, a real proxy, real server processes behind ``sidecar wrap``."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import compiled
from tests.e2e.conftest import ROOT, Program, until
from tests.ports import free_port

# What a test server is told to do is its first argument; ``-c`` keeps them beside the tests that need them.
Popen = subprocess.Popen[bytes]


def is_alive(process: int) -> bool:
    """Whether a process runs; one that ended may stay listed until somebody asks how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Home:
    """One user's home with one settings file; its path is short, as a socket's must be."""

    def __init__(self, folder: Path, settings: str = "", policies: Path | None = None) -> None:
        self.folder = folder
        self.page_port, self.reader_port = free_port(), free_port()
        self.file = folder / "sidecar.yaml"
        self.file.write_text(
            f"{settings}\npolicies: {policies or ROOT / 'policies'}\ndata: {folder / 'data'}\n"
            f"reader: '127.0.0.1:{self.reader_port}'\npage: '127.0.0.1:{self.page_port}'\n"
        )
        compiled.lend(folder / "data")
        self.run = folder / ".local" / "state" / "sidecar" / "run"
        self.environ = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        self.environ.pop("SIDECAR_CONFIG", None)

    def command(
        self, *command: str, server: str = "files", options: tuple[str, ...] = (), separator: tuple[str, ...] = ("--",)
    ) -> list[str]:
        """The command line of a wrapped server; an empty ``separator`` leaves ``--`` out, as ``sidecar install`` does."""
        words = [sys.executable, "-m", "sidecar", "wrap", "--server", server, "-c", str(self.file), *options]
        return [*words, *separator, *command]

    def wrap(self, *command: str, options: tuple[str, ...] = (), **known: Any) -> Popen:
        """Start a wrapped server as clients do: in a session of its own, its three streams with pipes."""
        given: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | known
        return subprocess.Popen(
            self.command(*command, options=options), env=self.environ, cwd=self.folder, start_new_session=True, **given
        )

    def program(self, *arguments: str, name: str = "") -> Program:
        """A command of the sidecar, with its output in a file."""
        command = [sys.executable, "-m", "sidecar", *arguments, "-c", str(self.file)]
        return Program(command, self.folder / f"{name or arguments[0]}.log", HOME=str(self.folder), PYTHONPATH=str(ROOT))

    def proxy(self) -> Program:
        """A proxy whose judge socket is open."""
        program = self.program("proxy")
        until(lambda: self.sockets() or program.process.poll() is not None, "the judge socket")
        assert program.process.poll() is None, program.output
        return program

    def sockets(self) -> list[Path]:
        """The judge sockets of running proxies."""
        return sorted(self.run.glob("*.sock"))

    def background(self) -> int:
        """The process of a sidecar that a wrap process started, or 0."""
        for file in self.run.glob("*.up"):
            text = file.read_text()
            if text.isdigit() and is_alive(int(text)):
                return int(text)
        return 0

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the record as every reader does."""
        from sidecar import settings
        from sidecar.record.store import reader

        client = reader(settings.load(self.file, {}))
        try:
            return [tuple(row) for row in client.query(sql).result_rows]
        finally:
            client.close()

    def stop(self) -> None:
        """End a background sidecar, if there is one."""
        if process := self.background():
            os.kill(process, signal.SIGTERM)
            until(lambda: not is_alive(process), "the background sidecar to end")


@pytest.fixture(scope="session")
def homes() -> Iterator[Callable[..., Home]]:
    """Makes homes, and leaves nothing of them."""
    made: list[Home] = []

    def make(settings: str = "", policies: Path | None = None) -> Home:
        folder = Path(tempfile.mkdtemp(prefix="sc"))
        made.append(Home(folder, settings, policies))
        return made[-1]

    yield make
    for home in made:
        home.stop()
        shutil.rmtree(home.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def home(homes: Callable[..., Home]) -> Iterator[Home]:
    """A home whose proxy runs, shared by tests that only ask it."""
    shared = homes("servers: [{name: files}]")
    program = shared.proxy()
    yield shared
    program.stop()


def request(method: str, rpc_id: Any = 1, **params: Any) -> bytes:
    """One line of a client."""
    return json.dumps({"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}).encode() + b"\n"


def call(tool: str, rpc_id: Any = 1, **arguments: Any) -> bytes:
    """A tool call as one line."""
    return request("tools/call", rpc_id, name=tool, arguments=arguments)


def python(code: str) -> tuple[str, ...]:
    """A server that is a few lines of Python, whose output is not held back."""
    return (sys.executable, "-u", "-c", code)


ECHO = """
import json, sys
for line in sys.stdin.buffer:
    try:
        said = json.loads(line)
    except ValueError:
        sys.stdout.buffer.write(b"stray " + line); sys.stdout.buffer.flush(); continue
    if "id" in said and "method" in said:
        answer = {"jsonrpc": "2.0", "id": said["id"], "result": {"got": line.decode("utf-8", "replace")}}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\\n"); sys.stdout.buffer.flush()
"""
"""Answers every request with the line it got, so that a test sees what arrived."""


def ended(process: Popen, timeout_s: float = 60) -> int:
    """The exit code, and its streams closed."""
    code = process.wait(timeout_s)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
    return code


class Client:
    """A client that speaks by lines, as plainly as possible."""

    def __init__(self, process: Popen) -> None:
        self.process = process
        assert process.stdin is not None and process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self._buffer = b""

    def send(self, *lines: bytes) -> None:
        """Write lines at once."""
        data = memoryview(b"".join(lines))
        while data:
            data = data[os.write(self._in, data) :]

    def line(self, timeout_s: float = 60) -> bytes:
        """The next line, with its end; empty at the end of output."""
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._out], [], [], timeout_s)
            assert ready, f"waited {timeout_s} s for a line"
            data = os.read(self._out, 1 << 20)
            if not data:
                line, self._buffer = self._buffer, b""
                return line
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line + b"\n"

    def answer(self, timeout_s: float = 60) -> Any:
        """The next line as JSON."""
        return json.loads(self.line(timeout_s))

    def close(self) -> int:
        """Close stdin, read the rest, and return the exit code."""
        with suppress(BrokenPipeError):
            self.process.communicate(None, 60)
        return self.process.returncode
