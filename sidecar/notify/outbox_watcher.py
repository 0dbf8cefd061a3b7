"""The outbox watcher: reads every outbox as it is written, ahead of the shipper, and offers its findings as alerts.

It has its own position in each directory, so that alerts leave within a second of the call whatever the store does. The
position on disk moves only after the queues accepted the alerts before it, and they keep them on disk: a crash at any point
repeats an offer (same ``alert_id``) and loses none. The shipper deletes nothing that the watcher has not read.
"""

import json
import logging
from pathlib import Path
from typing import Final

from sidecar.errors import StoreError
from sidecar.limits import BATCH_RECORDS_MAX
from sidecar.notify.alerts import Alerts
from sidecar.record.batch import parse
from sidecar.record.cursor import replace_file
from sidecar.record.outbox_reader import OutboxReader, Position, outboxes

log = logging.getLogger(__name__)

_POSITION_FILE: Final = "alerted"
_NOT_READ: Final = Position(0, 0)


class OutboxWatcher:
    """Reads the outboxes below ``folder``. One thread drives it by ``step``; ``read_to`` may be called from any."""

    def __init__(self, folder: Path, alerts: Alerts) -> None:
        self._folder = folder
        self._alerts = alerts
        self._positions: dict[Path, Position] = {}
        self._last_error = ""

    def read_to(self, directory: Path) -> Position:
        """How far a directory is read; a position before all others when it was not read yet."""
        return self._positions.get(directory, _NOT_READ)

    def step(self) -> bool:
        """Read what is new. True when there may be more at once."""
        did = False
        try:
            found = outboxes(self._folder)
            for gone in set(self._positions) - set(found):
                del self._positions[gone]
            for directory in found:
                did |= self._read(directory)
        except (OSError, StoreError) as error:
            if (text := f"alerts wait: {error}") != self._last_error:
                self._last_error = text
                log.error("%s", text)
            return False
        self._last_error = ""
        return did

    def _read(self, directory: Path) -> bool:
        position = self._positions.get(directory) or _load_position(directory)
        reader = OutboxReader(directory)
        count = alerted = 0
        for record in reader.records(position):
            alerted += self._offer(record.payload)
            position = Position(position.segment, record.end)
            if (count := count + 1) >= BATCH_RECORDS_MAX:
                break
        following = reader.after(position) if not count else None
        if following is not None:
            position = following
        if alerted or following is not None:
            replace_file(directory / _POSITION_FILE, [json.dumps([position.segment, position.offset]).encode()])
        self._positions[directory] = position
        return count > 0 or following is not None

    def _offer(self, payload: bytes) -> int:
        """Offer the findings of one record; how many of them became alerts."""
        if b"enforce" not in payload:
            return 0
        try:
            findings = parse(payload).get("rows", {}).get("findings", [])
            return self._alerts.offer(finding for finding in findings if isinstance(finding, dict))
        except (ValueError, TypeError, AttributeError):
            # The shipper sets aside what is not a record, and reports it.
            return 0


def _load_position(directory: Path) -> Position:
    try:
        segment, offset = json.loads((directory / _POSITION_FILE).read_bytes())
        return Position(int(segment), int(offset))
    except FileNotFoundError:
        return Position()
    except (ValueError, TypeError):
        return Position(min(OutboxReader(directory).segments(), default=1))
