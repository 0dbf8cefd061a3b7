import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar.notify import channels
from sidecar.notify.alerts import alert_of
from sidecar.notify.channels import Channel
from tests.notify.conftest import Receiver
from tests.ports import free_port
from tests.record.conftest import finding_row, until


class Bench:
    """Channels with what they report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self._open: list[Channel] = []

    def channel(self, url: str, name: str = "webhook") -> Channel:
        """A channel that delivers."""
        made = Channel(name, url, self.folder / name, self.rows.append)
        made.load()
        made.start()
        self._open.append(made)
        return made

    def offer(self, channel: Channel, *numbers: int) -> None:
        """Offer the alerts of these findings."""
        for number in numbers:
            channel.offer(alert_of(finding_row(number), channel.name, "http://page"))

    def kept(self, name: str = "webhook") -> int:
        """How many alerts wait on disk."""
        return len(list((self.folder / name).glob("*.json")))

    def close(self) -> None:
        """Stop all."""
        for channel in self._open:
            channel.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Channels whose pauses between attempts are short."""
    monkeypatch.setattr(channels, "_BACKOFF_S", (0.02, 0.02, 0.02, 0.02))
    made = Bench(tmp_path)
    yield made
    made.close()


def test_delivered_at_once_and_recorded(bench: Bench, receiver: Receiver) -> None:
    """An alert is posted once, with its id as idempotency key, and its delivery is a row."""
    channel = bench.channel(receiver.url)
    bench.offer(channel, 1)
    until(lambda: bench.rows, "the row")
    [(body, headers)] = receiver.posts
    assert headers["Idempotency-Key"] == body["alert_id"]
    assert headers["Content-Type"] == "application/json"
    [row] = bench.rows
    assert (row["state"], row["attempts"], row["error"], row["channel"]) == ("sent", 1, "", "webhook")
    assert (row["alert_id"], row["rule"]) == (body["alert_id"], "secrets.out")
    assert row["latency_ms"] < 5000
    until(lambda: bench.kept() == 0, "the file to go")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_tried_again_while_there_is_hope(bench: Bench, receiver: Receiver, status: int) -> None:
    """Errors that pass are tried again; the same alert keeps its id."""
    receiver.answers = [(status, {})] * 2
    bench.offer(bench.channel(receiver.url), 1)
    until(lambda: bench.rows, "the row")
    assert [row["state"] for row in bench.rows] == ["sent"]
    assert bench.rows[0]["attempts"] == 3
    assert len({body["alert_id"] for body, _ in receiver.posts}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_given_up_at_once_without_hope(bench: Bench, receiver: Receiver, status: int) -> None:
    """A receiver that refuses is not asked again, and a redirect is not followed to somewhere nobody configured."""
    receiver.answers = [(status, {"Location": receiver.url})]
    bench.offer(bench.channel(receiver.url), 1)
    until(lambda: bench.rows, "the row")
    [row] = bench.rows
    assert (row["state"], row["attempts"], row["error"]) == ("failed", 1, f"HTTP status {status}")
    assert len(receiver.posts) == 1


def test_given_up_after_the_last_attempt(bench: Bench, receiver: Receiver) -> None:
    """After the bound of attempts the alert is failed, recorded, and not kept any longer."""
    receiver.answers = [(500, {})] * 9
    bench.offer(bench.channel(receiver.url), 1)
    until(lambda: bench.rows, "the row")
    assert [(row["state"], row["attempts"]) for row in bench.rows] == [("failed", channels.limits.ALERT_ATTEMPTS_MAX)]
    until(lambda: bench.kept() == 0, "the file to go")


def test_a_receiver_may_ask_for_patience(bench: Bench, receiver: Receiver) -> None:
    """``Retry-After`` is waited for."""
    receiver.answers = [(429, {"Retry-After": "1"})]
    started = time.monotonic()
    bench.offer(bench.channel(receiver.url), 1)
    until(lambda: bench.rows, "the row")
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("header", "expected"), [("7", 7), ("999999", 60), ("-5", 0), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), (None, 0)]
)
def test_patience_is_bounded(header: str | None, expected: float) -> None:
    """However long a receiver asks to wait, or nonsense, the wait stays within our bound."""
    assert channels._retry_after_s(header) == expected


def test_one_failing_alert_does_not_hold_up_the_next(bench: Bench, receiver: Receiver) -> None:
    """While one alert waits for its next attempt, others are delivered."""
    receiver.answers = [(429, {"Retry-After": "60"})]
    channel = bench.channel(receiver.url)
    bench.offer(channel, 1)
    until(lambda: receiver.posts, "the first attempt")
    bench.offer(channel, 2)
    until(lambda: bench.rows, "the second alert")
    assert bench.rows[0]["alert_id"] == alert_of(finding_row(2), "webhook", "")["alert_id"]


