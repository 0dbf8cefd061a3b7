"""The detectors, compiled once: for the tests themselves, and for the sidecars they start as if each had started before.

Compiling takes seconds, and it is tests/proxy/test_detector_cache.py that tests it.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from sidecar.detect import Engine
from sidecar.proxy.detector_cache import ready_engine

_KEPT = Path(__file__).parents[1] / ".pytest_cache" / "data"
"""What would be the data folder of a sidecar; it stays for the next run."""


def engine(registered: Sequence[str] = ()) -> Engine:
    """All detectors."""
    _KEPT.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ready_engine(_KEPT, registered)


def lend(data: Path) -> None:
    """Let a sidecar with this data folder find what it would have left there."""
    engine()
    data.mkdir(mode=0o700, exist_ok=True)
    shutil.copytree(_KEPT / "detectors", data / "detectors", dirs_exist_ok=True)
