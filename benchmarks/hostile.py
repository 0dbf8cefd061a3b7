"""The worst that text can do to the detectors: what almost matches, made from each detector's own patterns.

``python benchmarks/hostile.py`` makes texts that match a detector's prefilter, its pattern, or both, over and over, and
measures what scanning them costs: every detector with a small text first, the most expensive ones with ten megabytes. Then
come the encodings, deep nesting and very many keys. Times are CPU time of the thread.
"""

import argparse
import base64
import importlib
import random
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from time import thread_time
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from sidecar.detect import DETECTORS, Detector, Engine, walk
from sidecar.events import Scan
from sidecar.limits import MIB

_PARSER: Final[Any] = importlib.import_module("re._parser")
_FLAGS: Final = re.compile(r"\(\?[a-z]+\)")
_LETTERS: Final = string.digits + string.ascii_letters + " -_./:=+@,;\n\"'<>(){}[]&%#*!?|~^$\\`\t"
_TRIES: Final = 2
_SMALL: Final = 10_000
AIM_S: Final = 1.0


def almost(detector: Detector, rng: random.Random) -> Iterator[str]:
    """Texts that a detector has to look at closely: its prefilter's, its pattern's, and one behind the other."""
    prefilter, pattern = (sample(each, rng) for each in (detector.prefilter, detector.pattern))
    yield prefilter + " "
    yield pattern + " "
    yield f"{prefilter} {pattern} "
    if detector.is_ahead:
        yield f"{prefilter} 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 2 3 4 5 "
        yield f"{prefilter} {' '.join(sample(pattern, rng).strip() for pattern in [detector.pattern] * 3)} "


def sample(pattern: str, rng: random.Random) -> str:
    """A short text that ``pattern`` matches. Flags in the middle, which Python takes at the beginning only, are left out."""
    made = _text(_PARSER.parse(_FLAGS.sub("", pattern)), rng).encode("latin-1", "replace")
    return made.decode("utf-8", "replace")


def _text(tokens: Any, rng: random.Random) -> str:
    return "".join(_one(str(code), value, rng) for code, value in tokens)


def _one(code: str, value: Any, rng: random.Random) -> str:
    match code:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return rng.choice([each for each in _LETTERS if ord(each) != value])
        case "ANY":
            return rng.choice(string.ascii_letters)
        case "IN":
            return _of_class(value, rng)
        case "BRANCH":
            return _text(rng.choice(value[1]), rng)
        case "SUBPATTERN":
            return _text(value[-1], rng)
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, inner = value
            return "".join(_text(inner, rng) for _ in range(rng.randint(least, min(int(most), least + 2))))
        case _:
            return ""


def _of_class(members: Any, rng: random.Random) -> str:
    """A letter of a class, a common one where there is one."""
    found = re.compile(_class(members))
    common = [each for each in _LETTERS if found.match(each)]
    return rng.choice(common or [chr(code) for code in range(256) if found.match(chr(code))])


def _class(members: Any) -> str:
    parts = []
    for code, value in members:
        match str(code):
            case "LITERAL":
                parts.append(f"\\x{value:02x}")
            case "RANGE":
                parts.append(f"\\x{value[0]:02x}-\\x{value[1]:02x}")
            case "CATEGORY":
                name = str(value).removeprefix("CATEGORY_")
                small = {"DIGIT": "\\d", "SPACE": "\\s", "WORD": "\\w"}[name.removeprefix("NOT_")]
                parts.append(small.upper() if name.startswith("NOT_") else small)
            case "NEGATE":
                parts.insert(0, "^")
    return f"[{''.join(parts)}]"


def cost(engine: Engine, payload: Any) -> tuple[float, Scan]:
    """Seconds of the thread's processor for one payload, and what was seen."""
    started = thread_time()
    scan = engine.scan(walk(payload))
    return thread_time() - started, scan


def worst_of_each(engine: Engine, size: int) -> list[tuple[float, str, str]]:
    """For each detector the dearest of its texts: seconds, kind, the text to repeat; the dearest detectors first."""
    rng = random.Random(7)
    found = []
    for detector in DETECTORS:
        units = [unit for _ in range(_TRIES) for unit in almost(detector, rng)]
        timed = [(cost(engine, _repeated(unit, size))[0], detector.kind, unit) for unit in units]
        found.append(max(timed))
    return sorted(found, reverse=True)


def _repeated(unit: str, size: int) -> str:
    return unit * (size // len(unit.encode()))


def shapes(size: int) -> Iterator[tuple[str, Any]]:
    """Hostile texts and structures that belong to no detector."""
    deep: Any = "x"
    for _ in range(10_000):
        deep = [deep]
    yield "nested 10,000 deep", deep
    yield "a million keys", {f"k{at}": "a1b2" for at in range(1_000_000)}
    yield "a million values", [f"a1b2{at}" for at in range(1_000_000)]
    mail = base64.b64encode(b"write to ada@example.com").decode()
    for name, unit in (
        ("escapes of URLs", "%41"),
        ("escapes of programs", "\\u0041"),
        ("entities", "&#65;"),
        ("base64, short", mail + " "),
        ("base64, one run", "QUFB"),
        ("base64 in base64", base64.b64encode(mail.encode()).decode() + " "),
        ("hex", "616263646566676869206a6b6c "),
        ("hex pairs", "61 62 63 64 65 66 67 68 69 "),
        ("base32", base64.b32encode(b"write to ada@example.com").decode().rstrip("=") + " "),
        ("look-alikes", "аa"),  # noqa: RUF001 - the point of it
        ("invisible letters", "a\u200b"),
        ("combining marks", "a\u0301"),
        ("tag characters", "".join(chr(0xE0000 + ord(each)) for each in "ada@example.com")),
        ("letters far from ASCII", "汉字"),
    ):
        yield f"{size // MIB} MB, {name}", _repeated(unit, size)


def main() -> int:
    """Print what the worst texts cost; exit status 1 where one takes longer than the aim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=10)
    parser.add_argument("--worst", type=int, default=20)
    options = parser.parse_args()
    engine, size = Engine(), options.mib * MIB
    engine.scan(walk("phone +1 212 555 0123, national id 123456789"))
    dearest = worst_of_each(engine, _SMALL)
    rows = [(f"{options.mib} MB, almost {kind}", _repeated(unit, size)) for _, kind, unit in dearest[: options.worst]]
    print("| text | s | looked at | skipped | MB skipped | found |\n|---|---|---|---|---|---|")
    is_met = True
    for name, payload in (*rows, *shapes(size)):
        took, scan = cost(engine, payload)
        is_met &= took <= AIM_S * size / (10 * MIB)
        print(f"| {name} | {took:.2f} | {scan.bytes_scanned / 1e6:.1f} MB | {', '.join(scan.skipped)} "
              f"| {scan.bytes_skipped / 1e6:.1f} | {len(scan.spans)} |", flush=True)  # fmt: skip
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
