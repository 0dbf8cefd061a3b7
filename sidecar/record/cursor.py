"""How far an outbox directory is shipped, stored on disk: after any crash the same inserts follow, with the same tokens."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sidecar.record.outbox_reader import Position

CURSOR_FILE: Final = "cursor"
PENDING_FILE: Final = "pending"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything before ``segment``/``offset`` is in the store.

    ``end`` is set while a batch is being sent: exactly ``offset`` to ``end`` is sent until it is stored, whatever was
    written after it since. ``number`` is the number the next record must have; ``split`` holds the tokens of inserts in
    which a row was refused, so that those are sent in parts and never whole again.
    """

    segment: int = 1
    offset: int = 0
    end: int | None = None
    number: int = 1
    split: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        """Where the next batch begins."""
        return Position(self.segment, self.offset)


def load_cursor(directory: Path) -> Cursor:
    """The cursor of an outbox directory; at its start when nothing was shipped yet.

    Raises:
        ValueError: the file exists and is not a cursor.
    """
    try:
        value = json.loads((directory / CURSOR_FILE).read_bytes())
        return Cursor(**{**value, "split": tuple(value["split"])})
    except FileNotFoundError:
        return Cursor()
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a cursor: {error}") from None


def save_cursor(directory: Path, cursor: Cursor) -> None:
    """Write the cursor atomically: a reader finds the old or the new one."""
    replace_file(directory / CURSOR_FILE, [json.dumps(asdict(cursor)).encode()])


def load_pending(directory: Path) -> list[bytes]:
    """The rows of calls that began in deleted segments and are still open."""
    try:
        return (directory / PENDING_FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []


def replace_file(file: Path, lines: Iterable[bytes]) -> None:
    """Replace a file atomically, with mode 0600; the new one is on disk before it replaces the old one."""
    draft = file.with_name(f".{file.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.writelines(line + b"\n" for line in lines)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
