"""How much personal data the detectors find and how much of what they find is some, beside Presidio's patterns.

``python benchmarks/detection_personal.py FILE`` takes labelled sentences, one JSON object a line (``text``, and ``spans`` with
``kind``, ``start``, ``end`` in characters). With ``--presidio PYTHON``, an interpreter of an environment of its own in which
``presidio-analyzer`` is installed, its pattern recognisers judge the same rows in the same run; no model is loaded.
The detectors were tuned on one half of the rows, by a hash of their text; both halves are told apart.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sidecar.detect import IDS, Engine, walk  # noqa: E402
from sidecar.policy.fakes_personal import national_id  # noqa: E402

OURS: Final = {
    "pii.card": "CREDIT_CARD",
    "pii.iban": "IBAN_CODE",
    "pii.us-ssn": "US_SSN",
    "pii.email": "EMAIL_ADDRESS",
    "pii.ip": "IP_ADDRESS",
    "pii.private-ip": "IP_ADDRESS",
    "pii.phone": "PHONE_NUMBER",
}
KINDS: Final = tuple(dict.fromkeys(OURS.values()))

Span = tuple[str, int, int]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", help="labelled sentences; without it only national ids are measured")
    parser.add_argument("--presidio", metavar="PYTHON", help="interpreter of an environment with presidio-analyzer")
    parser.add_argument("--draws", type=int, default=200, help="numbers drawn for each national id (default: 200)")
    options = parser.parse_args()
    engine = Engine()
    if options.file:
        _sentences(engine, options.file, options.presidio)
    _national_ids(engine, options.draws)


def _sentences(engine: Engine, file: Path, presidio: str | None) -> None:
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    labels = [[(each["kind"], each["start"], each["end"]) for each in row["spans"] if each["kind"] in KINDS] for row in rows]
    texts = [row["text"] for row in rows]
    engine.scan(walk("phone +1 202-555-0100"))  # what is imported when first needed is no part of a message's cost
    started = time.thread_time()
    found = [_ours(engine, text) for text in texts]
    print(f"{len(rows)} rows; ours {(time.thread_time() - started) / len(rows) * 1e6:.0f} us a row", end="")
    results = {"ours": found}
    if presidio:
        program = [presidio, str(ROOT / "benchmarks/presidio_patterns.py")]
        said = subprocess.run(program, input=json.dumps(texts), text=True, stdout=subprocess.PIPE, check=True).stdout
        answer = json.loads(said)
        results["presidio"] = [[(kind, start, end) for kind, start, end in spans] for spans in answer["spans"]]
        print(f", presidio {answer['cpu_s'] / len(rows) * 1e6:.0f} us a row", end="")
    print("\n")
    halves: dict[str, Callable[[str], bool]] = {
        "tuned on": lambda text: _is_seen(text), "held out": lambda text: not _is_seen(text), "all": lambda text: True,
    }  # fmt: skip
    print(f"{'kind':15}{'rows':>10}{'labels':>8}" + "".join(f"{name + ' recall':>17}{'precision':>11}" for name in results))
    for kind in KINDS:
        for half, is_in in halves.items():
            chosen = [index for index, text in enumerate(texts) if is_in(text)]
            cells = [_score(kind, [labels[at] for at in chosen], [spans[at] for at in chosen]) for spans in results.values()]
            print(
                f"{kind:15}{half:>10}{cells[0][0]:>8}"
                + "".join(f"{_share(*cell[1]):>17}{_share(*cell[2]):>11}" for cell in cells)
            )


def _is_seen(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def _ours(engine: Engine, text: str) -> list[Span]:
    return [(OURS[span.kind], span.start, span.end) for span in engine.scan(walk(text)).spans if span.kind in OURS]


def _score(
    kind: str, labels: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]
) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """How many labels there are; how many of them were found; how many of those found overlap one."""
    hit = right = wanted = seen = 0
    for own, others in zip(labels, found, strict=True):
        asked, told = [each for each in own if each[0] == kind], [each for each in others if each[0] == kind]
        wanted, seen = wanted + len(asked), seen + len(told)
        hit += sum(any(_overlap(each, other) for other in told) for each in asked)
        right += sum(any(_overlap(each, other) for other in asked) for each in told)
    return wanted, (hit, wanted), (right, seen)


def _overlap(one: Span, other: Span) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _national_ids(engine: Engine, draws: int) -> None:
    """Of numbers that rules allow: found beside a word, by themselves. Of random ones of the same form: found as one."""
    print(f"\n{'national id':24}{'named':>8}{'as key':>8}{'alone':>8}{'random, named':>15}{'random, alone':>15}")
    totals: Counter[str] = Counter()
    for kind, each in IDS.items():
        chance = random.Random(kind)
        word = each.words.replace("|", ",").split(",")[0]
        counts: dict[str, int] = defaultdict(int)
        for _ in range(draws):
            number = national_id(each, chance)
            other = "".join(chance.choice("0123456789") if char.isdigit() else char for char in number)
            counts["named"] += _has(engine, kind, f"the {word} is {number}, please")
            counts["key"] += _has(engine, kind, {word.replace(" ", "_"): number})
            counts["alone"] += _has(engine, kind, f"see {number}, please")
            counts["random named"] += _has(engine, kind, f"the {word} is {other}, please")
            counts["random alone"] += _has(engine, kind, f"see {other}, please")
        totals.update(counts)
        cells = [_share(counts[name], draws) for name in ("named", "key", "alone", "random named", "random alone")]
        print(f"{kind:24}{cells[0]:>8}{cells[1]:>8}{cells[2]:>8}{cells[3]:>15}{cells[4]:>15}")
    share = {name: _share(count, draws * len(IDS)) for name, count in totals.items()}
    print(f"{len(IDS)} kinds: named {share['named']}, as key {share['key']}, random and alone {share['random alone']}")


def _has(engine: Engine, kind: str, payload: Any) -> bool:
    return any(span.kind == kind for span in engine.scan(walk(payload)).spans)


if __name__ == "__main__":
    main()
