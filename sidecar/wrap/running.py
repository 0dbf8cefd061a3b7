"""Which sidecars run for this user, found by the locks in the run folder: their settings files and process numbers."""

import contextlib
import os
from collections.abc import Iterator

from sidecar.wrap.socket_path import base_of, hold, holder, let_go, open_run_folder, run_folder

_LOCK = ".up"
_SETTINGS = ".settings"


class AlreadyRunningError(Exception):
    """Another process runs a sidecar with these settings; ``process`` is its number."""

    def __init__(self, process: int) -> None:
        self.process = process
        super().__init__(f"process {process} runs a sidecar with these settings")


@contextlib.contextmanager
def sole_run(config: str) -> Iterator[None]:
    """Be the one sidecar of a settings file, and let other commands find that file meanwhile.

    Raises:
        AlreadyRunningError: another process is that already.
        OSError: the run folder cannot be used.
    """
    open_run_folder()
    lock_file, settings_file = base_of(config) + _LOCK, base_of(config) + _SETTINGS
    lock = hold(lock_file)
    if lock is None:
        raise AlreadyRunningError(holder(lock_file))
    try:
        _write(settings_file, os.path.realpath(config))
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings_file)
        let_go(lock_file, lock)


def process_of(config: str) -> int:
    """The process that runs the sidecar of a settings file, or 0."""
    return holder(base_of(config) + _LOCK)


def running() -> list[tuple[str, int]]:
    """Settings file and process number of every sidecar that runs, by file.

    A killed one leaves its files behind, but not its lock, so it is not listed.
    """
    found = []
    for base in _bases():
        if process := holder(base + _LOCK):
            with (
                contextlib.suppress(OSError),
                open(base + _SETTINGS, encoding="utf-8", errors="surrogateescape") as file,
            ):
                found.append((file.read(), process))
    return sorted(found)


def _bases() -> list[str]:
    folder = run_folder()
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [os.path.join(folder, name.removesuffix(_SETTINGS)) for name in names if name.endswith(_SETTINGS)]


def _write(path: str, text: str) -> None:
    """Whole or not at all: another command may read it at any moment."""
    draft = f"{path}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
    os.replace(draft, path)
