"""Which findings become alerts, and what an alert contains: never a value, only its masked preview."""

import logging
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.events import SEVERITIES
from sidecar.notify.queue import AlertQueue

log = logging.getLogger(__name__)

VERSION: Final = 1
"""The version of the alert's fields; it increases when one of them changes its meaning."""

_ACTIONS: Final = {"alert": "passed on", "redact": "redacted", "tokenize": "tokenized", "block": "blocked"}
_NO_CALL: Final = str(uuid.UUID(int=0))
_NAMESPACE: Final = uuid.UUID("6f0d1cb4-8a55-4c0e-9d5b-0d6c1a4d3b57")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_FIELDS: Final = (
    *("severity", "rule", "title", "server", "tool", "method", "direction", "kind", "path", "preview", "action"),
    *("user", "session", "node", "call_id", "finding_id"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where alerts go, and the lowest severity that goes there."""

    queue: AlertQueue
    severity: str


class Alerts:
    """Sends each finding that is alerted to the log and to every route. ``link_base`` is the review page's address."""

    def __init__(self, routes: Sequence[Route], link_base: str) -> None:
        self._routes = routes
        self._link_base = link_base

    def offer(self, findings: Iterable[dict[str, Any]]) -> int:
        """Accept rows of the table ``findings``; returns at once, with how many of them are alerted.

        When this returns, the alerts are on disk: a crash after it loses none, and offering the same row again while its
        alert is not delivered yet changes nothing.
        """
        count = 0
        for finding in findings:
            if is_alerted(finding):
                count += 1
                self._send(finding)
        return count

    def _send(self, finding: dict[str, Any]) -> None:
        line = log_line(finding, self._link_base)
        log.warning("%s", line)
        for route in self._routes:
            if _rank(finding.get("severity")) >= _rank(route.severity):
                route.queue.offer(alert_of(finding, route.queue.name, self._link_base))


def is_alerted(finding: dict[str, Any]) -> bool:
    """Whether a finding becomes an alert: it was enforced, and its rule asked for more than ``log``."""
    return finding.get("mode") == "enforce" and finding.get("action") in _ACTIONS


def alert_of(finding: dict[str, Any], channel: str, link_base: str) -> dict[str, Any]:
    """The alert that a finding row becomes on one channel; the webhook sender posts it as its JSON body.

    ``alert_id`` is derived from finding and channel, so it is the same every time. ``text`` is one line for people, with
    ``&``, ``<`` and ``>`` escaped as Slack and compatible services require.
    """
    known = {name: str(finding.get(name) or "") for name in _FIELDS}
    call_id = known["call_id"] or _NO_CALL
    line = log_line(finding, link_base)
    return {
        "alert_id": str(uuid.uuid5(_NAMESPACE, f"{known['finding_id']}/{channel}")),
        "version": VERSION,
        "time": f"{finding.get('ts', '')}+00:00".replace(" ", "T"),
        **known,
        "call_id": call_id,
        "finding_id": known["finding_id"] or _NO_CALL,
        "link": _link(call_id, link_base),
        "text": line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    }


def log_line(finding: dict[str, Any], link_base: str) -> str:
    """A finding as one line for people. Control characters in names that servers and callers chose are replaced."""
    known = {name: _CONTROL.sub(" ", str(finding.get(name) or ""))[:200] for name in _FIELDS}
    what = " ".join(filter(None, [known["kind"], known["preview"]]))
    parts = [
        f"{known['severity'].upper()} {known['title'] or known['rule']}",
        _ACTIONS.get(known["action"], known["action"]),
        " ".join(filter(None, [known["method"], known["tool"], f"at {known['server']}" if known["server"] else ""])),
        f"{what} in {known['path']}" if known["path"] else what,
        f"rule {known['rule']}",
        f"user {known['user']}" if known["user"] else "",
        _link(known["call_id"], link_base),
    ]
    return " · ".join(filter(None, parts))


def _link(call_id: str, link_base: str) -> str:
    return "" if call_id in ("", _NO_CALL) else f"{link_base}/call?id={call_id}"


def _rank(severity: Any) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
