"""A short run of every fuzz target from a fixed seed; ``benchmarks/fuzz.py`` runs the same targets for as long as wanted."""

import random
import time
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.passes import Passes
from tests.fuzz.targets import Targets

INPUTS = {"json": 6000, "sse": 3000, "http1": 12_000, "patch": 3000, "request": 1500, "answer": 1200, "stream": 1000}
INPUT_S_MAX = 2.0


@pytest.fixture(scope="module")
def targets() -> Targets:
    """All targets; the sidecar behind some of them is made once."""
    return Targets()


@pytest.mark.parametrize("name", Targets.names)
def test_hostile_bytes_break_nothing(targets: Targets, name: str) -> None:
    """No input crashes, hangs, is read in two ways or carries a planted value past the judge or into the record."""
    target, seeds, rng = targets.target(name), targets.seeds(name), random.Random(name)
    for data in seeds:
        target(data)
    for _ in range(INPUTS[name]):
        data = mutated(rng.choice(seeds), rng, seeds)
        began = time.thread_time()
        try:
            target(data)
        except Exception as error:
            error.add_note(f"the input: {data!r}")
            raise
        assert time.thread_time() - began < INPUT_S_MAX, data


@pytest.mark.parametrize("name", Passes.modes)
def test_a_leak_would_be_seen(tmp_path: Path, name: str) -> None:
    """The fuzzers can fail: with a judge that only watches, the planted value passes, and every such target says so."""
    passes = Passes(tmp_path / "policies", cap="monitor")

    def all_seeds() -> None:
        for data in Targets.seeds(name):
            getattr(passes, name)(data)

    with pytest.raises(AssertionError, match="was passed on"):
        all_seeds()
