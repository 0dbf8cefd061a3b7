"""A channel: one webhook that is told of findings, in its own thread, so that nothing waits for a slow receiver.

An alert is a file in the channel's folder from the moment it is offered until it is delivered or given up, so a restart
resends what is unsent. Its id travels as ``Idempotency-Key``: a receiver can tell a repeated delivery from a new alert.
"""

import contextlib
import heapq
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import urllib3

from sidecar import limits
from sidecar.record.rows import timestamp

log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]
"""Writes a row of the table ``alerts``."""

_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_BACKOFF_S: Final = (1.0, 5.0, 25.0, limits.ALERT_RETRY_S_MAX)
_CLOSE_WITHIN_S: Final = 1.0
"""How long a stop waits for an attempt under way; the receiver may be dead, and the alert is on disk."""
_ANSWER_BYTES_MAX: Final = 64 * limits.KIB
_SAME_FIELDS: Final = ("alert_id", "finding_id", "call_id", "node", "rule", "severity", "server", "tool")
"""What an alert and its row in ``alerts`` have in common."""


@dataclass(slots=True, order=True)
class _Waiting:
    """An alert on its way; ordered by when it is due."""

    due: float
    order: int
    alert: dict[str, Any] = field(compare=False)
    attempts: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class _DeliveryOutcome:
    """What became of one attempt: ``error`` is empty when the receiver took it."""

    error: str
    is_final: bool
    retry_after_s: float = 0.0


