"""``sidecar collect``: ships the outboxes into the store, serves reads of an embedded one, and sends the alerts."""

import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any, Final

from sidecar import limits
from sidecar.errors import SettingsError, StoreError
from sidecar.logs import get_logger
from sidecar.notify.alerts import Alerts, Route
from sidecar.notify.outbox_watcher import OutboxWatcher
from sidecar.notify.queue import AlertQueue
from sidecar.notify.senders import make_sender
from sidecar.notify.senders.base import Sender
from sidecar.record.outbox import Outbox
from sidecar.record.rows import health_row, rows_record
from sidecar.record.serve import ReadServer
from sidecar.record.shipper import Shipper
from sidecar.record.store import Store, open_store, sole_collector
from sidecar.settings import Settings, open_data, reader_token

log = get_logger("sidecar.collect")

_PROCESS: Final = "collector"
_DRAIN_S: Final = 15.0
"""How long a stopping collector continues to ship what is there; the rest is shipped after the next start."""


def run(settings: Settings, *, stop: threading.Event) -> int:
    """Run the collector until ``stop`` is set; returns the exit code.

    A store that cannot be reached at the start ends it, because a wrong address looks the same; one that becomes
    unreachable later does not. Nothing is lost either way: records wait in the outbox.

    Raises:
        SettingsError: the reader's port is taken, a secret is missing, or the data folder cannot be used.
        StoreError: the store cannot be opened or reached, or another collector uses the data folder.
    """
    data = open_data(settings)
    names = [alert.name for alert in settings.alerts]
    if twice := {name for name in names if names.count(name) > 1}:
        text = f"{settings.file}: error[alerts]: two alerts are called {sorted(twice)[0]!r}"
        raise SettingsError(f"{text}; give each a 'name:' of its own")
    senders = [make_sender(alert) for alert in settings.alerts]
    server = _bound(settings, data) if settings.store_address.kind == "chdb" else None
    try:
        store = open_store(settings)
        try:
            if server is not None:
                server.start(store.handle, store.database)
            _Collector(settings, data, store, senders).run(stop)
        finally:
            # Queries and their handles must end before the engine does; the other way round the process crashes.
            if server is not None:
                server.close()
            store.close()
    finally:
        if server is not None:
            server.close()
    return 0


def _bound(settings: Settings, data: Path) -> ReadServer:
    try:
        return ReadServer(settings.reader, reader_token(data))
    except SettingsError as error:
        # Most often the port is taken by this installation's own collector: then say that instead.
        os.close(sole_collector(data))
        raise SettingsError(f"{settings.file}: {error}") from None


class _Collector:
    """What runs between start and stop: the shipper in this thread, the outbox watcher and the alert queues in their own."""

    def __init__(self, settings: Settings, data: Path, store: Store, senders: list[Sender]) -> None:
        self._node = settings.node
        folder = data / "outbox"
        self._outbox = Outbox(folder, f"collect-{secrets.token_hex(8)}", segment_bytes=limits.OUTBOX_OWN_SEGMENT_BYTES)
        self._queues = [
            AlertQueue(alert.name, sender, data / "alerts" / alert.name, self._report)
            for alert, sender in zip(settings.alerts, senders, strict=True)
        ]
        routes = [Route(queue, alert.severity) for queue, alert in zip(self._queues, settings.alerts, strict=True)]
        self._watcher = OutboxWatcher(folder, Alerts(routes, settings.link_base))
        self._ending = threading.Event()
        self._watcher_thread = threading.Thread(target=self._run_watcher, name="outbox-watcher", daemon=True)
        self._shipper = Shipper(store, folder, data / "dead-letter", self._note, self._watcher.read_to)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``, then end in order: watcher, queues, a last shipment."""
        for queue in self._queues:
            queue.load()
        # What a killed collector accepted last may be offered again: do it now, before any of it is delivered.
        self._watcher.step()
        for queue in self._queues:
            queue.start()
        self._watcher_thread.start()
        try:
            self._note("collector_started", 1, "")
            log.info("collecting")
            while not stop.is_set():
                if not self._shipper.step(time.monotonic()):
                    stop.wait(limits.COLLECT_POLL_S)
                self._check_threads()
        finally:
            self._ending.set()
            self._watcher_thread.join()
            for queue in self._queues:
                queue.close()
        until = time.monotonic() + _DRAIN_S
        self._watcher.step()
        self._shipper.drain(time.monotonic, until)
        # Last, because shipping may write health rows of its own.
        self._note("collector_stopped", 1, "")
        self._outbox.close()
        self._watcher.step()
        if not self._shipper.drain(time.monotonic, until):
            log.warning("stopped before everything was shipped; the rest is shipped after the next start")

    def _run_watcher(self) -> None:
        try:
            while not self._ending.is_set():
                if not self._watcher.step():
                    self._ending.wait(limits.COLLECT_POLL_S)
        except Exception:
            log.exception("the outbox watcher ended unexpectedly")

    def _check_threads(self) -> None:
        """Report a thread that died, and end rather than continue without alerts: a supervisor starts the collector again.

        The health row waits in the outbox and is shipped after that start.
        """
        dead = [f"channel {queue.name}" for queue in self._queues if not queue.is_running]
        if not self._watcher_thread.is_alive():
            dead.append("outbox watcher")
        if dead:
            names = ", ".join(dead)
            self._note("thread_died", len(dead), names)
            raise RuntimeError(f"a thread that sends alerts ended unexpectedly ({names}); its error is above")

    def _note(self, metric: str, value: float, detail: str) -> None:
        self._put(health=[health_row(self._node, _PROCESS, metric, value, detail)])

    def _report(self, row: dict[str, Any]) -> None:
        self._put(alerts=[row])

    def _put(self, **rows: list[dict[str, Any]]) -> None:
        try:
            self._outbox.put(rows_record(**rows))
        except StoreError as error:
            # The collector frees room by going on, so this must not stop it.
            log.error("row not recorded", tables=", ".join(rows), error=str(error))
