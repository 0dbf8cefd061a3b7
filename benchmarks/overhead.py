"""What the sidecar costs, beside no proxy at all and beside stock mitmdump, measured in turn in one run.

``python benchmarks/overhead.py`` takes under two minutes. A call is 600 bytes and its result 2 KB. The proxies are
pinned to core 0, load and server to core 1, so the figures are those of one core; they are medians over the rounds.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import load
import targets


@dataclass(frozen=True, slots=True)
class Figures:
    """One target under one number of connections. Times are in microseconds, ratios are of requests per second."""

    target: str
    connections: int
    requests_per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float
    of_direct: float = 0.0
    of_mitmdump: float = 0.0


Runs = dict[tuple[str, int], list[Figures]]


def main() -> int:
    """Measure and print; exit status 0 when every call of every run was answered by the server, else 2."""
    options = _options()
    pin = sys.platform == "linux" and (os.cpu_count() or 1) > 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all that was started is stopped then too
    runs: Runs = {}
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
            work = Path(folder)
            for name in options.targets:
                (work / name).mkdir()
            with targets.running(options.targets, work, pin) as (server, ways):
                for way in ways:
                    load.run(way.port, 16, 1, options.load, 1 if pin else None)
                for _ in range(options.rounds):
                    for connections in options.connections:
                        for way in ways:
                            figures = _measure(way, server, connections, options, pin)
                            runs.setdefault((way.name, connections), []).append(figures)
    except RuntimeError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("overhead: interrupted", file=sys.stderr)
        return 2
    rows = _medians(runs)
    print(_table(rows, options, time.monotonic() - start))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (default 2)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64], metavar="N")
    parser.add_argument("--targets", nargs="+", default=list(targets.NAMES), choices=targets.NAMES, metavar="NAME")
    parser.add_argument("--load", choices=("wrk", "own"), default=load.generators()[0], help="the load generator")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _measure(way: targets.Target, server: int, connections: int, options: argparse.Namespace, pin: bool) -> Figures:
    """One run. It counts only if the server answered every call: a refusal is quick and would look like speed."""
    arrived, cpu_s = _answered(server), way.cpu_s()
    seen = load.run(way.port, connections, options.seconds, options.load, 1 if pin else None)
    arrived, cpu_s = _answered(server) - arrived, way.cpu_s() - cpu_s
    if seen.errors or not seen.requests or not seen.requests <= arrived <= seen.requests + connections:
        what = f"{seen.requests} calls answered, {arrived} by the server, {seen.errors} errors"
        raise RuntimeError(f"{way.name} with {connections} connections did not pass every call on: {what}")
    cpu_us = cpu_s * 1e6 / seen.requests
    return Figures(way.name, connections, seen.requests / seen.seconds, seen.p50_us, seen.p99_us, cpu_us)


def _answered(server: int) -> int:
    """How many calls the server has answered, once those that were under way have arrived there too."""
    count, before = _count(server), -1
    while count != before:
        time.sleep(0.1)
        count, before = _count(server), count
    return count


def _count(server: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server}/", timeout=10) as answer:
        return int(answer.read())


def _medians(runs: Runs) -> list[Figures]:
    rows = []
    for (name, connections), figures in runs.items():
        speed = median(one.requests_per_s for one in figures)
        rows.append(
            Figures(
                target=name,
                connections=connections,
                requests_per_s=speed,
                p50_us=median(one.p50_us for one in figures),
                p99_us=median(one.p99_us for one in figures),
                cpu_us=median(one.cpu_us for one in figures),
                of_direct=_ratio(speed, runs.get(("direct", connections))),
                of_mitmdump=_ratio(speed, runs.get(("mitmdump", connections))),
            )
        )
    return rows


def _ratio(speed: float, base: list[Figures] | None) -> float:
    return speed / median(one.requests_per_s for one in base) if base else 0.0


def _table(rows: list[Figures], options: argparse.Namespace, took_s: float) -> str:
    head = f"{'':18}{'conn':>5}{'req/s':>9}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>8}{'× direct':>10}{'× mitmdump':>12}"
    lines = [head, "-" * len(head)]
    for row in rows:
        cpu = f"{row.cpu_us:8.0f}" if row.cpu_us else f"{'-':>8}"
        lines.append(
            f"{row.target:18}{row.connections:5}{row.requests_per_s:9.0f}{row.p50_us:9.0f}{row.p99_us:9.0f}{cpu}"
            f"{row.of_direct:10.3f}{row.of_mitmdump:12.2f}"
        )
    what = f"{options.rounds} rounds of {options.seconds} s, load by {options.load}, in turn; {took_s:.0f} s in all"
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return "\n".join([*lines, "", f"{what}; {where}"])


if __name__ == "__main__":
    sys.exit(main())
