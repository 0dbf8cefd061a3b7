"""The detectors' compiled database kept on disk, so that a start takes milliseconds instead of seconds.

A database is loaded into memory as it is and followed blindly, so a hostile one is as bad as hostile code: only a file that
this user alone can write, in a folder of the same kind, under the data folder, is ever read.
"""

import hashlib
import hmac
import os
import platform
import stat
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from sidecar.detect import DETECTORS, Engine, version

_FOLDER: Final = "detectors"
_DIGEST_BYTES: Final = 32
_FILE_BYTES_MAX: Final = 256 * 1024 * 1024


def ready_engine(data: Path, registered: Sequence[str] = ()) -> Engine:
    """An engine with all detectors, from the compiled database under ``data`` where there is one that fits.

    Where not (another version of detectors, library or processor; damaged; not ours alone), it is compiled and written anew.
    A folder that cannot be written only costs the time again. ``registered`` are secrets to find as they are: they are
    compiled each time, because their text is never kept.
    """
    folder = data / _FOLDER
    file = folder / f"{_key()}.hs"
    engine = Engine(registered=registered, compiled=_read(folder, file))
    if engine.databases.is_compiled:
        with suppress(OSError):
            _write(folder, file, engine.databases.dump())
    return engine


def _key() -> str:
    """What a compiled database depends on: the patterns, the library, the kind of machine and its processor's abilities."""
    abilities = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        abilities = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    said = "\0".join(
        (
            version(DETECTORS),
            metadata.version("hyperscan"),
            platform.system(),
            platform.machine(),
            platform.processor(),
            abilities,
        )
    )
    return hashlib.sha256(said.encode()).hexdigest()


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _read(folder: Path, file: Path) -> bytes | None:
    """The database in ``file``; nothing where it is missing, damaged, or others could have written it."""
    try:
        if not _is_ours(folder.lstat()) or folder.is_symlink():
            return None
        number = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(number, "rb") as opened:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or not _is_ours(found) or found.st_size > _FILE_BYTES_MAX:
            return None
        content = opened.read()
    digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return body if body and hmac.compare_digest(digest, hashlib.sha256(body).digest()) else None


def _write(folder: Path, file: Path, body: bytes) -> None:
    """Write the database whole or not at all, and remove those of other versions."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or not _is_ours(folder.lstat()):
        return
    made = folder / f".{file.name}.{os.getpid()}"
    number = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(number, "wb") as opened:
            opened.write(hashlib.sha256(body).digest() + body)
            opened.flush()
            os.fsync(number)
        made.replace(file)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    for other in folder.glob("*.hs"):
        if other != file:
            other.unlink(missing_ok=True)
