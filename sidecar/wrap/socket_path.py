"""Where the gate of a proxy is, as both sides find it: from the path of the settings file alone, with nothing to read.

The folder is this user's own (0700). Locks in it are held by living processes only, so that nothing stale can be believed.
"""

import contextlib
import fcntl
import os
import stat

from sidecar import limits

try:
    # hashlib loads OpenSSL first, which takes longer than all else that a wrap process does before its first line.
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from hashlib import sha256

_NAME_BYTES_MAX = 24
"""A slash, a key and ``.sock``."""

DEFAULT_FILE = "sidecar.yaml"
"""The settings file that counts in the folder where a command is run."""

DEFAULT_SETTINGS = """# The settings of `sidecar wrap` without a settings file; edit them as you like.
servers: []
data: .
"""


class Unsafe(OSError):
    """The folder is not this user's alone, so nothing in it can be trusted."""


def state_folder() -> str:
    """The folder of what is kept for this user."""
    home = os.path.expanduser("~")
    return os.path.join(home, ".local", "state", "sidecar") if os.path.isabs(home) else f"/tmp/sidecar-{os.getuid()}"


def default_settings() -> str:
    """The settings file that counts where none is named and none is found."""
    return os.path.join(state_folder(), "default.yaml")


def run_folder() -> str:
    """The folder of sockets and locks. A home with a long path would make addresses the kernel does not take."""
    folder = os.path.join(state_folder(), "run")
    if len(os.fsencode(folder)) + _NAME_BYTES_MAX <= limits.SOCKET_PATH_BYTES_MAX:
        return folder
    return f"/tmp/sidecar-{os.getuid()}-{sha256(os.fsencode(folder)).hexdigest()[:8]}"


def open_run_folder() -> str:
    """The same, made where it is missing.

    Raises:
        OSError: it cannot be made, or others may write to it.
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
    """The path, without its ending, of everything that belongs to one settings file; empty is the default one."""
    real = os.path.realpath(config) if config else ""
    is_default = not real or real == os.path.realpath(default_settings())
    key = "default" if is_default else sha256(os.fsencode(real)).hexdigest()[:16]
    return os.path.join(run_folder(), key)


def socket_of(config: str) -> str:
    """Where the proxy with these settings listens for wrap processes."""
    return base_of(config) + ".sock"


def hold(path: str) -> int | None:
    """Take a lock; the descriptor that holds it until it is closed, or None while another process has it.

    The holder may remove the file (``let_go``), so a lock counts only while its file is the one of that name.
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
    """Give a lock back, and its file away."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.close(descriptor)


def holder(path: str) -> int:
    """The process that holds a lock, or 0."""
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
    """The settings file of a sidecar that is to be started, absolute; the default one is written if it is missing."""
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
