"""What a kind of sender must do: send one alert, and say what became of it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class SendStatus(Enum):
    """What became of one attempt to send an alert."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """It failed in a way that may pass: try the same alert again later."""
    REFUSED = "refused"
    """It failed in a way that trying again cannot change."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome of one attempt.

    ``reason`` says in a few words why it failed; it is logged and recorded, so it never holds the address or a key.
    ``retry_after_s`` is how many seconds the receiver asked to wait, 0 when it asked for nothing; the queue bounds it.
    """

    status: SendStatus
    reason: str = ""
    retry_after_s: float = 0.0


class Sender(Protocol):
    """Sends alerts to one receiver. It holds no queue and no state that outlives the process; one thread uses it."""

    def send(self, alert: dict[str, Any]) -> SendResult:
        """Try once to send ``alert`` (its fields: ``sidecar.notify.alerts.alert_of``), with ``limits.ALERT_TIMEOUT_S``.

        A receiver that cannot be reached or refuses is a result, not an exception. The same alert may be sent more than
        once; its ``alert_id`` stays the same, so pass it on as the receiver's deduplication key where there is one.
        """

    def close(self) -> None:
        """Release connections; called once, perhaps while a ``send`` that hangs is still under way."""
