"""The compiled detectors on disk: used when they are ours and whole, made anew in every other case."""

import stat
from functools import partial
from pathlib import Path

import pytest

from sidecar.detect import DETECTORS, Engine, walk
from sidecar.proxy import detector_cache
from sidecar.proxy.detector_cache import ready_engine
from tests.detect.generate import expand

SECRET = expand("ghp_${az:36}")


@pytest.fixture(autouse=True)
def few_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some detectors are compiled as all are, and sooner."""
    few = [each for each in DETECTORS if each.kind.startswith("secrets.git")]
    monkeypatch.setattr(detector_cache, "Engine", partial(Engine, few))


def only_file(data: Path) -> Path:
    (file,) = (data / "detectors").iterdir()
    return file


def test_the_second_start_compiles_nothing(tmp_path: Path) -> None:
    """A later start loads what the first one compiled, and finds the same."""
    first, second = ready_engine(tmp_path), ready_engine(tmp_path)
    assert (first.databases.is_compiled, second.databases.is_compiled) == (True, False)
    assert first.scan(walk(SECRET)) == second.scan(walk(SECRET))
    assert second.scan(walk(SECRET)).spans
    assert stat.S_IMODE(only_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "detectors").stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "readable", "folder", "link"])
def test_what_is_damaged_or_not_ours_alone_is_compiled_anew(tmp_path: Path, damage: str) -> None:
    """A damaged file, or one that others may have written, is never loaded; detection goes on all the same."""
    ready_engine(tmp_path)
    file = only_file(tmp_path)
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        file.write_bytes(content[:5000] + bytes((content[5000] ^ 1,)) + content[5001:])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "readable":
        file.chmod(0o660)
    elif damage == "folder":
        file.parent.chmod(0o770)
    else:
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    engine = ready_engine(tmp_path)
    assert engine.databases.is_compiled
    assert engine.scan(walk(SECRET)).spans
