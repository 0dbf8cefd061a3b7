"""Alerts: which findings somebody is told of, and what an alert says: never a value, only its masked preview."""

import logging
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.events import SEVERITIES
from sidecar.notify.channels import Channel

log = logging.getLogger(__name__)

VERSION: Final = 1
"""Of the alert's fields; it grows when one changes its meaning."""

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
    """A channel, and the least severity it is told of."""

    channel: Channel
    severity: str


class Alerts:
    """Tells the log and every route of each finding that had its consequence. ``link_base`` is the page's address."""

    def __init__(self, routes: Sequence[Route], link_base: str) -> None:
        self._routes = routes
        self._link_base = link_base

    def offer(self, findings: Iterable[dict[str, Any]]) -> int:
        """Take over rows of the table ``findings``; returns at once with how many are alerted.

        What was returned from is on disk: a crash after it loses no alert, and a second offer of the same row while the
        first is on its way changes nothing.
        """
        count = 0
        for finding in findings:
            if is_alerted(finding):
                count += 1
                self._tell(finding)
        return count

    def _tell(self, finding: dict[str, Any]) -> None:
        line = log_line(finding, self._link_base)
        log.warning("%s", line)
        for route in self._routes:
            if _rank(finding.get("severity")) >= _rank(route.severity):
                route.channel.offer(alert_of(finding, route.channel.name, self._link_base))


def is_alerted(finding: dict[str, Any]) -> bool:
    """Whether somebody is told of a finding: it was enforced, and its rule asked for more than a note."""
    return finding.get("mode") == "enforce" and finding.get("action") in _ACTIONS


def alert_of(finding: dict[str, Any], channel: str, link_base: str) -> dict[str, Any]:
    """The alert a finding row becomes on one channel: the webhook's JSON body.

    ``alert_id`` follows from finding and channel, so it is the same however often it is made. ``text`` is one line for
    people, escaped as Slack and those who follow it want it.
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
    """A finding in one line for people; what servers and callers named themselves cannot break out of it."""
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
