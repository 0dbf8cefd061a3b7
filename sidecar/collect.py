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
from sidecar.notify.channels import Channel
from sidecar.notify.watch import Watch
from sidecar.record.outbox import Outbox
from sidecar.record.rows import health_row, rows_record
from sidecar.record.serve import ReadServer
from sidecar.record.shipper import Shipper
from sidecar.record.store import Store, open_store, sole_collector
from sidecar.settings import Settings, open_data, reader_token, resolve_secret

log = get_logger("sidecar.collect")

_PROCESS: Final = "collector"
_DRAIN_S: Final = 15.0
"""How long a stopping collector goes on shipping what is there; the rest is shipped after the next start."""


def run(settings: Settings, *, stop: threading.Event) -> int:
    """Run the collector until ``stop`` is set; returns the exit code.

    A store that cannot be reached at the start ends it, because a wrong address looks the same; one that goes away
    later does not. Nothing is lost either way: records wait in the outbox.

    Raises:
        SettingsError: the reader's port is taken, a secret is missing, or the data folder cannot be used.
        StoreError: the store cannot be opened or reached, or another collector works on the data folder.
    """
    data = open_data(settings)
    names = [alert.name for alert in settings.alerts]
    if twice := {name for name in names if names.count(name) > 1}:
        text = f"{settings.file}: error[alerts]: two alerts are called {sorted(twice)[0]!r}"
        raise SettingsError(f"{text}; give each a 'name:' of its own")
    urls = [resolve_secret(alert.webhook) for alert in settings.alerts]
    server = _bound(settings, data) if settings.store_address.kind == "chdb" else None
    try:
        store = open_store(settings)
        try:
            if server is not None:
                server.start(store.handle, store.database)
            _Collector(settings, data, store, urls).run(stop)
        finally:
            # Queries and their handles end before the engine does: the other way round it takes the process with it.
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
    except SettingsError:
        # Most often the port is taken by this installation's own collector: then say that instead.
        os.close(sole_collector(data))
        raise


class _Collector:
    """What runs between start and stop: the shipper in this thread, the watch and the channels in theirs."""

    def __init__(self, settings: Settings, data: Path, store: Store, urls: list[str]) -> None:
        self._node = settings.node
        folder = data / "outbox"
        self._outbox = Outbox(folder, f"collect-{secrets.token_hex(8)}", segment_bytes=limits.OUTBOX_OWN_SEGMENT_BYTES)
        self._channels = [
            Channel(alert.name, url, data / "alerts" / alert.name, self._report)
            for alert, url in zip(settings.alerts, urls, strict=True)
        ]
        routes = [Route(channel, alert.severity) for channel, alert in zip(self._channels, settings.alerts, strict=True)]
        self._watch = Watch(folder, Alerts(routes, settings.link_base))
        self._ending = threading.Event()
        self._watching = threading.Thread(target=self._keep_watching, name="watch", daemon=True)
        self._shipper = Shipper(store, folder, data / "dead-letter", self._note, self._watch.read_to)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``, then come to an end in order: watch, channels, a last shipment."""
        for channel in self._channels:
            channel.load()
        # What a killed collector took over last may be offered again: now, while none of it is delivered yet.
        self._watch.step()
        for channel in self._channels:
            channel.start()
        self._watching.start()
        try:
            self._note("collector_started", 1, "")
            log.info("collecting")
            while not stop.is_set():
                if not self._shipper.step(time.monotonic()):
                    stop.wait(limits.COLLECT_POLL_S)
                    self._check_threads()
        finally:
            self._ending.set()
            self._watching.join()
            for channel in self._channels:
                channel.close()
        until = time.monotonic() + _DRAIN_S
        self._watch.step()
        self._shipper.drain(time.monotonic, until)
        # Last, because shipping may have something to note.
        self._note("collector_stopped", 1, "")
        self._outbox.close()
        self._watch.step()
        if not self._shipper.drain(time.monotonic, until):
            log.warning("stopped before everything was shipped; the rest is shipped after the next start")

    def _keep_watching(self) -> None:
        while not self._ending.is_set():
            if not self._watch.step():
                self._ending.wait(limits.COLLECT_POLL_S)

    def _check_threads(self) -> None:
        """End rather than go on without alerts: whoever supervises the collector starts it again."""
        if not self._watching.is_alive() or not all(channel.is_running for channel in self._channels):
            raise RuntimeError("a thread that sends alerts ended unexpectedly; its error is above")

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
