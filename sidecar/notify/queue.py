"""The queue before a sender: alerts kept on disk until delivered, sent by a thread of its own, and tried again.

Nothing waits for a slow receiver. An alert is a file in the queue's folder from the moment it is offered until it is delivered
or given up, so a restart sends again what was not delivered.
"""

import contextlib
import heapq
import itertools
import logging
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from sidecar import limits
from sidecar.notify.senders.base import Sender, SendResult, SendStatus
from sidecar.record.row_ids import timestamp

log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]
"""Writes a row of the table ``alerts``."""

_BACKOFF_S: Final = (1.0, 5.0, 25.0, limits.ALERT_RETRY_S_MAX)
_CLOSE_WITHIN_S: Final = 1.0
"""How long a stop waits for an attempt under way; the receiver may be dead, and the alert is on disk."""
_SHARED_FIELDS: Final = ("alert_id", "finding_id", "call_id", "node", "rule", "severity", "server", "tool")
"""What an alert and its row in ``alerts`` have in common."""


@dataclass(slots=True, order=True)
class _QueuedAlert:
    """An alert not delivered yet; ordered by when it is due."""

    due: float
    order: int
    alert: dict[str, Any] = field(compare=False)
    attempts: int = field(default=0, compare=False)


class AlertQueue:
    """Delivers alerts through one sender. ``folder`` keeps those not delivered yet; ``report`` gets a row at each one's end.

    ``name`` is the channel's name in the settings, as it stands in logs and rows. The queue closes the sender.
    """

    def __init__(self, name: str, sender: Sender, folder: Path, report: Report) -> None:
        self.name = name
        self._sender = sender
        self._folder = folder
        self._report = report
        self._queue: list[_QueuedAlert] = []
        self._known: set[str] = set()
        self._orders = itertools.count()
        self._changed = threading.Condition()
        self._is_closing = False
        self._overflow = 0
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name=f"alerts-{name}", daemon=True)

    def load(self) -> None:
        """Take over what an earlier process could not deliver; call it before ``start``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(self._folder.glob("*.json"), key=lambda each: each.stat().st_mtime_ns):
            if (alert := _read_alert(file)) is not None:
                self._enqueue(alert)
            else:
                log.warning("channel %s: %s holds no alert and is removed", self.name, file.name)
                file.unlink(missing_ok=True)

    def start(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def offer(self, alert: dict[str, Any]) -> None:
        """Accept an alert; returns at once. One that was offered before and is not delivered yet is not accepted twice."""
        if alert["alert_id"] in self._known:
            return
        if len(self._queue) >= limits.ALERT_QUEUE_MAX:
            self._drop(alert)
            return
        try:
            draft = self._folder / f".{alert['alert_id']}"
            draft.write_bytes(orjson.dumps(alert))
            draft.replace(self._file(alert))
        except OSError as error:
            log.error("an alert cannot be kept on disk (%s); it is lost if the collector ends now", error.strerror)
        self._enqueue(alert)

    @property
    def is_running(self) -> bool:
        """Whether the delivering thread is alive."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Begin no further attempt. What is left is delivered after the next start, and so may be one under way."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_WITHIN_S)
        self._sender.close()

    def _enqueue(self, alert: dict[str, Any]) -> None:
        with self._changed:
            self._known.add(alert["alert_id"])
            heapq.heappush(self._queue, _QueuedAlert(time.monotonic(), next(self._orders), alert))
            self._changed.notify_all()

    def _drop(self, alert: dict[str, Any]) -> None:
        self._overflow += 1
        if self._overflow == 1 or self._overflow % 1000 == 0:
            log.error("channel %s: %d alerts are waiting already, %d dropped", self.name, len(self._queue), self._overflow)
        self._report(self._row(alert, "dropped", 0, "too many alerts wait for this channel"))

    def _run(self) -> None:
        try:
            self._deliver()
        except Exception as error:
            # The message may quote the address, so only the kind and the place are logged.
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("channel %s: delivery ended by an unexpected %s:\n%s", self.name, type(error).__name__, place)

    def _deliver(self) -> None:
        while (queued := self._next()) is not None:
            result = self._sender.send(queued.alert)
            queued.attempts += 1
            self._log_change(result)
            if result.status is SendStatus.RETRY and queued.attempts < limits.ALERT_ATTEMPTS_MAX:
                queued.due = time.monotonic() + _pause_s(queued.attempts, result.retry_after_s)
                with self._changed:
                    heapq.heappush(self._queue, queued)
                continue
            self._finish(queued, result)

    def _next(self) -> _QueuedAlert | None:
        """The alert that is due, waiting for it; ``None`` when the queue closes."""
        with self._changed:
            while not self._is_closing:
                now = time.monotonic()
                if self._queue and self._queue[0].due <= now:
                    return heapq.heappop(self._queue)
                self._changed.wait(self._queue[0].due - now if self._queue else None)
        return None

    def _log_change(self, result: SendResult) -> None:
        """One line when a channel begins to fail and one when it works again, not one for each attempt."""
        is_failing = result.status is not SendStatus.DELIVERED
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            log.warning("channel %s: %s", self.name, result.reason if is_failing else "accepts alerts again")

    def _finish(self, queued: _QueuedAlert, result: SendResult) -> None:
        """Report an alert that was delivered or given up, and forget it."""
        is_sent = result.status is SendStatus.DELIVERED
        if not is_sent:
            log.error("channel %s: gave up an alert after %d attempts: %s", self.name, queued.attempts, result.reason)
        self._report(self._row(queued.alert, "sent" if is_sent else "failed", queued.attempts, result.reason))
        with self._changed:
            self._known.discard(queued.alert["alert_id"])
        with contextlib.suppress(OSError):
            self._file(queued.alert).unlink()

    def _row(self, alert: dict[str, Any], state: str, attempts: int, error: str) -> dict[str, Any]:
        shared = {name: alert[name] for name in _SHARED_FIELDS}
        return {
            "ts": timestamp(time.time()),
            **shared,
            "channel": self.name,
            "state": state,
            "attempts": attempts,
            "latency_ms": _milliseconds_since(alert["time"]),
            "error": error,
        }

    def _file(self, alert: dict[str, Any]) -> Path:
        return self._folder / f"{alert['alert_id']}.json"


def _read_alert(file: Path) -> dict[str, Any] | None:
    """The alert in a file, or ``None`` when the file does not hold one."""
    try:
        alert = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    is_alert = isinstance(alert, dict) and {*_SHARED_FIELDS, "time"} <= alert.keys()
    return alert if is_alert else None


def _pause_s(attempts: int, retry_after_s: float) -> float:
    """Seconds until the next attempt: our own backoff, or what the receiver asked for if that is longer, within our bound."""
    backoff = _BACKOFF_S[min(attempts, len(_BACKOFF_S)) - 1] * random.uniform(0.8, 1.2)
    return max(backoff, min(retry_after_s, limits.ALERT_RETRY_S_MAX))


def _milliseconds_since(time_text: str) -> int:
    try:
        seen = datetime.fromisoformat(time_text)
    except ValueError:
        return 0
    return max(0, min(int((datetime.now(UTC) - seen).total_seconds() * 1000), (1 << 32) - 1))
