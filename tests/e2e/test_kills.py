"""Nothing is lost, whatever is killed: every call that reached the server is in the store, once."""

import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Installation, is_open, until

CALLS = 1000
THREADS = 8


class Load:
    """Clients that call ``echo`` with a text of its own each, over connections they open again when they break."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._name = name
        self._numbers = itertools.count()
        self.answered = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]

    def start(self) -> "Load":
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def has_answered(self, more_than: float) -> bool:
        """Whether that many calls got their answer."""
        return self.answered > more_than

    def join(self) -> None:
        """Wait until all calls were made."""
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def _run(self) -> None:
        connection = None
        while (number := next(self._numbers)) < CALLS:
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                self._call(connection, f"{self._name} {number}.")
                with self._lock:
                    self.answered += 1
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                # The proxy is being killed or started again: come back when it listens, as a real client does.
                until(lambda: is_open(self._port), "the listener")
        if connection is not None:
            connection.close()

    @staticmethod
    def _call(connection: http.client.HTTPConnection, text: str) -> None:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
        }
        params = {"name": "echo", "arguments": {"text": text}, "_meta": meta}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": "echo",
        }
        connection.request("POST", "/mcp", body, headers)
        answer = connection.getresponse()
        assert text in answer.read().decode(), answer.status


def arrived(log: Path, name: str) -> set[str]:
    """The texts that reached the server."""
    params = (json.loads(line)["params"] or {} for line in log.read_text().splitlines())
    texts = (each.get("arguments", {}).get("text", "") for each in params)
    return {text for text in texts if text.startswith(name)}


def stored(installation: Installation, name: str) -> Counter[str]:
    """The texts in the store, and how often each."""
    text = "JSONExtractString(request, 'params', 'arguments', 'text')"
    sql = f"SELECT {text} AS t, count() FROM calls WHERE t LIKE '{name} %' GROUP BY t"
    return Counter(dict(installation.rows(sql)))


def check_everything_stored(installation: Installation, log: Path, name: str) -> None:
    reached = arrived(log, name)
    assert len(reached) >= CALLS * 0.9
    until(lambda: reached <= stored(installation, name).keys(), "every call in the store")
    assert set(stored(installation, name).values()) == {1}, "a call is in the store more than once"


def kill_while(condition: Callable[[], Any], program: Any) -> None:
    until(condition, "the moment to kill")
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.wait(60)


def test_killing_the_proxy_in_the_middle_of_a_thousand_calls(
    another: Any, fixture_server: tuple[int, Path], calm_policies: Path
) -> None:
    """kill -9 of the proxy: after its restart every call that reached the server is in the store, once."""
    installation: Installation = another(calm_policies)
    name = f"proxy{time.time_ns()}"
    installation.start_collect()
    proxy = installation.start_proxy()
    load = Load(installation.port, name).start()
    for share in (0.2, 0.5):
        kill_while(partial(load.has_answered, CALLS * share), proxy)
        proxy = installation.start_proxy()
    load.join()
    check_everything_stored(installation, fixture_server[1], name)
    statuses = dict(installation.rows(f"SELECT status, count() FROM calls WHERE request LIKE '%{name}%' GROUP BY status"))
    assert set(statuses) <= {"ok", "no_response", "cancelled"} and statuses["ok"] > CALLS * 0.8


def test_killing_the_collector_in_the_middle_of_a_thousand_calls(
    another: Any, fixture_server: tuple[int, Path], calm_policies: Path
) -> None:
    """kill -9 of the collector: no client notices, and every call is in the store, once."""
    installation: Installation = another(calm_policies)
    name = f"collector{time.time_ns()}"
    collector = installation.start_collect()
    installation.start_proxy()
    load = Load(installation.port, name).start()
    for share in (0.2, 0.5, 0.8):
        kill_while(partial(load.has_answered, CALLS * share), collector)
        collector = installation.start_collect()
    load.join()
    assert load.answered == CALLS
    check_everything_stored(installation, fixture_server[1], name)
    assert installation.rows("SELECT sum(calls) FROM calls_1m WHERE tool = 'echo'")[0][0] == CALLS
