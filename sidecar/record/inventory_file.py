"""The remembered definitions on disk: one file that the proxy writes, and one to which approvals are appended.

Both are in the data folder, readable by its user alone. Only the proxy writes ``tools.json``, whole or not at all; an
approval is a line appended to ``tools-approved.jsonl``, which the proxy applies within a second.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sidecar import limits
from sidecar.inventory import Inventory

_KNOWN = "tools.json"
_BROKEN = "tools.broken"
_APPROVED = "tools-approved.jsonl"


@dataclass(frozen=True, slots=True)
class Approval:
    """One definition that a person accepted. ``by`` is the operating system user, ``at`` is in Unix seconds."""

    server: str
    kind: str
    name: str
    digest: str
    by: str
    at: float


def read_inventory(data: Path) -> Inventory:
    """The inventory stored below ``data``; an empty one when none was ever written.

    Raises:
        ValueError: the file exists and cannot be used; the message says why.
    """
    file, inventory = data / _KNOWN, Inventory()
    try:
        with file.open("rb") as stream:
            raw = stream.read(limits.DEFINITIONS_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return inventory
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    if len(raw) > limits.DEFINITIONS_FILE_BYTES_MAX:
        raise ValueError(f"{file} cannot be used: it is too large")
    try:
        inventory.restore(json.loads(raw))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{file} cannot be used: it is not JSON") from None
    except ValueError as error:
        raise ValueError(f"{file} cannot be used: {error}") from None
    return inventory


def open_inventory(data: Path) -> tuple[Inventory, str]:
    """The same for the proxy, which owns the file: a broken one is moved aside and all definitions are recorded anew.

    Returns:
        the inventory, and the warning to log, empty when there is none.
    """
    try:
        return read_inventory(data), ""
    except ValueError as error:
        aside = data / _BROKEN
        try:
            (data / _KNOWN).replace(aside)
        except OSError as failure:
            return Inventory(), f"{error}; it cannot be moved aside either: {failure.strerror}"
        return Inventory(), f"{error}; it was renamed to {_BROKEN}, and all definitions are recorded anew"


def kept_text(inventory: Inventory) -> bytes:
    """The inventory as its file holds it. Names may hold half characters, which only escaped JSON can express."""
    return json.dumps(inventory.dump(), separators=(",", ":")).encode()


def write_kept(data: Path, text: bytes) -> None:
    """Write the file of definitions atomically, with mode 0600.

    Raises:
        OSError: the folder cannot be written; the file is unchanged.
    """
    draft = data / f".{_KNOWN}-{os.getpid()}"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        draft.replace(data / _KNOWN)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def append_approval(data: Path, approval: Approval) -> None:
    """Add one approval.

    Raises:
        OSError: the folder cannot be written.
    """
    line = json.dumps(asdict(approval)).encode() + b"\n"
    descriptor = os.open(data / _APPROVED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(line)


def approvals(data: Path, after: int) -> Iterator[tuple[int, Approval | None]]:
    """The approvals after the first ``after`` lines, each with its line number; ``None`` for a line that is not an approval.

    If the file has fewer lines than ``after``, it is a new file, and all of it is returned.
    """
    try:
        with (data / _APPROVED).open("rb") as stream:
            lines = list(islice(stream, limits.DEFINITION_APPROVALS_MAX))
    except OSError:
        return
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    for number in range(after if after <= len(lines) else 0, len(lines)):
        yield number + 1, _approval(lines[number])


def approvals_stamp(data: Path) -> tuple[int, int] | None:
    """A value that changes whenever an approval is added; ``None`` while there is no file."""
    try:
        found = (data / _APPROVED).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _approval(line: bytes) -> Approval | None:
    try:
        value: Any = json.loads(line)
        approval = Approval(**value)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (approval.server, approval.kind, approval.name, approval.digest, approval.by)
    is_sound = all(isinstance(each, str) for each in texts) and isinstance(approval.at, int | float)
    return approval if is_sound else None
