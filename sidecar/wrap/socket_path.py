"""Where the judge socket of a proxy is: both sides derive it from the path of the settings file, without reading anything.

The folder belongs to this user alone (0700). Its locks are kernel locks of running processes, so none can be stale.
"""

import contextlib
import fcntl
import os
import stat

from sidecar import limits

try:
    # hashlib loads OpenSSL, which takes longer than everything else before a wrap process reads its first line.
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from hashlib import sha256

_NAME_BYTES_MAX = 24
"""Room for a slash, a key and ``.sock``."""

DEFAULT_FILE = "sidecar.yaml"
"""The settings file that counts in the folder where a command is run."""

DEFAULT_SETTINGS = """# The user-wide settings, used where no settings file is named or found; edit them as you like.
servers: []
data: .
"""


class Unsafe(OSError):
    """Others can write to the folder, so nothing in it can be trusted."""


def state_folder() -> str:
    """The folder of this user's state."""
    home = os.path.expanduser("~")
    return os.path.join(home, ".local", "state", "sidecar") if os.path.isabs(home) else f"/tmp/sidecar-{os.getuid()}"


def default_settings() -> str:
    """The user-wide settings file, used where none is named and none is found."""
    return os.path.join(state_folder(), "default.yaml")


def run_folder() -> str:
    """The folder of sockets and locks; elsewhere if the home folder's path is too long for a Unix socket address."""
    folder = os.path.join(state_folder(), "run")
    if len(os.fsencode(folder)) + _NAME_BYTES_MAX <= limits.SOCKET_PATH_BYTES_MAX:
        return folder
    return f"/tmp/sidecar-{os.getuid()}-{sha256(os.fsencode(folder)).hexdigest()[:8]}"


def open_run_folder() -> str:
    """The same folder, created if it is missing.

    Raises:
        OSError: it cannot be created, or does not belong to this user.
    """
    folder = run_folder()
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, mode=0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Unsafe(f"{folder} does not belong to this user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(folder, 0o700)
    return folder


def base_of(config: str) -> str:
    """The path, without suffix, of the socket, locks and log of one settings file; empty is the user-wide one."""
    real = os.path.realpath(config) if config else ""
    is_default = not real or real == os.path.realpath(default_settings())
    key = "default" if is_default else sha256(os.fsencode(real)).hexdigest()[:16]
    return os.path.join(run_folder(), key)


def socket_of(config: str) -> str:
    """The judge socket of the proxy with these settings."""
    return base_of(config) + ".sock"


def hold(path: str) -> int | None:
    """Take a lock; returns the descriptor that holds it until closed, or None while another process holds it.

    The holder may delete the file (``let_go``), so a lock is valid only if its file is still the one of that name.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def let_go(path: str, descriptor: int) -> None:
    """Release a lock and delete its file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.close(descriptor)


def holder(path: str) -> int:
    """The number of the process that holds a lock, -1 if it has not written it yet, or 0 if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(descriptor, 20, 0)
        return int(said) if said.isdigit() else -1
    finally:
        os.close(descriptor)
    return 0


def ensure_settings(config: str) -> str:
    """The absolute path of the settings file to start a sidecar with; the user-wide file is written if it is missing."""
    if config:
        return os.path.realpath(config)
    file = default_settings()
    os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return file
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(DEFAULT_SETTINGS)
    return file
