"""``sidecar collect`` as a process: what it carries, what it tells, and how it starts and stops."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar import collect
from sidecar.addresses import host_port
from sidecar.notify.senders import SENDERS
from sidecar.notify.senders.base import SendResult
from sidecar.record.outbox import Outbox
from sidecar.settings import Settings
from tests.notify.conftest import Receiver, receiver
from tests.record.conftest import (
    ROOT,
    Collector,
    Server,
    begin,
    collecting,
    end,
    finding_row,
    reading,
    server,
    settings_in,
    until,
)

__all__ = ["receiver", "server"]


def finding(number: int) -> bytes:
    """A record with one finding that blocked something."""
    return orjson.dumps({"phase": "rows", "rows": {"findings": [finding_row(number)]}})


def writer(settings: Settings, name: str = "writer") -> Outbox:
    """An outbox of that installation."""
    return Outbox(settings.data_path / "outbox", name, segment_bytes=256 * 1024)


def _is(value: Callable[[], object], wanted: object) -> bool:
    return value() == wanted


def test_calls_and_alerts_arrive(tmp_path: Path, receiver: Receiver) -> None:
    """A call is in the record, and its alert at the webhook, within a second; starts, stops and deliveries are recorded.

    What was written a moment before a stop is in the record after it, and the stop is quick.
    """
    settings = settings_in(tmp_path, alerts=[{"name": "ops", "webhook": receiver.url}])
    with writer(settings) as outbox:
        with collecting(settings) as collector, reading(settings) as query:
            told_s, stored_s = [], []
            for number in (1, 2, 3):
                written = time.monotonic()
                outbox.put(begin(number))
                outbox.put(finding(number))
                outbox.put(end(number))
                until(partial(_is, lambda: len(receiver.posts), number), "the alert")
                told_s.append(time.monotonic() - written)
                until(partial(_is, lambda: query("SELECT count() FROM calls"), [(number,)]), "the call")
                stored_s.append(time.monotonic() - written)
            # What we wait for on purpose is in each of them; a busy machine is not.
            assert min(told_s) < 1
            assert min(stored_s) < 1.5
            alert, _ = receiver.posts[0]
            assert alert["link"] == f"http://{settings.page}/call?id={finding_row(1)['call_id']}"
            until(lambda: query("SELECT state, channel, attempts FROM alerts") == [("sent", "ops", 1)] * 3, "the deliveries")
            assert query("SELECT min(latency_ms) < 1000 FROM alerts") == [(1,)]
            for number in range(4, 2001):
                outbox.put(end(number))
            stopping = time.monotonic()
        assert time.monotonic() - stopping < collect._DRAIN_S
        assert "Traceback" not in collector.output
    with collecting(settings), reading(settings) as query:
        assert query("SELECT count(), uniqExact(call_id) FROM calls") == [(2000, 2000)]
        sql = "SELECT metric, count() FROM health WHERE process = 'collector' GROUP BY metric ORDER BY metric"
        until(lambda: query(sql) == [("collector_started", 2), ("collector_stopped", 1)], "starts and stops")
    assert list((settings.data_path / "outbox").iterdir()) == []
    assert receiver.url.rpartition("/")[2] not in (tmp_path / "collect.log").read_text()


def test_a_dead_webhook_delays_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """While one receiver holds every post, calls are shipped, the other receiver is told, and the stop is not held up."""
    receiver.hold.clear()
    good = Receiver()
    hooks = [{"name": "dead", "webhook": receiver.url}, {"name": "good", "webhook": good.url}]
    settings = settings_in(tmp_path, alerts=hooks)
    try:
        with collecting(settings), writer(settings) as outbox, reading(settings) as query:
            for number in range(1, 301):
                outbox.put(end(number))
                outbox.put(finding(number))
            until(lambda: len(good.posts) == 300, "the good receiver")
            until(lambda: query("SELECT count() FROM calls") == [(300,)], "the calls")
            assert receiver.posts == []
            stopping = time.monotonic()
        assert time.monotonic() - stopping < collect._DRAIN_S
        assert len(list((settings.data_path / "alerts" / "dead").glob("*.json"))) == 300
    finally:
        good.close()


def test_a_killed_collector_loses_no_alert(tmp_path: Path, receiver: Receiver) -> None:
    """Alerts of records that were shipped, read or neither when the collector was killed all arrive after its restart."""
    settings = settings_in(tmp_path, alerts=[{"webhook": receiver.url}])
    receiver.hold.clear()
    with writer(settings) as outbox:
        collector = Collector(settings)
        collector.wait_ready()
        for number in range(1, 51):
            outbox.put(finding(number))
        until(receiver.arrived.is_set, "the first post")
        assert collector.stop(signal.SIGKILL) == -signal.SIGKILL
        for number in range(51, 101):
            outbox.put(finding(number))
        receiver.hold.set()
        wanted = {finding_row(number)["finding_id"] for number in range(1, 101)}
        with collecting(settings):
            until(lambda: {alert["finding_id"] for alert, _ in receiver.posts} == wanted, "every alert")
    repeated = len(receiver.posts) - len({headers["Idempotency-Key"] for _, headers in receiver.posts})
    assert repeated <= 1


class BrokenSender:
    """A sender with a mistake in it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, alert: dict[str, Any]) -> SendResult:
        """Fail in a way no sender should."""
        raise KeyError(self._url)

    def close(self) -> None:
        """Nothing is open."""


