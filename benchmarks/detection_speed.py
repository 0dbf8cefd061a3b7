"""What looking at a message costs, beside a bare Hyperscan pass of the detectors alone over the same bytes.

``python benchmarks/detection_speed.py`` takes half a minute. Texts are the installed packages' own code, documents and data,
and records and log lines made now; times are of the thread's processor, the best of the rounds.
"""

import argparse
import json
import random
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from time import thread_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import hyperscan

from sidecar.detect import DETECTORS, Engine, walk

_START = """
import sys, time
from pathlib import Path
began = time.thread_time()
from sidecar.proxy.detector_cache import ready_engine
imported = time.thread_time()
ready_engine(Path(sys.argv[1]))
print(f"{(time.thread_time() - imported) * 1e3:.0f} ms, after {(imported - began) * 1e3:.0f} ms of importing the detectors")
"""
"""A start in a process of its own: within one process, what was compiled once is kept."""
SIZES = {"2 KB": 2_000, "10 KB": 10_000, "1 MB": 1_000_000}


def corpus() -> dict[str, str]:
    """A megabyte of each class of text."""
    packages = Path(sysconfig.get_paths()["purelib"])
    rng = random.Random(1)
    made = {
        name: _collected(packages, pattern) for name, pattern in (("code", "*.py"), ("documents", "*.md"), ("json", "*.json"))
    }
    records = ({"id": rng.randrange(10**6), "name": f"item {at}", "created": f"2026-11-{at % 28 + 1:02}T10:00:00Z",
                "tags": ["a", "b"],
                "digest": rng.randbytes(20).hex(), "price": round(rng.random() * 100, 2)} for at in range(8_000))  # fmt: skip
    made["records"] = "\n".join(json.dumps(record) for record in records)
    made["logs"] = "\n".join(
        f"2026-11-22 10:{at % 60:02}:00 INFO worker-{at % 9} handled GET /items/{at} in {at % 97} ms" for at in range(20_000)
    )
    made["prose"] = " ".join(rng.choices(made["documents"].split(), k=180_000))
    return {name: text[: max(SIZES.values())] for name, text in made.items() if len(text) >= 500_000}


def _collected(folder: Path, pattern: str) -> str:
    parts, size = [], 0
    for file in sorted(folder.rglob(pattern)):
        parts.append(file.read_text(errors="replace"))
        size += len(parts[-1])
        if size > max(SIZES.values()):
            break
    return "\n".join(parts)


def main() -> int:
    """Print one row for each class and size, then the start; exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    engine = Engine()
    database = hyperscan.Database()
    prefilters = [each.prefilter.encode() for each in DETECTORS]
    database.compile(
        expressions=prefilters, ids=list(range(len(prefilters))), elements=len(prefilters), flags=[0] * len(prefilters)
    )
    scratch = hyperscan.Scratch(database)
    print("| text | size | all detectors, µs | where nothing is found | found a message | bare pass, µs | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, text in corpus().items():
        for label, size in SIZES.items():
            parts = [text[at : at + size] for at in range(0, min(len(text), 20 * size), size)][:20]
            found = [len(engine.scan(walk({"text": part})).spans) for part in parts]
            costs = [_best_us(lambda said: engine.scan(walk({"text": said})), part, rounds) for part in parts]
            clean = [cost for cost, count in zip(costs, found, strict=True) if not count]
            all_us, clean_us = fmean(costs), f"{fmean(clean):.0f}" if clean else ""
            bare = fmean(
                _best_us(lambda said: database.scan(said, _nothing, scratch=scratch), part.encode(), rounds) for part in parts
            )
            counts = f"{clean_us} | {fmean(found):.1f}"
            print(f"| {name} | {label} | {all_us:.0f} | {counts} | {bare:.0f} | {all_us / bare:.2f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for label in ("compiled", "from the cache"):
            made = subprocess.run([sys.executable, "-c", _START, folder], capture_output=True, text=True, check=True)
            print(f"start, {label}: {made.stdout.strip()}")
    return 0


def _nothing(*_: Any) -> None:
    return None


def _best_us(work: Callable[[Any], Any], said: Any, rounds: int) -> float:
    best = 1e9
    for _ in range(rounds):
        started = thread_time()
        work(said)
        best = min(best, thread_time() - started)
    return best * 1e6


if __name__ == "__main__":
    sys.exit(main())
