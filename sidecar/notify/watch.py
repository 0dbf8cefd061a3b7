"""The watch: reads every outbox as it is written, ahead of the shipper, and offers its findings as alerts.

It has its own place in each directory, so that alerts leave within a second of the call whatever the store does. The
place moves, on disk, only after the alerts before it were taken over by their channels, which keep them on disk: a
crash at any point repeats an offer (same ``alert_id``) and loses none. The shipper deletes nothing that the watch has
not read.
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

_PLACE_FILE: Final = "alerted"
_NOWHERE: Final = Position(0, 0)


class Watch:
    """Reads the outboxes below ``folder``. One thread drives it by ``step``; ``read_to`` may be asked from any."""

    def __init__(self, folder: Path, alerts: Alerts) -> None:
        self._folder = folder
        self._alerts = alerts
        self._places: dict[Path, Position] = {}
        self._trouble = ""

    def read_to(self, directory: Path) -> Position:
        """How far a directory is read; before everything when it was not looked at yet."""
        return self._places.get(directory, _NOWHERE)

    def step(self) -> bool:
        """Read what is new. True when there may be more at once."""
        did = False
        try:
            found = outboxes(self._folder)
            for gone in set(self._places) - set(found):
                del self._places[gone]
            for directory in found:
                did |= self._read(directory)
        except (OSError, StoreError) as error:
            if (text := f"alerts wait: {error}") != self._trouble:
                self._trouble = text
                log.error("%s", text)
            return False
        self._trouble = ""
        return did

    def _read(self, directory: Path) -> bool:
        place = self._places.get(directory) or _load(directory)
        tail = OutboxReader(directory)
        count = alerted = 0
        for record in tail.records(place):
            alerted += self._offered(record.payload)
            place = Position(place.segment, record.end)
            if (count := count + 1) >= BATCH_RECORDS_MAX:
                break
        following = tail.after(place) if not count else None
        if following is not None:
            place = following
        if alerted or following is not None:
            replace_file(directory / _PLACE_FILE, [json.dumps([place.segment, place.offset]).encode()])
        self._places[directory] = place
        return count > 0 or following is not None

    def _offered(self, payload: bytes) -> int:
        if b"enforce" not in payload:
            return 0
        try:
            findings = parse(payload).get("rows", {}).get("findings", [])
            return self._alerts.offer(finding for finding in findings if isinstance(finding, dict))
        except (ValueError, TypeError, AttributeError):
            # The shipper puts what is no record of ours aside, and says so.
            return 0


def _load(directory: Path) -> Position:
    try:
        segment, offset = json.loads((directory / _PLACE_FILE).read_bytes())
        return Position(int(segment), int(offset))
    except FileNotFoundError:
        return Position()
    except (ValueError, TypeError):
        return Position(min(OutboxReader(directory).segments(), default=1))
