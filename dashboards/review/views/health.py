"""Whether the numbers can be trusted: is it recording, which policies are in force, what went wrong lately."""

from datetime import datetime, timedelta

import pandas as pd
import parts
import streamlit as st

from sidecar.errors import StoreError
from sidecar.review import calls, health
from sidecar.review.filters import Filters
from sidecar.review.visible import visible, visible_lines

_WORDS = {
    "policy_loaded": "policies loaded",
    "policy_reload_failed": "policies do not load",
    "proxy_started": "proxy started",
    "proxy_stopped": "proxy stopped",
    "collector_started": "collector started",
    "collector_stopped": "collector stopped",
    "rows_lost": "rows could not be stored",
    "store_unreachable": "store did not answer",
}


def _figures(node: health.Node, last_call: datetime | None) -> None:
    recording = "yes" if node.is_proxy_running and node.is_collector_running else "no"
    figures = (
        ("Recording", recording),
        ("Last call", parts.ago(last_call)),
        ("Policies loaded", parts.ago(node.policy_loaded)),
        ("Policies on disk", "do not load" if node.is_reload_failing else "in force"),
        ("Rows lost, 24 h", f"{node.rows_lost:,}"),
    )
    for column, (label, value) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value, border=True)


def _node(node: health.Node, last_call: datetime | None) -> None:
    st.text(f"Node {visible(node.node)}, policy version {visible(node.policy_version) or 'unknown'}")
    _figures(node, last_call)
    with st.expander("The policies in force", icon=":material/description:"):
        files = calls.policy_files(parts.client(), node.policy_version)
        if not files:
            st.caption("The texts of this version are not in the record.")
        for file in files:
            st.text(visible(file.path))
            st.code(visible_lines(file.text), language="yaml", line_numbers=True)


def _events(rows: list[health.Event]) -> None:
    table = [
        {
            "time": row.ts.astimezone(parts.zone()).replace(tzinfo=None),
            "what": ["problem"] if row.is_problem else [],
            "event": visible(_WORDS.get(row.metric, row.metric)),
            "detail": visible(row.detail),
            "value": row.value,
            "process": visible(row.process),
            "node": visible(row.node),
        }
        for row in rows
    ]
    columns = {
        "time": st.column_config.DatetimeColumn("Time", format="MM-DD HH:mm:ss", width=120),
        "what": st.column_config.MultiselectColumn("", options=["problem"], color=["red"], width=90),
        "event": st.column_config.TextColumn("Event", width="medium"),
        "detail": st.column_config.TextColumn("Detail", width="large"),
        "value": st.column_config.NumberColumn("Value", width=70),
        "process": st.column_config.TextColumn("Process", width=90),
        "node": st.column_config.TextColumn("Node", width=110),
    }
    st.dataframe(pd.DataFrame(table), hide_index=True, column_config=columns)


@st.fragment(run_every=5.0)
def _live() -> None:
    client, now = parts.client(), parts.now()
    try:
        nodes = health.nodes(client, now - parts.NODE_SPAN, now - parts.LOSS_SPAN)
        last_calls = health.last_calls(client, now - timedelta(days=30))
        rows = health.events(client, Filters(since=now - timedelta(days=30)))
        if not nodes:
            st.info("No sidecar has reported yet. Start one with 'sidecar up'.", icon=":material/power_settings_new:")
            return
        for node in nodes:
            _node(node, last_calls.get(node.node))
    except StoreError:
        return
    st.subheader("What happened to the sidecar", anchor=False)
    _events(rows)


_live()
