"""How many disguised values are found, credentials and personal data, and what finding them costs.

``python benchmarks/evasion.py`` takes a minute: every way of writing in ``tests/detect/disguises.py`` on values made now,
one or more of every kind that can be found by its own form. A value counts when it is recognised whole.
"""

import argparse
import json
import random
import sys
from pathlib import Path
from statistics import median
from time import thread_time

sys.path.insert(0, str(Path(__file__).parent.parent))

from sidecar.detect import Engine, walk
from sidecar.document import Document
from tests.detect.disguises import DISGUISES
from tests.detect.generate import expand

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"


def values_of(engine: Engine, family: str, count: int) -> list[str]:
    """Values of as many kinds of ``secrets`` or ``pii`` as there are, that the engine finds alone and undisguised."""
    values: list[str] = []
    for file in sorted(CORPUS.glob(f"{family}.*.yaml")):
        for case in Document(file.name, file.read_text()).value["finds"]:
            text = expand(case) if isinstance(case, str) and case.count("«") == 1 else ""
            value = text.partition("«")[2].partition("»")[0]
            if value.isascii() and "\n" not in value and _finds(engine, value, value):
                values.append(value)
                break
    random.Random(1).shuffle(values)
    return values[:count]


def _finds(engine: Engine, text: str, value: str) -> bool:
    """Whether the value is recognised whole: as itself, or all of what it was made to (a token that is known in base64 too)."""
    spans = engine.scan(walk({"text": f"see {text} there"})).spans
    return any(value in span.value or text in span.stretch for span in spans)


def main() -> int:
    """Print one row for each disguise; exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=80)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    engine = Engine()
    secrets, personal = (values_of(engine, family, options.values) for family in ("secrets", "pii"))
    plain = median(_cost_us(engine, value) for value in secrets)
    rows = []
    for name, disguise in DISGUISES.items():
        found, people = (sum(_finds(engine, disguise(each), each) for each in values) for values in (secrets, personal))
        rows.append((name, found, people, median(_cost_us(engine, disguise(value)) for value in secrets)))
    if options.json:
        print(json.dumps(rows))
        return 0
    print(f"| way of writing | credentials found of {len(secrets)} | share | personal data found of {len(personal)} | µs "
          f"| times the plain value |\n|---|---|---|---|---|---|")  # fmt: skip
    for name, found, people, cost in [("as it is", len(secrets), len(personal), plain), *rows]:
        print(f"| {name} | {found} | {found / len(secrets):.3f} | {people} | {cost:.0f} | {cost / plain:.1f} |")
    return 0


def _cost_us(engine: Engine, text: str) -> float:
    payload = {"text": f"see {text} there"}
    best = 1.0
    for _ in range(5):
        started = thread_time()
        engine.scan(walk(payload))
        best = min(best, thread_time() - started)
    return best * 1e6


if __name__ == "__main__":
    sys.exit(main())
