"""What ``sidecar wrap`` costs a server over stdio, beside the same server without it, measured in turn in one run.

``python benchmarks/stdio.py`` takes about a minute. A call is 600 bytes and its result 2 KB, one after the other; a call
is two messages, so the time added per message is half of what the call takes longer. Start-up is the time from starting
the command to the answer to its first line, with the sidecar already running.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
START_WAIT_S = 60.0
WARM_UP_CALLS = 300
NO_RULES = "version: 1\npolicy: none\ndescription: Passes everything.\naccess:\n  default: allow\n"

SERVER = """
import os
answer = b'","result":{"content":[{"type":"text","text":"' + b"lorem ipsum " * 160 + b'"}],"isError":false}}\\n'
held = b""
while data := os.read(0, 65536):
    *lines, held = (held + data).split(b"\\n")
    for line in lines:
        os.write(1, b'{"jsonrpc":"2.0","id":"' + line[len(b'{"jsonrpc":"2.0","id":"'):][:8] + answer)
"""
"""As quick a server as Python can be, so that what is added stands out."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One way to the server. Times are in milliseconds; added ones are per message, and over direct in the same run."""

    target: str
    p50_ms: float
    p99_ms: float
    added_p50_ms: float
    added_p99_ms: float
    start_ms: float
    added_start_ms: float


def main() -> int:
    """Measure and print; exit status 0 when every call was answered by the server, else 2."""
    options = _options()
    try:
        with tempfile.TemporaryDirectory(prefix="sb") as folder, _ways(Path(folder)) as ways:
            calls: dict[str, list[list[float]]] = {name: [] for name in ways}
            starts: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(options.rounds):
                for name, (command, environ) in ways.items():
                    calls[name].append(_call_times(command, environ, options.calls))
                    starts[name] += [_start_time(command, environ) for _ in range(options.starts)]
    except (RuntimeError, OSError) as error:
        print(f"stdio: {error}", file=sys.stderr)
        return 2
    rows = _figures(calls, starts)
    print(_table(rows, options))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--calls", type=int, default=2000, help="of each measurement (default 2000)")
    parser.add_argument("--starts", type=int, default=5, help="of each measurement (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


@contextmanager
def _ways(work: Path) -> Iterator[dict[str, tuple[list[str], dict[str, str]]]]:
    """Each way to the server: its command line and environment, with the proxies it needs running."""
    server = [sys.executable, "-I", "-S", "-c", SERVER]
    ways = {"direct": (server, dict(os.environ))}
    proxies = []
    try:
        for name, policies in (("wrap", NO_RULES), ("wrap+policies", "")):
            home = work / name
            (home / "policies").mkdir(parents=True)
            if policies:
                (home / "policies" / "none.yaml").write_text(policies, "utf-8")
            else:
                shutil.copytree(ROOT / "policies", home / "policies", dirs_exist_ok=True)
                # What a load looks like is what this policy stops.
                (home / "policies" / "runaway.yaml").unlink()
            settings = home / "sidecar.yaml"
            settings.write_text(f"policies: policies\ndata: {home / 'data'}\n", "utf-8")
            environ = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "sidecar", "wrap", "--server", "bench", "-c", str(settings), "--", *server]
            ways[name] = (command, environ)
            with (home / "log").open("wb") as log:
                proxy = [sys.executable, "-O", "-m", "sidecar", "proxy", "-c", str(settings)]
                proxies.append(subprocess.Popen(proxy, env=environ, stdout=log, stderr=log))
            _wait_for_gate(home)
        yield ways
    finally:
        for process in proxies:
            process.terminate()
            process.wait(20)


def _wait_for_gate(home: Path) -> None:
    deadline = time.monotonic() + START_WAIT_S
    while not [*(home / ".local/state/sidecar/run").glob("*.sock")]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the proxy did not start: {(home / 'log').read_text('utf-8')[-500:]}")
        time.sleep(0.05)


class Client:
    """A client over stdio that asks one thing at a time."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._number = 0

    def call(self) -> None:
        """One call, answered. Raises ``RuntimeError`` when the answer is not the server's."""
        self._number += 1
        rpc_id = f"{self._number:08d}"
        text = "x" * (600 - 130)
        params = f'"params":{{"name":"order","arguments":{{"text":"{text}"}}}}'
        line = f'{{"jsonrpc":"2.0","id":"{rpc_id}","method":"tools/call",{params}}}\n'.encode()
        os.write(self._in, line)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += os.read(self._out, 65536)
        if rpc_id.encode() not in answer[:40] or b"lorem ipsum" not in answer:
            raise RuntimeError(f"a call was not answered by the server: {answer[:200]!r}")

    def close(self) -> None:
        """End the server and wait for it."""
        with suppress(BrokenPipeError):
            self._process.communicate(None, 20)


def _call_times(command: list[str], environ: dict[str, str], calls: int) -> list[float]:
    """Seconds of each call of one session, after some that are not counted."""
    client = Client(command, environ)
    times = []
    for number in range(WARM_UP_CALLS + calls):
        began = time.perf_counter()
        client.call()
        if number >= WARM_UP_CALLS:
            times.append(time.perf_counter() - began)
    client.close()
    return times


def _start_time(command: list[str], environ: dict[str, str]) -> float:
    """Seconds from starting a command to the answer to its first line."""
    began = time.perf_counter()
    client = Client(command, environ)
    client.call()
    took = time.perf_counter() - began
    client.close()
    return took


def _figures(calls: dict[str, list[list[float]]], starts: dict[str, list[float]]) -> list[Figures]:
    """Medians over the rounds of each round's percentiles."""

    def percentile(name: str, share: float) -> float:
        return 1000 * median(sorted(times)[int(len(times) * share)] for times in calls[name])

    base = (percentile("direct", 0.5), percentile("direct", 0.99), 1000 * median(starts["direct"]))
    rows = []
    for name in calls:
        p50, p99, start = percentile(name, 0.5), percentile(name, 0.99), 1000 * median(starts[name])
        added = ((p50 - base[0]) / 2, (p99 - base[1]) / 2)
        rows.append(Figures(name, p50, p99, *added, start, start - base[2]))
    return rows


def _table(rows: list[Figures], options: argparse.Namespace) -> str:
    head = f"{'':14}{'p50 ms':>10}{'p99 ms':>8}{'× direct':>10}{'+ p50':>11}{'+ p99':>8}{'start ms':>10}{'added':>8}{'×':>6}"
    lines = [head, "-" * len(head)]
    direct = rows[0]
    for row in rows:
        added = f"{row.added_p50_ms:11.3f}{row.added_p99_ms:8.3f}" if row is not direct else f"{'-':>11}{'-':>8}"
        over = f"{row.added_start_ms:8.1f}{row.start_ms / direct.start_ms:6.1f}" if row is not direct else f"{'-':>8}{'-':>6}"
        calls = f"{row.p50_ms:10.3f}{row.p99_ms:8.3f}{row.p50_ms / direct.p50_ms:10.1f}"
        lines.append(f"{row.target:14}{calls}{added}{row.start_ms:10.1f}{over}")
    what = (
        f"{options.rounds} rounds of {options.calls} calls and {options.starts} starts, in turn; added p50 and p99 per message"
    )
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return "\n".join([*lines, "", f"{what}; {where}"])


if __name__ == "__main__":
    sys.exit(main())
