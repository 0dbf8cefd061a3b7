"""Health: is the sidecar recording, which policies are in force, what went wrong lately."""

from datetime import datetime, timedelta

import parts
import streamlit as st
from rows import Column, Row, table

from sidecar.errors import StoreError
from sidecar.review import calls, health
from sidecar.review.filters import Filters
from sidecar.review.visible import visible

_WORDS = {
    "policy_loaded": "policies loaded",
    "policy_reload_failed": "policies do not load",
    "proxy_started": "proxy started",
    "proxy_stopped": "proxy stopped",
    "collector_started": "collector started",
    "collector_stopped": "collector stopped",
    "rows_lost": "rows could not be stored",
    "store_unreachable": "store did not answer",
    "process_died": "process died",
    "thread_died": "alert thread died",
}
_COLUMNS = (
    Column("Time", width="8.5rem"),
    Column("", "word", width="5.5rem"),
    Column("Event", width="12rem"),
    Column("Detail", "wrap"),
    Column("Value", "number", width="4.5rem"),
    Column("Process", width="6rem"),
    Column("Node", width="10rem"),
)


def _figures(node: health.NodeHealth, last_call: datetime | None) -> None:
    parts.figures(
        ("Recording", "yes" if node.is_proxy_running and node.is_collector_running else "no"),
        ("Last call", parts.ago(last_call)),
        ("Policies loaded", parts.ago(node.policy_loaded)),
        ("Policies on disk", "do not load" if node.is_reload_failing else "in force"),
        ("Rows lost, 24 h", f"{node.rows_lost:,}"),
    )


def _node(node: health.NodeHealth, last_call: datetime | None) -> None:
    st.text(f"Node {visible(node.node)}, policy version {visible(node.policy_version) or 'unknown'}")
    _figures(node, last_call)
    with st.expander("The policies in force", icon=":material/description:"):
        parts.policy_texts(calls.policy_files(parts.client(), node.policy_version))


def _event(event: health.HealthEvent) -> Row:
    what = "problem" if event.is_problem else ""
    metric = _WORDS.get(event.metric, event.metric)
    return Row((parts.clock(event.ts), what, metric, event.detail, f"{event.value:g}", event.process, event.node))


@st.fragment(run_every=parts.NOTICES_S)
def _live() -> None:
    client, now = parts.client(), parts.now()
    try:
        nodes = health.nodes(client, now - parts.NODE_SPAN, now - parts.LOSS_SPAN)
        last_calls = health.last_calls(client, now - timedelta(days=30))
        events = health.events(client, Filters(since=now - timedelta(days=30)))
        if not nodes:
            st.info("No sidecar has reported yet. Start one with 'sidecar up'.", icon=":material/power_settings_new:")
            return
        for node in nodes:
            _node(node, last_calls.get(node.node))
    except StoreError:
        return
    st.subheader("What happened to the sidecar", anchor=False)
    table(_COLUMNS, [_event(event) for event in events], key="events")


_live()
