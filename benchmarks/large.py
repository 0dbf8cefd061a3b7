"""What one large result costs the proxy: its peak memory and its time, for a long text and for many rows.

``python benchmarks/large.py`` takes under a minute. Each result is fetched through a proxy of its own, with the starter
policies and recording on, and must arrive byte for byte.
"""

import argparse
import hashlib
import json
import signal
import socketserver
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.e2e.conftest import Installation

MIB = 1 << 20
HEAD = b'{"jsonrpc":"2.0","id":1,"result":{"content":['
TAIL = b"]}}"
PARTS = {
    "objects": (b'{"type":"text","text":"","_meta":{"o":[{"a":1}', b',{"a":1}', b"]}}"),
    "one text": (b'{"type":"text","text":"', b"The quick brown fox jumps over the lazy dog. ", b'"}'),
    "many rows": (b'{"type":"text","text":"rows"}', b',{"type":"text","text":"row 12345, Springfield, 99.50"}', b""),
}


def result(kind: str, mib: int) -> Iterator[bytes]:
    """A result of some MiB, in pieces."""
    first, again, last = PARTS[kind]
    yield HEAD + first
    piece = again * (MIB // len(again))
    for _ in range(mib):
        yield piece
    yield last + TAIL


class Server(socketserver.ThreadingTCPServer):
    """Answers every request with one result."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, kind: str, mib: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind, self.mib = kind, mib
        self.bytes = sum(map(len, result(kind, mib)))
        self.digest = hashlib.sha256(b"".join(result(kind, mib))).digest()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(socketserver.BaseRequestHandler):
    """One connection, one request."""

    server: Server

    def handle(self) -> None:
        """Read the request, send the result."""
        with self.request.makefile("rb") as request:
            length = 0
            while (line := request.readline()).strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if not line:
                return
            # What is left unread would reset the connection when it is closed.
            request.read(length)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {self.server.bytes}\r\n\r\n"
        self.request.sendall(head.encode())
        for piece in result(self.server.kind, self.server.mib):
            self.request.sendall(piece)


def fetch(port: int) -> tuple[float, bytes]:
    """Seconds of one call, and the digest of its answer."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "export", "arguments": {}}}
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    began = time.monotonic()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/mcp", json.dumps(message).encode(), headers)
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            while piece := answer.read(MIB):
                digest.update(piece)
    except urllib.error.HTTPError as refused:
        refused.close()
    return time.monotonic() - began, digest.digest()


def memory_mib(pid: int, name: str) -> float:
    """A figure of a process as Linux tells it, in MiB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took to fetch a result."""

    bytes: int
    direct_s: float
    through_s: float
    idle_mib: float
    peak_mib: float


class NotAsSent(Exception):
    """Another answer arrived than was sent."""

    def __init__(self, peak_mib: float) -> None:
        self.peak_mib = peak_mib
        super().__init__(f"another answer arrived than was sent; the proxy's peak was {peak_mib:.0f} MiB")


def measure(kind: str, mib: int, calls: int) -> Cost:
    """Fetch a result several times, one after the other.

    Raises:
        NotAsSent: it did not arrive byte for byte.
    """
    server = Server(kind, mib)
    with tempfile.TemporaryDirectory(prefix="large-") as folder:
        installation = Installation(Path(folder), server.server_address[1])
        proxy = installation.start_proxy().process
        try:
            idle = memory_mib(proxy.pid, "VmRSS")
            direct_s, _ = fetch(server.server_address[1])
            took_s = []
            for _ in range(calls):
                seconds, digest = fetch(installation.port)
                if digest != server.digest:
                    raise NotAsSent(memory_mib(proxy.pid, "VmHWM"))
                took_s.append(seconds)
            return Cost(server.bytes, direct_s, max(took_s), idle, memory_mib(proxy.pid, "VmHWM"))
        finally:
            installation.stop()
            server.shutdown()
            server.server_close()


def _line(kind: str, cost: Cost) -> str:
    size = cost.bytes / MIB
    times = f"{size:8.0f}{cost.direct_s:9.2f}{cost.through_s:10.2f}"
    return f"{kind:10}{times}{cost.idle_mib:10.0f}{cost.peak_mib:10.0f}{(cost.peak_mib - cost.idle_mib) / size:9.1f}"


def main() -> int:
    """Measure and print; exit status 2 when a result did not arrive as it was sent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mib", type=int, nargs="+", default=[10, 100], metavar="N")
    parser.add_argument("--calls", type=int, default=3, help="how often each is fetched, one after the other (default 3)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{'':10}{'MiB':>8}{'direct s':>9}{'through s':>10}{'idle MiB':>10}{'peak MiB':>10}{'× size':>9}")
    try:
        for kind in ("one text", "many rows"):
            for mib in options.mib:
                print(_line(kind, measure(kind, mib, options.calls)), flush=True)
    except NotAsSent as error:
        print(f"large: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
