"""Every kind of alert sender, one file each, and the table that says which one an ``alerts`` entry gets.

A new kind is one file beside ``webhook.py``, one line in ``SENDERS``, one field of ``Alert`` in the settings, and one test
file under ``tests/notify/senders``.
"""

from collections.abc import Callable, Mapping
from typing import Final

from sidecar.notify.senders.base import Sender
from sidecar.notify.senders.webhook import WebhookSender
from sidecar.settings import Alert, resolve_secret

SENDERS: Final[Mapping[str, Callable[[str], Sender]]] = {
    "webhook": WebhookSender,
}
"""By field of ``sidecar.settings.Alert``: what makes a sender from that field's value (an address or a key)."""


def make_sender(alert: Alert) -> Sender:
    """The sender for one ``alerts`` entry, with ``env:NAME`` or ``file:PATH`` replaced by what it stands for.

    Raises:
        SettingsError: the variable is not set or the file cannot be read.
    """
    (kind,) = alert.model_fields_set & SENDERS.keys()
    return SENDERS[kind](resolve_secret(getattr(alert, kind)))