class Channel:
    """Posts alerts to one webhook. ``folder`` keeps those not delivered yet; ``report`` is told each one's end.

    The address may hold a secret: it never leaves this object, neither in a log nor in an error.
    """

    def __init__(self, name: str, url: str, folder: Path, report: Report) -> None:
        self.name = name
        self._url = url
        self._folder = folder
        self._report = report
        self._queue: list[_Waiting] = []
        self._known: set[str] = set()
        self._orders = itertools.count()
        self._changed = threading.Condition()
        self._is_closing = False
        self._overflow = 0
        self._is_failing = False
        # At DEBUG it would write the path of every request, which for many receivers is the secret.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, timeout=limits.ALERT_TIMEOUT_S)
        self._thread = threading.Thread(target=self._deliver, name=f"alerts-{name}", daemon=True)

    def load(self) -> None:
        """Take up what an earlier process could not deliver; before ``start``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(self._folder.glob("*.json"), key=lambda each: each.stat().st_mtime_ns):
            if (alert := _kept(file)) is not None:
                self._enqueue(alert)
            else:
                log.warning("channel %s: %s holds no alert and is removed", self.name, file.name)
                file.unlink(missing_ok=True)

    def start(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def offer(self, alert: dict[str, Any]) -> None:
        """Take an alert over; returns at once. One that was offered before and is on its way is not taken twice."""
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
        """Whether the delivering thread lives."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Begin no further attempt. What is left is delivered after the next start, and so may be one under way."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_WITHIN_S)
        self._pool.clear()

    def _enqueue(self, alert: dict[str, Any]) -> None:
        with self._changed:
            self._known.add(alert["alert_id"])
            heapq.heappush(self._queue, _Waiting(time.monotonic(), next(self._orders), alert))
            self._changed.notify_all()

    def _drop(self, alert: dict[str, Any]) -> None:
        self._overflow += 1
        if self._overflow == 1 or self._overflow % 1000 == 0:
            log.error("channel %s: %d alerts wait already, %d dropped", self.name, len(self._queue), self._overflow)
        self._report(self._row(alert, "dropped", 0, "too many alerts wait for this channel"))

    def _deliver(self) -> None:
        while (waiting := self._next()) is not None:
            outcome = self._attempt(waiting.alert)
            waiting.attempts += 1
            if bool(outcome.error) != self._is_failing:
                self._is_failing = bool(outcome.error)
                log.warning("channel %s: %s", self.name, outcome.error or "takes alerts again")
            if outcome.error and not outcome.is_final and waiting.attempts < limits.ALERT_ATTEMPTS_MAX:
                pause = _BACKOFF_S[min(waiting.attempts, len(_BACKOFF_S)) - 1] * random.uniform(0.8, 1.2)
                waiting.due = time.monotonic() + max(pause, outcome.retry_after_s)
                with self._changed:
                    heapq.heappush(self._queue, waiting)
                continue
            state = "failed" if outcome.error else "sent"
            if outcome.error:
                log.error("channel %s: an alert is given up after %d attempts: %s", self.name, waiting.attempts, outcome.error)
            self._report(self._row(waiting.alert, state, waiting.attempts, outcome.error))
            with self._changed:
                self._known.discard(waiting.alert["alert_id"])
            with contextlib.suppress(OSError):
                self._file(waiting.alert).unlink()

    def _next(self) -> _Waiting | None:
        """The alert that is due, waiting for it; ``None`` when the channel closes."""
        with self._changed:
            while not self._is_closing:
                now = time.monotonic()
                if self._queue and self._queue[0].due <= now:
                    return heapq.heappop(self._queue)
                self._changed.wait(self._queue[0].due - now if self._queue else None)
        return None

    def _attempt(self, alert: dict[str, Any]) -> _DeliveryOutcome:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "mcp-sidecar",
            "Idempotency-Key": alert["alert_id"],
        }
        try:
            response = self._pool.request(
                "POST", self._url, body=orjson.dumps(alert), headers=headers, redirect=False, preload_content=False
            )
            if len(response.read(_ANSWER_BYTES_MAX, decode_content=False)) < _ANSWER_BYTES_MAX:
                response.release_conn()
            else:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return _DeliveryOutcome(_reason(error), is_final=isinstance(error, urllib3.exceptions.LocationValueError))
        if 200 <= response.status < 300:
            return _DeliveryOutcome("", is_final=True)
        is_final = response.status not in _RETRIED and response.status < 500
        return _DeliveryOutcome(f"HTTP status {response.status}", is_final, _retry_after_s(response.headers.get("Retry-After")))

    def _row(self, alert: dict[str, Any], state: str, attempts: int, error: str) -> dict[str, Any]:
        same = {name: alert[name] for name in _SAME_FIELDS}
        return {
            "ts": timestamp(time.time()),
            **same,
            "channel": self.name,
            "state": state,
            "attempts": attempts,
            "latency_ms": _milliseconds_since(alert["time"]),
            "error": error,
        }

    def _file(self, alert: dict[str, Any]) -> Path:
        return self._folder / f"{alert['alert_id']}.json"


def _kept(file: Path) -> dict[str, Any] | None:
    """The alert a file keeps, when it keeps one."""
    try:
        alert = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    is_alert = isinstance(alert, dict) and {*_SAME_FIELDS, "time"} <= alert.keys()
    return alert if is_alert else None


def _reason(error: Exception) -> str:
    """Why a receiver was not reached, without its address."""
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the host name is not known"
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(error, urllib3.exceptions.NewConnectionError):
        return "timed out"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "TLS fails"
    if isinstance(error, urllib3.exceptions.LocationValueError | ValueError):
        return "the address is not an http(s) address"
    return f"cannot be reached ({type(error).__name__})"


def _retry_after_s(header: str | None) -> float:
    """What the receiver asks us to wait (RFC 9110 §10.2.3), within our own bound."""
    if header is None:
        return 0.0
    try:
        asked = urllib3.util.Retry().parse_retry_after(header)
    except urllib3.exceptions.InvalidHeader:
        return 0.0
    return min(max(float(asked), 0.0), limits.ALERT_RETRY_S_MAX)


def _milliseconds_since(time_text: str) -> int:
    try:
        seen = datetime.fromisoformat(time_text)
    except ValueError:
        return 0
    return max(0, min(int((datetime.now(UTC) - seen).total_seconds() * 1000), (1 << 32) - 1))
