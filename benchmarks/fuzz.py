"""Feeds the decoder and the whole pipeline hostile bytes: guided by coverage where atheris is installed, else by our own.

``fuzz.py json --count 1000000 --seconds 600 --seeds FOLDER`` runs one target; what breaks is written to a file and told.
"""

import argparse
import importlib
import logging
import random
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

try:
    atheris: Any = importlib.import_module("atheris")
except ImportError:
    atheris = None

INSTRUMENTED = [
    "sidecar.decode",
    "sidecar.act",
    "sidecar.exchange",
    "sidecar.judging",
    "sidecar.transports",
    "sidecar.detect.text",
]
INPUT_BYTES_MAX = 2048


class TooSlow(Exception):
    """One input took longer than it may."""


def run_own(target: Callable[[bytes], None], seeds: Sequence[bytes], options: argparse.Namespace) -> int:
    """Mutations of the seeds without coverage; returns how many inputs ran."""
    from tests.fuzz.mutate import mutated

    rng = random.Random(options.random_seed)
    began = time.perf_counter()
    pool = list(seeds)
    done = 0
    while done < options.count and time.perf_counter() - began < options.seconds:
        data = mutated(rng.choice(pool), rng, pool, INPUT_BYTES_MAX)
        if rng.random() < 0.2 and len(data) < INPUT_BYTES_MAX:
            # What changed once may change again, so that changes add up; the pool stays bounded.
            pool[rng.randrange(len(seeds), 2 * len(seeds)) if len(pool) >= 2 * len(seeds) else len(pool) :] = [data]
        start = time.perf_counter()
        try:
            target(data)
            if time.perf_counter() - start > options.input_seconds:
                raise TooSlow
        except Exception as error:
            report(data, error, options)
        done += 1
    return done


def run_atheris(target: Callable[[bytes], None], seeds: Sequence[bytes], options: argparse.Namespace) -> None:
    """Inputs guided by coverage, half of them mutated by ours; ends the process (libFuzzer does)."""
    from tests.fuzz.mutate import mutated

    rng = random.Random(options.random_seed)

    def one(data: bytes) -> None:
        try:
            target(data)
        except Exception as error:
            report(data, error, options)

    def mutator(data: bytes, bytes_max: int, seed: int) -> bytes:
        if rng.random() < 0.5:
            changed: bytes = atheris.Mutate(data, bytes_max)
            return changed
        return mutated(data, rng, seeds, bytes_max)

    corpus = options.found / f"corpus-{options.target}"
    corpus.mkdir(exist_ok=True)
    for number, each in enumerate(seeds):
        (corpus / str(number)).write_bytes(each)
    known = [f"-runs={options.count}", f"-max_total_time={options.seconds}", f"-max_len={INPUT_BYTES_MAX}"]
    known += [f"-timeout={options.input_seconds}", "-print_final_stats=1", f"-artifact_prefix={options.found}/", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *known, f"-seed={options.random_seed}", str(corpus)], one, custom_mutator=mutator)
    atheris.Fuzz()


def report(data: bytes, error: Exception, options: argparse.Namespace) -> None:
    """Keep the input, say where it broke, and end unless all breaks are wanted."""
    from sidecar.errors import place_of

    said = f"{type(error).__name__}: {error} ({place_of(error)})"
    file = options.found / f"{options.target}-{zlib.crc32(place_of(error).encode()):08x}"
    if not file.exists():
        file.write_bytes(data)
        print(f"found: {said}\n  kept as {file}", flush=True)
    if not options.keep_going:
        raise error


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    from tests.fuzz.targets import Targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=Targets.names)
    parser.add_argument("--count", type=int, default=100_000, help="inputs (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="end earlier after so many seconds (default: %(default)s)")
    parser.add_argument("--input-seconds", type=int, default=2, help="what one input may take (default: %(default)s)")
    parser.add_argument("--seeds", type=Path, help="a folder of recordings to begin with")
    parser.add_argument("--engine", choices=("atheris", "own"), default="atheris" if atheris else "own")
    parser.add_argument("--random-seed", type=int, default=1)
    parser.add_argument("--keep-going", action="store_true", help="keep one input of every break instead of ending")
    parser.add_argument(
        "--found",
        type=Path,
        default=Path("fuzz-found"),
        help="a folder for inputs that break something and for the corpus (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Run one target and say what it took."""
    if atheris and "own" not in sys.argv:
        with atheris.instrument_imports(include=INSTRUMENTED):
            importlib.import_module("tests.fuzz.targets")
    from tests.fuzz.targets import Targets

    options = options_of()
    options.found.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    targets = Targets()
    target, seeds = targets.target(options.target), targets.seeds(options.target, options.seeds)
    print(f"{options.target}: {len(seeds)} seeds, engine {options.engine}", flush=True)
    if options.engine == "atheris":
        run_atheris(target, seeds, options)
        return
    began = time.perf_counter()
    done = run_own(target, seeds, options)
    print(f"{options.target}: {done} inputs in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
