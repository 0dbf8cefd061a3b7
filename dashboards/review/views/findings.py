"""What the rules found: which rules, how often, and each finding; a click opens its call."""

from datetime import timedelta
from typing import Any

import pandas as pd
import parts
import streamlit as st

from sidecar.errors import StoreError
from sidecar.events import SEVERITIES
from sidecar.review import calls, findings
from sidecar.review.filters import Filters
from sidecar.review.visible import visible
from sidecar.review.words import VERDICTS, call_name

_MODES = ("enforce", "monitor")


def _filter_bar() -> tuple[timedelta, dict[str, str]]:
    month_ago = parts.now() - timedelta(days=30)
    try:
        pairs = calls.servers_and_tools(parts.client(), month_ago)
        rules = findings.by_rule(parts.client(), Filters(since=month_ago))
    except StoreError:
        pairs, rules = [], []
    last, server, rule, severity, mode = st.columns([1, 2, 3, 4, 2])
    with last:
        since = parts.span()
    with server:
        server_name = parts.choice("Server", "server", (name for name, _ in pairs))
    with rule:
        rule_name = parts.choice("Rule", "rule", (row.rule for row in rules))
    with severity:
        word = parts.words("Severity", "severity", SEVERITIES[::-1])
    with mode:
        return since, {
            "server": server_name,
            "rule": rule_name,
            "severity": word,
            "mode": parts.words("Mode", "mode", _MODES),
        }


_RULE_COLUMNS = {
    "severity": parts.chips("Severity", SEVERITIES, width=90),
    "rule": st.column_config.TextColumn("Rule", width="medium"),
    "title": st.column_config.TextColumn("Title", width="large"),
    "enforced": st.column_config.NumberColumn("Enforced", width=90, help="The rule's action was taken"),
    "monitored": st.column_config.NumberColumn("Monitored", width=90, help="The rule only noted what it would have done"),
    "last": st.column_config.TextColumn("Last", width=110),
}
_COLUMNS = {
    "time": st.column_config.DatetimeColumn("Time", format="MM-DD HH:mm:ss", width=120),
    "severity": parts.chips("Severity", SEVERITIES, width=90),
    "action": parts.chips("Action", VERDICTS, width=90),
    "mode": parts.chips("Mode", _MODES, width=90),
    "rule": st.column_config.TextColumn("Rule", width="medium"),
    "kind": st.column_config.TextColumn("Kind", width=130),
    "value": st.column_config.TextColumn("Masked", width=110, help="The value is recorded nowhere; this is its masked form"),
    "call": st.column_config.TextColumn("Call", width="medium"),
    "server": st.column_config.TextColumn("Server", width=90),
    "where": st.column_config.TextColumn("Where", width="medium"),
}


def _row(row: findings.FindingRow) -> dict[str, Any]:
    return {
        "time": row.ts.astimezone(parts.zone()).replace(tzinfo=None),
        "severity": parts.chip(row.severity),
        "action": parts.chip(row.action),
        "mode": parts.chip(row.mode),
        "rule": visible(row.rule),
        "kind": visible(row.kind),
        "value": visible(row.preview),
        "call": visible(call_name(row.method, row.tool)),
        "server": visible(row.server),
        "where": visible(f"{row.direction} {row.path}"),
    }


def _rule(row: findings.RuleCount) -> dict[str, Any]:
    return {
        "severity": parts.chip(row.severity),
        "rule": visible(row.rule),
        "title": visible(row.title),
        "enforced": row.enforced,
        "monitored": row.monitored,
        "last": parts.ago(row.last),
    }


@st.fragment(run_every=parts.REFRESH_S)
def _live(since: timedelta, chosen: dict[str, str]) -> None:
    filters = parts.filters(since, **chosen)
    try:
        rules = findings.by_rule(parts.client(), filters)
        found = findings.findings(parts.client(), filters)
    except StoreError:
        return
    if not found:
        st.info("No finding fits. Nothing matched a rule in this time, or a filter hides it.", icon=":material/search_off:")
        return
    st.subheader("By rule", anchor=False)
    st.dataframe(pd.DataFrame([_rule(row) for row in rules]), hide_index=True, column_config=_RULE_COLUMNS)
    st.subheader("Newest", anchor=False)
    parts.call_table([_row(row) for row in found], [row.call_id for row in found], "findings", _COLUMNS)
    total = sum(rule.enforced + rule.monitored for rule in rules)
    st.caption(f"The newest {len(found)} of {total:,} findings. Click a row to open its call.")


since, chosen = _filter_bar()
parts.brought_filters()
_live(since, chosen)
