"""Other programs' files, read and replaced as a whole, and the backups that restore them (0600, in a folder of our own)."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sidecar.errors import Problem, SidecarError
from sidecar.limits import CLIENT_FILE_BYTES_MAX


class LeftAlone(SidecarError):
    """A file that is left unchanged, and why; other files are still done."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def read(file: Path) -> str:
    """A configuration's text, with its own line ends.

    Raises:
        LeftAlone: it cannot be read or written, is not text, or is far too large for a configuration.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise LeftAlone(Problem(str(file), 0, 0, "not-a-file", "it is not a regular file, so it was left unchanged"))
        if file.stat().st_size > CLIENT_FILE_BYTES_MAX:
            mib = CLIENT_FILE_BYTES_MAX // 2**20
            raise LeftAlone(
                Problem(str(file), 0, 0, "too-large", f"larger than {mib} MiB, which no configuration is; left unchanged")
            )
        text = file.read_bytes().decode("utf-8")
        if not os.access(file, os.W_OK):
            raise LeftAlone(Problem(str(file), 0, 0, "read-only", "it is read-only; change its mode, or edit it by hand"))
        return text
    except OSError as error:
        why = f"cannot be read: {error.strerror}; make it readable and run this again"
        raise LeftAlone(Problem(str(file), 0, 0, "unreadable", why)) from None
    except UnicodeDecodeError:
        raise LeftAlone(Problem(str(file), 0, 0, "unreadable", "it is not UTF-8 text; save it as UTF-8")) from None


def replace(file: Path, before: str | None, after: str | None) -> None:
    """Replace ``before`` by ``after`` atomically, keeping the mode and following links; None is a file that does not exist.

    Raises:
        LeftAlone: the file no longer holds ``before``, or it cannot be written.
    """
    file = file.resolve()
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        if after is None:
            _same(file, before)
            file.unlink()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(after.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        old = file.stat() if before is not None else None
        if old is not None:
            with contextlib.suppress(PermissionError):
                os.chown(draft, old.st_uid, old.st_gid)
            draft.chmod(stat.S_IMODE(old.st_mode))
        _same(file, before)
        os.replace(draft, file)
    except OSError as error:
        why = f"cannot be written: {error.strerror}; nothing in it was changed"
        raise LeftAlone(Problem(str(file), 0, 0, "unwritable", why)) from None
    finally:
        draft.unlink(missing_ok=True)


def _same(file: Path, before: str | None) -> None:
    try:
        now: bytes | None = file.read_bytes()
    except FileNotFoundError:
        now = None
    if now != (before.encode("utf-8") if before is not None else None):
        why = "another program wrote it just now, so it was left unchanged; close the client and run this again"
        raise LeftAlone(Problem(str(file), 0, 0, "changed", why))


def digest(text: str) -> str:
    """The SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(slots=True)
class Backup:
    """The backup of one file that we changed: its text without the sidecar, and the hash of what we wrote.

    ``client`` is a client's key, or "" for a settings file, whose ``listeners`` (name, listen, upstream) we added.
    ``uses`` are the addresses of listeners in a client's file, each with the address it replaced ("" where it replaced none).
    ``original`` is None if there was no file.
    """

    file: str
    client: str
    written: str
    original: str | None
    uses: dict[str, str] = field(default_factory=dict)
    listeners: list[dict[str, str]] = field(default_factory=list)


def state(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of backups. It does not depend on ``data:``, so that an undo finds it without the settings file."""
    given = environ.get("XDG_STATE_HOME", "")
    home = Path(environ.get("HOME") or Path.home())
    return (Path(given) if given.startswith("/") else home / ".local/state") / "sidecar/install"


class BackupFolder:
    """The folder of backups, one file for each file that we changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Iterator[Backup]:
        """All backups; a file of another form is skipped."""
        for file in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                yield Backup(**json.loads(file.read_text("utf-8")))

    def get(self, file: Path) -> Backup | None:
        """The backup of one file, if there is one."""
        try:
            value: dict[str, Any] = json.loads(self._name(file).read_text("utf-8"))
            return Backup(**value)
        except (OSError, ValueError, TypeError):
            return None

    def put(self, kept: Backup) -> None:
        """Write a backup, durably, before the file itself is replaced.

        Raises:
            LeftAlone: it cannot be written; then nothing may be changed.
        """
        file = self._name(Path(kept.file))
        draft = file.with_suffix(f".{secrets.token_hex(4)}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
                json.dump(asdict(kept), stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, file)
        except OSError as error:
            why = f"no backup can be kept there: {error.strerror}; make the folder writable"
            raise LeftAlone(Problem(str(self._folder), 0, 0, "no-backup", why)) from None

    def drop(self, file: Path) -> None:
        """Delete the backup of one file."""
        self._name(file).unlink(missing_ok=True)

    def _name(self, file: Path) -> Path:
        return self._folder / f"{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:24]}.json"
