"""The ``webhook`` sender: an alert as a JSON body, posted to an address."""

from typing import Any

from sidecar.notify.senders.base import SendResult
from sidecar.notify.senders.http_post import HttpPost


class WebhookSender:
    """Posts each alert as it is. Its id travels as ``Idempotency-Key``, so a receiver can tell a repeat from a new alert."""

    def __init__(self, url: str) -> None:
        self._http = HttpPost(url)

    def send(self, alert: dict[str, Any]) -> SendResult:
        """Post one alert, once."""
        return self._http.post(alert, {"Idempotency-Key": alert["alert_id"]})

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