def test_a_dead_alert_thread_is_reported(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A collector that can send no more alerts says so in log and health, and ends, so that it is started again.

    The alert is still there then, and is delivered.
    """
    secret = "T0" + "KEN" * 5
    receiver = Receiver()
    monkeypatch.setitem(SENDERS, "webhook", BrokenSender)
    monkeypatch.setenv("SIDECAR_STORE_PASSWORD", server.password)
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:9/{secret}")
    settings = server.settings(tmp_path, alerts=[{"name": "ops", "webhook": "env:HOOK"}])
    try:
        with writer(settings) as outbox:
            outbox.put(finding(1))
            with pytest.raises(RuntimeError, match=r"a thread .* ended unexpectedly \(channel ops\)"):
                collect.run(settings, stop=threading.Event())
            assert "channel ops: delivery ended by an unexpected KeyError" in caplog.text
            assert secret not in caplog.text
            with collecting(settings, HOOK=receiver.url), reading(settings) as query:
                until(lambda: receiver.posts, "the alert")
                sql = "SELECT detail FROM health WHERE metric = 'thread_died'"
                until(lambda: query(sql) == [("channel ops",)], "the health row")
    finally:
        receiver.close()


def test_a_server_as_the_store(tmp_path: Path, server: Server) -> None:
    """With ``store: clickhouse://`` the same happens on a server, through its absence too, and no port of ours is opened."""
    settings = server.settings(tmp_path)
    with collecting(settings, SIDECAR_STORE_PASSWORD=server.password) as collector, writer(settings) as outbox:
        client = server.client()
        client.database = settings.store_address.database
        outbox.put(end(1))
        until(lambda: client.query("SELECT count() FROM calls").result_rows == [(1,)], "the first call")
        server.kill()
        outbox.put(end(2))
        until(lambda: "records wait in the outbox" in collector.output, "the outage to be said")
        server.start()
        until(lambda: client.query("SELECT count() FROM calls").result_rows == [(2,)], "the second call")
        until(
            lambda: client.query("SELECT count() FROM health WHERE metric = 'store_unreachable'").result_rows == [(1,)],
            "a note",
        )
        with pytest.raises(ConnectionRefusedError), socket.create_connection(host_port(settings.reader), 1):
            pass
        client.close()
    assert server.password not in collector.output


@pytest.mark.skipif("CLICKHOUSE_URL" not in os.environ, reason="CLICKHOUSE_URL names no ClickHouse server")
def test_a_real_server_as_the_store(tmp_path: Path) -> None:
    """The same on the ClickHouse server that CLICKHOUSE_URL (clickhouse://user@host:port/database) names."""
    settings = settings_in(tmp_path, store=os.environ["CLICKHOUSE_URL"])
    number = time.time_ns()
    with collecting(settings), writer(settings) as outbox, reading(settings) as query:
        outbox.put(end(number))
        until(lambda: query(f"SELECT count() FROM calls WHERE request = 'request {number}'") == [(1,)], "the call")


def cannot_run(settings: Settings, **environ: str) -> str:
    """What it says when it cannot run; exit code 2, no traceback."""
    command = [sys.executable, "-m", "sidecar", "collect", "-c", settings.file]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    return done.stderr.splitlines()[-1]


def test_mistakes_are_said(tmp_path: Path) -> None:
    """An occupied port and a missing webhook secret end it with exit code 2 and one sentence that says what to change."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = settings_in(tmp_path, reader=f"127.0.0.1:{other.getsockname()[1]}")
        text = cannot_run(settings)
    assert f"{settings.file}: error[reader]: {settings.reader} is already in use; stop what uses it, or set 'reader:'" in text
    same = [{"webhook": "http://127.0.0.1:9/a"}, {"webhook": "http://127.0.0.1:9/b"}]
    text = cannot_run(settings_in(tmp_path, alerts=same))
    assert text.endswith("two alerts are called 'webhook'; give each a 'name:' of its own")
    assert "the environment has no NO_SUCH_HOOK" in cannot_run(settings_in(tmp_path, alerts=[{"webhook": "env:NO_SUCH_HOOK"}]))
