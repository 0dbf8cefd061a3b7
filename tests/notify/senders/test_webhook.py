import logging
import time
from collections.abc import Iterator

import pytest

from sidecar import limits
from sidecar.errors import SettingsError
from sidecar.notify.alerts import alert_of
from sidecar.notify.senders import SENDERS, make_sender
from sidecar.notify.senders.base import SendResult, SendStatus
from sidecar.notify.senders.http_post import _retry_after_s
from sidecar.notify.senders.webhook import WebhookSender
from sidecar.settings import Alert
from tests.notify.conftest import Receiver, receiver
from tests.ports import free_port
from tests.record.conftest import finding_row

__all__ = ["receiver"]

ALERT = alert_of(finding_row(1), "webhook", "http://page")


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[WebhookSender]:
    """A sender to the receiver."""
    made = WebhookSender(receiver.url)
    yield made
    made.close()


def test_an_alert_is_one_json_post(sender: WebhookSender, receiver: Receiver) -> None:
    """The receiver gets the alert as JSON, with its id as idempotency key, and 2xx means delivered."""
    assert sender.send(ALERT) == SendResult(SendStatus.DELIVERED)
    [(body, headers)] = receiver.posts
    assert body == ALERT
    assert headers["Idempotency-Key"] == ALERT["alert_id"]
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "mcp-sidecar"


@pytest.mark.parametrize("status", [500, 503, 507, 429, 425, 408])
def test_errors_that_may_pass_are_worth_a_retry(sender: WebhookSender, receiver: Receiver, status: int) -> None:
    """An overloaded or failing receiver is tried again later; it may say when."""
    receiver.answers = [(status, {"Retry-After": "7"})]
    assert sender.send(ALERT) == SendResult(SendStatus.RETRY, f"HTTP status {status}", 7.0)
    assert sender.send(ALERT).status is SendStatus.DELIVERED


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_a_refusal_is_final(sender: WebhookSender, receiver: Receiver, status: int) -> None:
    """A receiver that refuses is not asked again, and a redirect is not followed to an address nobody configured."""
    receiver.answers = [(status, {"Location": receiver.url})]
    assert sender.send(ALERT) == SendResult(SendStatus.REFUSED, f"HTTP status {status}")
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7),
        ("999999", 60),
        ("-5", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", 0),
        (None, 0),
        ("9" * 400, 60),
        ("9" * 5000, 0),
    ],
)
def test_retry_after_is_read_or_ignored(header: str | None, expected: float) -> None:
    """``Retry-After`` is seconds or a date; it is bounded, and a malformed one asks for nothing."""
    assert _retry_after_s(header) == expected


def test_an_absurd_retry_after_on_the_wire(sender: WebhookSender, receiver: Receiver) -> None:
    """A hostile receiver cannot stop the sender with a header."""
    receiver.answers = [(429, {"Retry-After": "9" * 5000})]
    assert sender.send(ALERT) == SendResult(SendStatus.RETRY, "HTTP status 429", 0.0)


@pytest.mark.parametrize(
    ("url", "status", "reason"),
    [
        ("http://127.0.0.1:{port}/{secret}", SendStatus.RETRY, "cannot be reached (NewConnectionError)"),
        ("http://no-such-host.invalid/{secret}", SendStatus.RETRY, "the host name is not known"),
        ("http://[{secret}", SendStatus.REFUSED, "the address is not an http(s) address"),
        ("ftp://127.0.0.1/{secret}", SendStatus.REFUSED, "the address is not an http(s) address"),
        ("https://127.0.0.1:{port}/{secret}", SendStatus.RETRY, "cannot be reached (NewConnectionError)"),
    ],
)
def test_a_failure_never_names_the_address(
    url: str, status: SendStatus, reason: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither result nor log holds the address, whose path is often the secret, whatever fails and at any log level."""
    secret = "T0" + "KEN" * 5
    sender = WebhookSender(url.format(port=free_port(), secret=secret))
    with caplog.at_level(logging.DEBUG):
        result = sender.send(ALERT)
    sender.close()
    assert result == SendResult(status, reason)
    assert secret not in caplog.text + "".join(capfd.readouterr())


def test_plain_http_on_a_tls_address(receiver: Receiver) -> None:
    """A receiver that does not speak TLS is reported as that."""
    sender = WebhookSender(receiver.url.replace("http:", "https:"))
    assert sender.send(ALERT) == SendResult(SendStatus.RETRY, "TLS fails")
    sender.close()


def test_a_silent_receiver_times_out(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that accepts a post and never answers costs one time-out."""
    monkeypatch.setattr(limits, "ALERT_TIMEOUT_S", 0.2)
    receiver.hold.clear()
    sender = WebhookSender(receiver.url)
    started = time.monotonic()
    assert sender.send(ALERT) == SendResult(SendStatus.RETRY, "timed out")
    assert time.monotonic() - started < 5
    sender.close()


def test_a_debug_log_holds_no_address(sender: WebhookSender, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A successful post leaves no trace of the path either."""
    with caplog.at_level(logging.DEBUG):
        sender.send(ALERT)
    assert len(receiver.posts) == 1
    assert "very-secret-path" not in caplog.text


def test_settings_choose_the_sender(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ``alerts`` entry becomes a sender of its kind, with the address from the environment where it says so."""
    assert SENDERS.keys() <= Alert.model_fields.keys()
    monkeypatch.setenv("HOOK", receiver.url)
    sender = make_sender(Alert(webhook="env:HOOK"))
    assert isinstance(sender, WebhookSender)
    assert sender.send(ALERT).status is SendStatus.DELIVERED
    sender.close()
    monkeypatch.delenv("HOOK")
    with pytest.raises(SettingsError, match="the environment has no HOOK"):
        make_sender(Alert(webhook="env:HOOK"))
