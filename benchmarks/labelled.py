"""Labelled texts scored: how many secrets are found, and how many texts without one are suspected."""

import hashlib
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sidecar.detect import Engine, walk

RECALL_AIM: Final = 0.97
FALSE_AIM: Final = 0.03
_SURE: Final = 0.9
"""What the shipped policies act on."""

Row = Mapping[str, Any]
Find = Callable[[str], bool]
"""Whether a text is suspected."""


@dataclass(frozen=True, slots=True)
class Score:
    """One way to look, on some rows. ``others`` is the rate on texts that hold no secret of any kind."""

    recall: float
    false: float
    others: float


def score(file: Path, names_mistakes: bool) -> int:
    """Print a table of both halves of the rows and of all, and the kinds that are found worst."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        ways: dict[str, Find] = {**_ours(), **_detect_secrets(Path(folder) / "text")}
        halves = {"developed on": _half(rows, 0), "held out": _half(rows, 1), "all": rows}
        print(f"{len(rows)} rows of {len({row['kind'] for row in rows})} kinds\n")
        print("| rows | by | recall | false positives | without other kinds' secrets | µs a row |\n|---|---|---|---|---|---|")
        verdicts = {name: {str(row["id"]): found for row, found in _timed(rows, find)} for name, find in ways.items()}
        for half, chosen in halves.items():
            for name in ways:
                result = _score(chosen, verdicts[name], rows)
                print(f"| {half} | {name} | {result.recall:.3f} | {result.false:.3f} | {result.others:.3f} | {_US[name]:.0f} |")
    acted_on = _score(rows, verdicts["default and sure"], rows)
    _print_worst(rows, verdicts["default profile"])
    if names_mistakes:
        _print_mistakes(rows, verdicts["default profile"])
    return 0 if acted_on.recall >= RECALL_AIM and acted_on.others <= FALSE_AIM else 1


_US: Final[dict[str, float]] = {}


def _timed(rows: list[Row], find: Find) -> Iterable[tuple[Row, bool]]:
    start = time.thread_time()
    found = [(row, find(row["text"])) for row in rows]
    _US[find.__name__.replace("_", " ")] = (time.thread_time() - start) / len(rows) * 1e6
    return found


def _half(rows: list[Row], half: int) -> list[Row]:
    """Rows by a hash of their id, so that the halves are the same on every machine."""
    return [row for row in rows if hashlib.sha256(str(row["id"]).encode()).digest()[0] % 2 == half]


def _ours() -> dict[str, Find]:
    engine = Engine()

    def spans(text: str) -> list[Any]:
        return [span for span in engine.scan(walk({"text": text})).spans if span.kind.startswith("secrets.")]

    def strict_profile(text: str) -> bool:
        return bool(spans(text))

    def default_profile(text: str) -> bool:
        return any(not span.is_strict_only for span in spans(text))

    def default_and_sure(text: str) -> bool:
        return any(not span.is_strict_only and span.confidence >= _SURE for span in spans(text))

    for _ in range(200):
        spans("a text to warm up with")
    return {find.__name__.replace("_", " "): find for find in (default_profile, default_and_sure, strict_profile)}


def _detect_secrets(file: Path) -> dict[str, Find]:
    """Its ``scan_file``, with its filters as it comes; nothing where it is not installed."""
    try:
        from detect_secrets.core.scan import scan_file
        from detect_secrets.settings import default_settings
    except ImportError:
        print("detect-secrets is not installed; install the extra 'benchmarks' to have it beside ours\n")
        return {}

    def detect_secrets(text: str) -> bool:
        file.write_text(text, "utf-8", "surrogatepass")
        with default_settings():
            return any(True for _ in scan_file(str(file)))

    return {"detect secrets": detect_secrets}


def _score(rows: list[Row], found: Mapping[str, bool], everything: list[Row]) -> Score:
    secrets = {row["text"] for row in everything if row["label"]}
    yes = [row for row in rows if row["label"]]
    no = [row for row in rows if not row["label"]]
    others = [row for row in no if row["text"] not in secrets]
    rates = [sum(found[str(row["id"])] for row in part) / max(len(part), 1) for part in (yes, no, others)]
    return Score(*rates)


def _print_worst(rows: list[Row], found: Mapping[str, bool]) -> None:
    missed: dict[str, Counter[bool]] = defaultdict(Counter)
    for row in rows:
        if row["label"]:
            missed[row["kind"]][found[str(row["id"])]] += 1
    worst = sorted((kind for kind in missed if missed[kind][False]), key=lambda kind: -missed[kind][False])
    print("\nkinds with misses: " + ", ".join(f"{kind} {missed[kind][False]}/{missed[kind].total()}" for kind in worst[:30]))


def _print_mistakes(rows: list[Row], found: Mapping[str, bool]) -> None:
    for row in rows:
        if bool(row["label"]) != found[str(row["id"])]:
            print(f"{'missed' if row['label'] else 'suspected'} {row['id']}")