def test_a_restart_resends_what_is_unsent(bench: Bench, receiver: Receiver) -> None:
    """Alerts that a dying collector could not deliver are delivered by the next one, none twice that was delivered."""
    (bench.folder / "webhook").mkdir()
    # Taken over, and then the process ends before its thread does anything.
    bench.offer(Channel("webhook", receiver.url, bench.folder / "webhook", bench.rows.append), 1, 2, 3)
    assert bench.kept() == 3
    bench.channel(receiver.url)
    until(lambda: len(bench.rows) == 3, "all to be delivered")
    assert sorted(body["finding_id"] for body, _ in receiver.posts) == [finding_row(n)["finding_id"] for n in (1, 2, 3)]
    until(lambda: bench.kept() == 0, "the files to go")
    Bench(bench.folder).channel(receiver.url).close()
    assert len(receiver.posts) == 3


def test_offered_twice_is_told_once(bench: Bench, receiver: Receiver) -> None:
    """An alert that is offered again while it is on its way is delivered once."""
    receiver.hold.clear()
    channel = bench.channel(receiver.url)
    bench.offer(channel, 1, 2)
    until(receiver.arrived.is_set, "the first post")
    bench.offer(channel, 2, 2)
    receiver.hold.set()
    until(lambda: len(bench.rows) == 2, "both rows")
    until(lambda: bench.kept() == 0, "the files to go")
    assert len(receiver.posts) == 2


def test_a_flood_is_bounded_and_counted(bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound alerts are dropped, each with a row that says so; offering never waits."""
    monkeypatch.setattr(channels.limits, "ALERT_QUEUE_MAX", 5)
    receiver.hold.clear()
    channel = bench.channel(receiver.url)
    bench.offer(channel, 0)
    until(receiver.arrived.is_set, "the first post")
    started = time.monotonic()
    bench.offer(channel, *range(1, 21))
    assert time.monotonic() - started < channels.limits.ALERT_TIMEOUT_S / 2
    assert [row["state"] for row in bench.rows] == ["dropped"] * 15
    receiver.hold.set()
    until(lambda: len(bench.rows) == 21, "the rest")
    assert sum(row["state"] == "sent" for row in bench.rows) == 6


def test_an_unreachable_receiver_is_told_without_its_address(
    bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither log nor record holds the address, whose path is often the secret, whatever goes wrong and at any log level."""
    secret = "T0" + "KEN" * 5
    urls = {
        "closed": f"http://127.0.0.1:{free_port()}/{secret}",
        "unknown": f"http://no-such-host.invalid/{secret}",
        "odd": f"http://[{secret}",
        "tls": f"https://127.0.0.1:{free_port()}/{secret}",
    }
    with caplog.at_level(logging.DEBUG):
        for name, url in urls.items():
            bench.offer(bench.channel(url, name), 1)
        until(lambda: len(bench.rows) == len(urls), "all to fail")
    errors = {row["channel"]: row["error"] for row in bench.rows}
    assert errors["unknown"] == "the host name is not known"
    assert errors["odd"] == "the address is not an http(s) address"
    assert all(errors.values())
    assert secret not in caplog.text + str(bench.rows) + "".join(capfd.readouterr())


def test_a_debug_log_holds_no_address(bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A successful post leaves no trace of the path either."""
    with caplog.at_level(logging.DEBUG):
        bench.offer(bench.channel(receiver.url), 1)
        until(lambda: bench.rows, "the row")
    assert "very-secret-path" not in caplog.text


def test_a_damaged_file_is_left_out(bench: Bench, receiver: Receiver) -> None:
    """A file that holds no alert does not keep the others from being delivered."""
    folder = bench.folder / "webhook"
    folder.mkdir()
    (folder / "damaged.json").write_bytes(b"{")
    (folder / "half.json").write_bytes(b'{"alert_id": "x"}')
    (folder / "good.json").write_bytes(orjson.dumps(alert_of(finding_row(1), "webhook", "")))
    bench.channel(receiver.url)
    until(lambda: bench.rows, "the row")
    assert len(receiver.posts) == 1


def test_closing_is_quick_when_nothing_waits(bench: Bench, receiver: Receiver) -> None:
    """A channel with nothing to do ends at once; its thread is gone."""
    channel = bench.channel(receiver.url)
    assert channel.is_running
    channel.close()
    assert not channel.is_running
    assert not [thread for thread in threading.enumerate() if thread.name == "alerts-webhook"]
