"""What custom kinds cost a message in which they find nothing: patterns, words, and a list of a million values.

Run: ``python benchmarks/custom_kinds.py TEXT…`` with some files of clean text; prints microseconds of thread CPU above the scan
without custom kinds, the best of several rounds.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sidecar.detect import Engine, walk
from sidecar.detect.custom import (
    NO_CUSTOM_KINDS,
    CustomKind,
    CustomKinds,
    ExactTable,
    key_of,
    parse_list,
    prepare_regex,
    prepare_words,
)
from sidecar.exact_lists import build

KEY = key_of("a key for measuring only")
ROWS = 1_000_000
SIZES = (2_000, 10_000, 100_000, 1_000_000)


def main() -> None:
    """Measure with the text of the files that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="TEXT", help="a file of clean text that is not empty")
    files = parser.parse_args().files
    text = "\n".join(file.read_text(errors="replace") for file in files).encode("ascii", "replace").decode()
    if not text.strip():
        parser.error("the files hold no text")
    text = text * (1 + SIZES[-1] // len(text))
    engine = Engine()
    for name, make in _sets().items():
        began = time.perf_counter()
        custom = make()
        made_s = time.perf_counter() - began
        costs = ", ".join(f"{size:,} B: {_cost_us(engine, custom, text[:size]):,.0f} us" for size in SIZES)
        print(f"{name} (made in {made_s:.2f} s): {costs}")


def _sets() -> dict[str, Callable[[], CustomKinds]]:
    return {
        "1 pattern": lambda: CustomKinds([_pattern(0)]),
        "20 patterns": lambda: CustomKinds([_pattern(number) for number in range(20)]),
        "200 patterns": lambda: CustomKinds([_pattern(number) for number in range(200)]),
        "1 pattern without a prefilter": lambda: CustomKinds([CustomKind("custom", 0.9, prepare_regex(r"\bOC-\d{6}\b")[0])]),
        "1,000 words": lambda: CustomKinds(
            [CustomKind("custom", 0.9, *prepare_words([*map(_name, range(1000))]), is_word=True)]
        ),
        "1,000,000 names": lambda: _list(map(_name, range(ROWS))),
        "1,000,000 numbers": lambda: _list(f"{9_000_000_000 + 7 * number}" for number in range(ROWS)),
    }


def _name(number: int) -> str:
    """Two words of letters, different for each number."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    return f"Zy{letters} Qov{letters[::-1]}el"


def _pattern(number: int) -> CustomKind:
    return CustomKind(f"custom{number}", 0.9, *prepare_regex(rf"\b[A-Z]Q{number}-\d{{6}}\b"))


def _list(values: Iterator[str]) -> CustomKinds:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "list"
        build(values, KEY, "value", file)
        return CustomKinds([CustomKind("custom", 0.99, table=ExactTable(*parse_list(file.read_bytes()), KEY))])


def _cost_us(engine: Engine, custom: CustomKinds, text: str) -> float:
    assert not any(span.kind.startswith("custom") for span in engine.scan(walk({"text": text}), custom).spans)
    rounds = max(5, 400_000 // len(text))
    return 1e6 * (_best_s(engine, custom, text, rounds) - _best_s(engine, NO_CUSTOM_KINDS, text, rounds))


def _best_s(engine: Engine, custom: CustomKinds, text: str, rounds: int) -> float:
    best = 1e9
    for _ in range(rounds):
        texts = walk({"text": text})
        began = time.thread_time()
        engine.scan(texts, custom)
        best = min(best, time.thread_time() - began)
    return best


if __name__ == "__main__":
    main()
