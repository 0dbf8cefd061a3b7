import logging
from pathlib import Path
from typing import Any

import pytest

from sidecar.notify.alerts import Alerts, Route, alert_of, is_alerted, log_line
from sidecar.notify.queue import AlertQueue
from sidecar.notify.senders.webhook import WebhookSender
from tests.record.conftest import finding_row

LINK = "http://127.0.0.1:8501"


def test_an_alert_says_what_is_needed() -> None:
    """It names method, server, tool, rule, severity, the masked preview and the link to the call."""
    alert = alert_of(finding_row(7, user="alice", session="s1"), "webhook", LINK)
    assert {
        name: alert[name] for name in ("severity", "rule", "server", "tool", "method", "kind", "path", "action", "user")
    } == {
        "severity": "high",
        "rule": "secrets.out",
        "server": "crm",
        "tool": "lookup",
        "method": "tools/call",
        "kind": "secrets.aws-key",
        "path": "$.params.arguments.text",
        "action": "block",
        "user": "alice",
    }
    assert (alert["session"], alert["node"], alert["version"]) == ("s1", "test-node", 1)
    assert alert["preview"] == "AK" + "IA…(20)"
    assert alert["link"] == f"{LINK}/call?id=00000000-0000-0000-0000-000000000007"
    assert alert["time"].endswith("+00:00") and "T" in alert["time"]
    for part in ("HIGH A credential in the arguments", "blocked", "tools/call lookup at crm", "user alice", alert["link"]):
        assert part in alert["text"]


def test_its_id_stays_the_same() -> None:
    """The same finding on the same channel is the same alert, however often it is made; on another it is another."""
    ids = {alert_of(finding_row(7), "webhook", LINK)["alert_id"] for _ in range(2)}
    ids |= {alert_of(finding_row(7), "other", LINK)["alert_id"], alert_of(finding_row(8), "webhook", LINK)["alert_id"]}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"action": "alert"}, True),
        ({"action": "redact"}, True),
        ({"action": "log"}, False),
        ({"action": "allow"}, False),
        ({"mode": "monitor"}, False),
    ],
)
def test_which_findings_are_told(change: dict[str, str], expected: bool) -> None:
    """Enforced findings of rules that alert, redact or block are told; those only noted are not."""
    assert is_alerted(finding_row(1, **change)) is expected


def test_names_cannot_break_out_of_the_line() -> None:
    """What a server calls itself or its tools stays within one line, and is no markup for Slack."""
    hostile = "x\n\x1b[31m\u202e<!channel> & <http://evil|here>"
    alert = alert_of(finding_row(1, tool=hostile, title=hostile, preview=hostile), "webhook", LINK)
    assert not set(alert["text"]) & set("\n\x1b\u202e<>")
    assert "&lt;!channel&gt; &amp; &lt;http" in alert["text"]
    assert "\n" not in log_line(finding_row(1, server=hostile), LINK)


def test_odd_rows_are_told_too() -> None:
    """A finding with missing or strange fields is still an alert; one without a call has no link."""
    rows: list[dict[str, Any]] = [{}, {"severity": None, "title": 5, "finding_id": None}, {"call_id": ""}]
    for row in rows:
        alert = alert_of({"mode": "enforce", "action": "block", **row}, "webhook", LINK)
        assert alert["link"] == ""


def test_routes_and_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each alerted finding is one line in the log and goes to the channels whose lowest severity it reaches."""
    names = ("all", "critical")
    queues = [AlertQueue(name, WebhookSender("http://127.0.0.1:9"), tmp_path / name, lambda _: None) for name in names]
    for name in names:
        (tmp_path / name).mkdir()
    alerts = Alerts([Route(queues[0], "info"), Route(queues[1], "critical")], LINK)
    with caplog.at_level(logging.WARNING):
        count = alerts.offer([finding_row(1), finding_row(2, severity="critical"), finding_row(3, mode="monitor")])
    assert count == len(caplog.records) == 2
    assert len(list((tmp_path / "all").iterdir())) == 2
    assert len(list((tmp_path / "critical").iterdir())) == 1
