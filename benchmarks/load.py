"""Load on one address from so many connections, each sending its next call when the last one is answered.

Debian's ``wrk`` does it where it is installed, else a loop of our own, which is this file run as a program:
``python benchmarks/load.py PORT CONNECTIONS SECONDS``.
"""

import json
import selectors
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REQUEST_BYTES = 600
SESSIONS = 5_000
"""So many conversations share the load, as on a busy node; a rule on one session's rate then sees a usual rate."""

_BODY = (
    '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"find_orders","arguments":'
    '{"customer":"Ines Moreau","since":"2026-01-01","state":"open","note":"@"}}}'
)
_NOTE = "All orders of this customer that are still on their way, with the days they were promised for. "
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of the load saw. Latencies are in microseconds."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int


def body() -> str:
    """A ``tools/call`` of ``REQUEST_BYTES`` with ``%s`` where its id belongs."""
    room = REQUEST_BYTES - len(_BODY) + 1
    return _BODY.replace("@", (_NOTE * 10)[:room])


def run(port: int, connections: int, seconds: float, generator: str, core: int | None) -> Measured:
    """Put load on ``port`` with ``wrk`` or our ``own`` generator, pinned to ``core`` where that is possible."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    own = [sys.executable, __file__, str(port), str(connections), str(seconds)]
    command = own if generator == "own" else _wrk(port, connections, seconds)
    done = subprocess.run([*pin, *command], capture_output=True, text=True, check=False, timeout=seconds + 30)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"requests"')]
    if done.returncode or not lines:
        raise RuntimeError(f"the load generator failed:\n{done.stdout}{done.stderr}")
    return Measured(**json.loads(lines[-1]))


def generators() -> list[str]:
    """Those there are, the better first."""
    return ["wrk", "own"] if shutil.which("wrk") else ["own"]


def _wrk(port: int, connections: int, seconds: float) -> list[str]:
    script = Path(__file__).with_name("call.lua")
    duration = f"{max(1, round(seconds))}s"
    options = ["-t", "1", "-c", str(connections), "-d", duration, "--timeout", "20s", "-s", str(script)]
    return ["wrk", *options, f"http://127.0.0.1:{port}/mcp", "--", body(), str(SESSIONS)]


class Connection:
    """One connection of our own generator: at most one call under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.sent = 0.0
        self._held = bytearray()
        self._size = 0

    def send(self, data: bytes) -> None:
        """Send a call and note when."""
        self.sent = time.perf_counter()
        self.socket.sendall(data)

    def is_answered(self) -> bool:
        """Read what is there; whether it completes an answer. An error of HTTP raises."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self._held += data
        if not self._size and (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._held[:end]).lower()
            if not head.startswith(b"http/1.1 200"):
                raise ConnectionError(head.partition(b"\r\n")[0].decode("latin-1"))
            self._size = end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if not self._size or len(self._held) < self._size:
            return False
        self._held.clear()
        self._size = 0
        return True


def generate(port: int, connections: int, seconds: float) -> Measured:
    """Our own generator: one loop over ready sockets."""
    head = "".join(f"{name}: {value}\r\n" for name, value in [("Host", f"127.0.0.1:{port}"), *HEADERS.items()])
    template, selector, taken, number, errors = body(), selectors.DefaultSelector(), list[float](), 0, 0

    def request() -> bytes:
        nonlocal number
        number += 1
        text = template.replace("%s", str(number))
        own = f"Mcp-Session-Id: load-{number % SESSIONS}\r\nContent-Length: {len(text)}"
        return f"POST /mcp HTTP/1.1\r\n{head}{own}\r\n\r\n{text}".encode()

    for _ in range(connections):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(request())
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds and selector.get_map():
        for key, _ in selector.select(0.1):
            try:
                if key.data.is_answered():
                    now = time.perf_counter()
                    taken.append(now - key.data.sent)
                    key.data.send(request())
            except OSError:
                errors += 1
                selector.unregister(key.fileobj)
    taken.sort()
    p50, p99 = (taken[int(len(taken) * share)] * 1e6 if taken else 0.0 for share in (0.5, 0.99))
    return Measured(len(taken), time.perf_counter() - start, p50, p99, errors)


if __name__ == "__main__":
    result = generate(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps({name: getattr(result, name) for name in Measured.__slots__}))
