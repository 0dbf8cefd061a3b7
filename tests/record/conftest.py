"""Real stores for the record's tests, each in a process of its own, because one process can open only one engine."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client

from sidecar.record.outbox import Outbox
from sidecar.record.row_ids import timestamp
from sidecar.record.store import reader
from sidecar.settings import Settings, load
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
_numbers = itertools.count(1)


def until[T](condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Wait for a condition to give something true, and say what was waited for if it never does."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s for {what}"
        pause.wait(0.02)
    return value


def is_open(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def settings_in(folder: Path, *, name: str = "sidecar.yaml", **more: Any) -> Settings:
    """Settings in a file of ``folder``, with a data folder beside it and free ports; ``more`` adds lines of YAML (JSON)."""
    lines = {
        "servers": [{"name": "crm", "listen": f"127.0.0.1:{free_port()}", "upstream": "http://127.0.0.1:9"}],
        "data": str(folder / "data"),
        "reader": f"127.0.0.1:{free_port()}",
        "page": f"127.0.0.1:{free_port()}",
        "node": "test-node",
        **more,
    }
    file = folder / name
    file.write_text("".join(f"{key}: {orjson.dumps(value).decode()}\n" for key, value in lines.items()))
    return load(file, {})


def call_row(number: int, **more: Any) -> dict[str, Any]:
    """A row of ``calls`` whose id tells its number."""
    return {
        "ts": timestamp(time.time()),
        "call_id": str(uuid.UUID(int=number)),
        "server": "crm",
        "method": "tools/call",
        "tool": "lookup",
        "status": "",
        "verdict": "allow",
        "request": f"request {number}",
        **more,
    }


def finding_row(number: int, **more: Any) -> dict[str, Any]:
    """An enforced finding that blocked call ``number``."""
    return {
        "ts": timestamp(time.time()),
        "finding_id": str(uuid.UUID(int=number + (1 << 64))),
        "call_id": str(uuid.UUID(int=number)),
        "node": "test-node",
        "server": "crm",
        "method": "tools/call",
        "tool": "lookup",
        "rule": "secrets.out",
        "title": "A credential in the arguments",
        "severity": "high",
        "mode": "enforce",
        "action": "block",
        "kind": "secrets.aws-key",
        "path": "$.params.arguments.text",
        "preview": "AK" + "IA…(20)",
        **more,
    }


def begin(number: int) -> bytes:
    """The record of a call that begins."""
    return orjson.dumps({"phase": "begin", "call": call_row(number), "rows": {"findings": []}})


def end(number: int, **more: Any) -> bytes:
    """The record of a call that ended well."""
    row = call_row(number, status="ok", response=f"response {number}", duration_us=1000, **more)
    return orjson.dumps({"phase": "end", "call": row, "rows": {}})


class Collector:
    """``sidecar collect`` as a process."""

    def __init__(self, settings: Settings, **environ: str) -> None:
        self.settings = settings
        self.log = Path(settings.file).parent / "collect.log"
        self._begun = len(self.output)
        command = [sys.executable, "-m", "sidecar", "collect", "-c", settings.file]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **environ}
            )

    def wait_ready(self) -> None:
        """Until it collects."""
        until(self._is_ready, "the collector to start")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.output
        return "collecting" in self.output[self._begun :]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def output(self) -> str:
        """What it and its forerunners on the same settings printed."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


@contextlib.contextmanager
def collecting(settings: Settings, **environ: str) -> Iterator[Collector]:
    """A running collector; it is stopped afterwards, and its end must be clean."""
    collector = Collector(settings, **environ)
    try:
        collector.wait_ready()
        yield collector
    except BaseException:
        collector.stop(signal.SIGKILL)
        raise
    assert collector.stop() == 0, collector.output


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[Callable[[str], list[Any]]]:
    """A function that runs a query on the record and gives its rows."""
    with contextlib.closing(reader(settings)) as client:
        yield lambda sql: list(client.query(sql).result_rows)


class Server:
    """ClickHouse over HTTP that takes writes: the engine behind ``tests/record/writable.py``, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Listen, on the same port and data as before."""
        command = [sys.executable, "-m", "tests.record.writable", str(self.folder), str(self.port)]
        environ = {**os.environ, "TEST_PASSWORD": self.password}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL)
        until(lambda: is_open(self.port), "the test server")

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def settings(self, folder: Path, **more: Any) -> Settings:
        """Settings whose store is a fresh database of this server."""
        store = f"clickhouse://default@127.0.0.1:{self.port}/test_{next(_numbers)}"
        return settings_in(folder, store=store, **more)

    def client(self) -> Client:
        """A client of the server."""
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.port,
            username="default",
            password=self.password,
            compress=False,
            autogenerate_session_id=False,
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes writes; tests that end it start it again."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.kill()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """A small outbox below the data folder of ``settings_in(tmp_path)``."""
    with Outbox(tmp_path / "data" / "outbox", "writer", segment_bytes=64 * 1024) as made:
        yield made


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector with an embedded store that holds the calls 1 to 20, each with a response of 1,000 characters."""
    settings = settings_in(tmp_path_factory.mktemp("embedded"))
    with Outbox(settings.data_path / "outbox", "writer", segment_bytes=1 << 20) as writer:
        for number in range(1, 21):
            writer.put(end(number, attrs={"n": str(number)}))
    with collecting(settings) as collector:
        with reading(settings) as query:
            until(lambda: query("SELECT count() FROM calls") == [(20,)], "the calls")
        yield collector
