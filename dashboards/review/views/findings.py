"""Findings: which rules matched and how often, and each finding; a click opens its call."""

from datetime import timedelta

import parts
import streamlit as st
from rows import Column, Row, table

from sidecar.errors import StoreError
from sidecar.events import SEVERITIES
from sidecar.review import calls, findings
from sidecar.review.filters import Filters
from sidecar.review.wording import call_name

_MODES = ("enforce", "monitor")
_RULE_COLUMNS = (
    Column("Severity", "word", width="6rem"),
    Column("Rule", width="14rem"),
    Column("Title"),
    Column("Enforced", "number", width="6rem", help="The rule's action was taken"),
    Column("Monitored", "number", width="6.5rem", help="The rule only recorded what it would have done"),
    Column("Last", width="7rem"),
)
_COLUMNS = (
    Column("Time", width="8.5rem"),
    Column("Severity", "word", width="6rem"),
    Column("Action", "word", width="5.5rem"),
    Column("Mode", "word", width="5.5rem"),
    Column("Rule"),
    Column("Kind", width="9rem"),
    Column("Masked", width="7.5rem", help="The value is recorded nowhere; this is its masked form"),
    Column("Call", "link"),
    Column("Server", width="7rem"),
    Column("Where"),
)


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
        chosen_mode = parts.words("Mode", "mode", _MODES)
    return since, {"server": server_name, "rule": rule_name, "severity": word, "mode": chosen_mode}


def _row(row: findings.FindingRow) -> Row:
    cells = (
        parts.clock(row.ts),
        row.severity,
        row.action,
        row.mode,
        row.rule,
        row.kind,
        row.preview,
        call_name(row.method, row.tool),
        row.server,
        f"{row.direction} {row.path}",
    )
    return Row(cells, parts.call_link(row.call_id))


def _rule(row: findings.RuleCount) -> Row:
    return Row((row.severity, row.rule, row.title, f"{row.enforced:,}", f"{row.monitored:,}", parts.ago(row.last)))


@st.fragment(run_every=parts.REFRESH_S)
def _live(since: timedelta, chosen: dict[str, str]) -> None:
    filters = parts.filters(since, **chosen)
    try:
        rules = findings.by_rule(parts.client(), filters)
        found = findings.findings(parts.client(), filters)
    except StoreError:
        return
    if not found:
        st.info(
            "No finding matches. Nothing matched a rule in this time range, or a filter hides it.", icon=":material/search_off:"
        )
        return
    st.subheader("By rule", anchor=False)
    table(_RULE_COLUMNS, [_rule(row) for row in rules], key="rules")
    st.subheader("Newest", anchor=False)
    table(_COLUMNS, [_row(row) for row in found], key="findings")
    total = sum(rule.enforced + rule.monitored for rule in rules)
    st.caption(f"The newest {len(found)} of {total:,} findings. Click one to open its call.")


since, chosen = _filter_bar()
parts.brought_filters()
_live(since, chosen)
