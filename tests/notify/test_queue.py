import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar import limits
from sidecar.notify import queue
from sidecar.notify.alerts import alert_of
from sidecar.notify.queue import AlertQueue
from sidecar.notify.senders.base import SendResult, SendStatus
from sidecar.notify.senders.webhook import WebhookSender
from tests.notify.conftest import Receiver
from tests.record.conftest import finding_row, until

RETRY = SendResult(SendStatus.RETRY, "busy")
REFUSED = SendResult(SendStatus.REFUSED, "not wanted")


class ListSender:
    """A sender that delivers into a list.

    ``results`` are the outcomes of the next attempts, then delivered; ``hold`` keeps an attempt waiting while it is clear.
    """

    def __init__(self, *results: SendResult | Exception) -> None:
        self.results = list(results)
        self.sent: list[dict[str, Any]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.begun = threading.Event()
        self.is_closed = False

    def send(self, alert: dict[str, Any]) -> SendResult:
        """Note the alert."""
        self.begun.set()
        self.hold.wait(30)
        self.sent.append(alert)
        result = self.results.pop(0) if self.results else SendResult(SendStatus.DELIVERED)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """Note the end."""
        self.is_closed = True


class Bench:
    """A queue on disk with what it reports."""

    def __init__(self, folder: Path, name: str = "webhook") -> None:
        self.name = name
        self.folder = folder / name
        self.rows: list[dict[str, Any]] = []
        self._open: list[AlertQueue] = []

    def queue(self, sender: ListSender | WebhookSender) -> AlertQueue:
        """A queue that delivers."""
        made = AlertQueue(self.name, sender, self.folder, self.rows.append)
        made.load()
        made.start()
        self._open.append(made)
        return made

    def offer(self, to: AlertQueue, *numbers: int) -> None:
        """Offer the alerts of these findings."""
        for number in numbers:
            to.offer(alert_of(finding_row(number), self.name, "http://page"))

    def files(self) -> int:
        """How many alerts wait on disk."""
        return len(list(self.folder.glob("*.json")))

    def close(self) -> None:
        """Stop all."""
        for each in self._open:
            each.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Queues whose pauses between attempts are short."""
    monkeypatch.setattr(queue, "_BACKOFF_S", (0.02, 0.02, 0.02, 0.02))
    made = Bench(tmp_path)
    yield made
    made.close()


def test_delivered_at_once_and_recorded(bench: Bench) -> None:
    """An alert is sent once, its delivery is a row, and it is not kept any longer."""
    sender = ListSender()
    bench.offer(bench.queue(sender), 1)
    until(lambda: bench.rows, "the row")
    [alert] = sender.sent
    assert alert == alert_of(finding_row(1), "webhook", "http://page") | {"time": alert["time"]}
    [row] = bench.rows
    assert (row["state"], row["attempts"], row["error"], row["channel"]) == ("sent", 1, "", "webhook")
    assert (row["alert_id"], row["rule"]) == (alert["alert_id"], "secrets.out")
    assert row["latency_ms"] < 5000
    until(lambda: bench.files() == 0, "the file to go")


def test_tried_again_when_the_sender_says_so(bench: Bench) -> None:
    """An attempt whose failure may pass is repeated with the same alert until it is delivered."""
    sender = ListSender(RETRY, RETRY)
    bench.offer(bench.queue(sender), 1)
    until(lambda: bench.rows, "the row")
    assert [(row["state"], row["attempts"], row["error"]) for row in bench.rows] == [("sent", 3, "")]
    assert sender.sent[0] == sender.sent[1] == sender.sent[2]


def test_given_up_at_once_when_refused(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal for good is not tried again; log and record say why."""
    sender = ListSender(REFUSED)
    bench.offer(bench.queue(sender), 1)
    until(lambda: bench.rows, "the row")
    [row] = bench.rows
    assert (row["state"], row["attempts"], row["error"]) == ("failed", 1, "not wanted")
    assert len(sender.sent) == 1
    assert "channel webhook: gave up an alert after 1 attempts: not wanted" in caplog.messages


def test_given_up_after_the_last_attempt(bench: Bench) -> None:
    """After the bound of attempts the alert is failed, recorded, and not kept any longer."""
    bench.offer(bench.queue(ListSender(*[RETRY] * 9)), 1)
    until(lambda: bench.rows, "the row")
    assert [(row["state"], row["attempts"]) for row in bench.rows] == [("failed", limits.ALERT_ATTEMPTS_MAX)]
    until(lambda: bench.files() == 0, "the file to go")


def test_failing_and_working_again_are_one_line_each(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A channel that fails for a while does not flood the log."""
    made = bench.queue(ListSender(RETRY, RETRY, RETRY))
    bench.offer(made, 1)
    until(lambda: bench.rows, "the row")
    bench.offer(made, 2)
    until(lambda: len(bench.rows) == 2, "the second row")
    assert caplog.messages == ["channel webhook: busy", "channel webhook: accepts alerts again"]


def test_a_receiver_may_ask_for_patience(bench: Bench) -> None:
    """The wait that a receiver asks for is kept."""
    sender = ListSender(SendResult(SendStatus.RETRY, "busy", 1.0))
    started = time.monotonic()
    bench.offer(bench.queue(sender), 1)
    until(lambda: bench.rows, "the row")
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (2, 5), (3, 25), (4, 60), (9, 60)])
def test_pauses_grow_and_are_bounded(attempts: int, expected: float) -> None:
    """Attempts are further and further apart, spread by a fifth; however long a receiver asks to wait, a minute is the most."""
    pauses = [queue._pause_s(attempts, 0) for _ in range(50)]
    assert 0.8 * expected <= min(pauses) < max(pauses) <= 1.2 * expected
    assert queue._pause_s(1, 30) == 30
    assert queue._pause_s(1, 999_999) == limits.ALERT_RETRY_S_MAX


def test_one_failing_alert_does_not_hold_up_the_next(bench: Bench) -> None:
    """While one alert waits for its next attempt, others are delivered."""
    sender = ListSender(SendResult(SendStatus.RETRY, "busy", 60))
    made = bench.queue(sender)
    bench.offer(made, 1)
    until(lambda: sender.sent, "the first attempt")
    bench.offer(made, 2)
    until(lambda: bench.rows, "the second alert")
    assert bench.rows[0]["alert_id"] == alert_of(finding_row(2), "webhook", "")["alert_id"]


def test_a_restart_resends_what_is_unsent(bench: Bench) -> None:
    """Alerts that a dying collector could not deliver are delivered by the next one, none twice that was delivered."""
    bench.folder.mkdir()
    sender = ListSender()
    # Accepted, and then the process ends before its thread does anything.
    bench.offer(AlertQueue("webhook", sender, bench.folder, bench.rows.append), 1, 2, 3)
    assert bench.files() == 3
    bench.queue(sender)
    until(lambda: len(bench.rows) == 3, "all to be delivered")
    assert [alert["finding_id"] for alert in sender.sent] == [finding_row(n)["finding_id"] for n in (1, 2, 3)]
    until(lambda: bench.files() == 0, "the files to go")
    bench.queue(sender).close()
    assert len(sender.sent) == 3


def test_offered_twice_is_sent_once(bench: Bench) -> None:
    """An alert that is offered again before it is delivered is delivered once."""
    sender = ListSender()
    sender.hold.clear()
    made = bench.queue(sender)
    bench.offer(made, 1, 2)
    until(sender.begun.is_set, "the first attempt")
    bench.offer(made, 2, 2)
    sender.hold.set()
    until(lambda: len(bench.rows) == 2, "both rows")
    until(lambda: bench.files() == 0, "the files to go")
    assert len(sender.sent) == 2


def test_a_flood_is_bounded_and_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound alerts are dropped, each with a row that says so; offering never waits."""
    monkeypatch.setattr(limits, "ALERT_QUEUE_MAX", 5)
    sender = ListSender()
    sender.hold.clear()
    made = bench.queue(sender)
    bench.offer(made, 0)
    until(sender.begun.is_set, "the first attempt")
    started = time.monotonic()
    bench.offer(made, *range(1, 21))
    assert time.monotonic() - started < limits.ALERT_TIMEOUT_S / 2
    assert [row["state"] for row in bench.rows] == ["dropped"] * 15
    sender.hold.set()
    until(lambda: len(bench.rows) == 21, "the rest")
    assert sum(row["state"] == "sent" for row in bench.rows) == 6


def test_a_damaged_file_is_left_out(bench: Bench) -> None:
    """A file that holds no alert does not keep the others from being delivered."""
    bench.folder.mkdir()
    (bench.folder / "damaged.json").write_bytes(b"{")
    (bench.folder / "half.json").write_bytes(b'{"alert_id": "x"}')
    (bench.folder / "good.json").write_bytes(orjson.dumps(alert_of(finding_row(1), "webhook", "")))
    sender = ListSender()
    bench.queue(sender)
    until(lambda: bench.rows, "the row")
    assert len(sender.sent) == 1


def test_closing_is_quick_when_nothing_waits(bench: Bench) -> None:
    """A queue with nothing to do ends at once; its thread is gone and its sender closed."""
    sender = ListSender()
    made = bench.queue(sender)
    assert made.is_running
    made.close()
    assert not made.is_running
    assert sender.is_closed
    assert not [thread for thread in threading.enumerate() if thread.name == "alerts-webhook"]


def test_closing_does_not_wait_for_a_dead_receiver(bench: Bench) -> None:
    """A stop is quick while an attempt hangs, and the alert is still on disk for the next start."""
    sender = ListSender()
    sender.hold.clear()
    made = bench.queue(sender)
    bench.offer(made, 1, 2)
    until(sender.begun.is_set, "the first attempt")
    started = time.monotonic()
    made.close()
    assert time.monotonic() - started < queue._CLOSE_WITHIN_S + 1
    assert bench.files() == 2
    sender.hold.set()
    until(lambda: not made.is_running, "the thread to end")


def test_a_dead_thread_is_seen_and_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A sender that fails in a way nobody foresaw ends the queue visibly, without its message, which may hold a secret."""
    secret = "T0" + "KEN" * 5
    made = bench.queue(ListSender(RuntimeError(secret)))
    with caplog.at_level(logging.DEBUG):
        bench.offer(made, 1)
        until(lambda: not made.is_running, "the thread to end")
    assert "channel webhook: delivery ended by an unexpected RuntimeError" in caplog.text
    assert secret not in caplog.text
    assert bench.files() == 1


def test_with_a_real_webhook(bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Queue and webhook sender together: a busy receiver is tried again, gets one id, and its address stays unsaid."""
    receiver.answers = [(503, {})] * 2
    with caplog.at_level(logging.DEBUG):
        bench.offer(bench.queue(WebhookSender(receiver.url)), 1)
        until(lambda: bench.rows, "the row")
    assert [(row["state"], row["attempts"]) for row in bench.rows] == [("sent", 3)]
    assert len({headers["Idempotency-Key"] for _, headers in receiver.posts}) == 1
    assert "HTTP status 503" in caplog.text
    assert "very-secret-path" not in caplog.text + str(bench.rows)
