"""Start one sidecar in the background, however many wrap processes need it at the same moment."""

import os
import sys

from sidecar.wrap.socket_path import base_of, ensure_settings, hold, holder, let_go, open_run_folder

_KEPT = frozenset(("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "XDG_RUNTIME_DIR"))
_KEPT_BEGINNINGS = ("LC_", "SIDECAR_", "SSL_CERT_")


class Starter:
    """One attempt. ``step`` is called until the judge socket answers; ``close`` when the attempt is over."""

    def __init__(self, config: str) -> None:
        self._config = config
        self._base = base_of(config)
        self._lock: int | None = None
        self._process = 0

    def step(self) -> str:
        """Start a sidecar if nobody else did; returns why that failed, or an empty text while it may still come up."""
        try:
            if self._process:
                return self._exited()
            if self._lock is None:
                open_run_folder()
                self._lock = hold(self._base + ".start")
            if self._lock is not None and not self._is_coming():
                self._process = self._spawn()
        except OSError as error:
            return f"no sidecar runs, and none can be started ({error.strerror or error})"
        return ""

    def close(self) -> None:
        """Release the lock, so that others can try."""
        if self._lock is not None:
            let_go(self._base + ".start", self._lock)
            self._lock = None

    def _is_coming(self) -> bool:
        """Whether a sidecar that somebody started is starting or stopping."""
        return bool(holder(self._base + ".up") or holder(self._base + ".lock"))

    def _exited(self) -> str:
        try:
            ended, _ = os.waitpid(self._process, os.WNOHANG)
        except ChildProcessError:
            ended = self._process
        if not ended or self._is_coming():
            return ""
        return f"no sidecar runs, and the one that was started ended at once; the reason is in {self._base}.log"

    def _spawn(self) -> int:
        settings = ensure_settings(self._config)
        command = [sys.executable, "-m", "sidecar", "up", "--background", "-c", settings]
        log = os.open(self._base + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ]
            # In its own session, so that it outlives this client and its terminal.
            return os.posix_spawn(sys.executable, command, _environment(), file_actions=actions, setsid=True)
        finally:
            os.close(log)


def _environment() -> dict[str, str]:
    """The environment of a process for all clients: without what this client set for its one server, secrets mostly."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)}
    # The client's folder may hold a package called 'sidecar' too; take the one this process runs from.
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {**kept, "PYTHONPATH": package, "PYTHONSAFEPATH": "1"}
