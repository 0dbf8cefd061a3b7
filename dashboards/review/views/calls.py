"""Every call, newest first, live; a click opens one."""

from datetime import timedelta
from typing import Any

import altair as alt
import pandas as pd
import parts
import streamlit as st

from sidecar.errors import StoreError
from sidecar.events import SEVERITIES
from sidecar.review import calls
from sidecar.review.visible import visible
from sidecar.review.words import VERDICTS, call_name, duration, severity_word


def _filter_bar() -> tuple[timedelta, dict[str, str]]:
    try:
        pairs = calls.servers_and_tools(parts.client(), parts.now() - timedelta(days=30))
    except StoreError:
        pairs = []
    last, server, tool, verdict = st.columns([1, 2, 3, 4])
    with last:
        since = parts.span()
    with server:
        server_name = parts.choice("Server", "server", (name for name, _ in pairs))
    with tool:
        tool_name = parts.choice("Tool", "tool", (name for at, name in pairs if server_name in ("", at)))
    with verdict:
        chosen = {"server": server_name, "tool": tool_name, "verdict": parts.words("Verdict", "verdict", VERDICTS)}
    return since, chosen


def _figures(of: calls.Summary) -> None:
    figures = (
        ("Calls", f"{of.calls:,}"),
        ("Blocked", f"{of.blocked:,}"),
        ("Redacted", f"{of.redacted:,}"),
        ("Failed", f"{of.failed:,}"),
        ("Sessions", f"{of.sessions:,}"),
        ("Added time, p95", duration(of.p95_overhead_us) if of.calls else "–"),
    )
    for column, (label, value) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value, border=True)


def _chart(buckets: list[calls.Bucket], step: timedelta, since: timedelta) -> None:
    frame = pd.DataFrame(
        [
            {
                "from": at.time,
                "to": at.time + step,
                "verdict": at.verdict,
                "calls": at.calls,
                "rank": VERDICTS.index(at.verdict),
            }
            for at in buckets
            if at.verdict in VERDICTS
        ]
    )
    end = parts.now()
    form = "%H:%M" if since <= timedelta(days=1) else "%b %d"
    colours = alt.Scale(domain=list(VERDICTS), range=[parts.BAR_COLOURS[verdict] for verdict in VERDICTS])
    bars = (
        alt.Chart(frame)
        .mark_bar(orient="vertical")
        .encode(
            x=alt.X(
                "from:T",
                title=None,
                scale=alt.Scale(domain=[end - since, end]),
                axis=alt.Axis(format=form, labelOverlap=True, grid=False),
            ),
            x2="to:T",
            y=alt.Y("calls:Q", title=None, stack="zero", axis=alt.Axis(tickMinStep=1, tickCount=3)),
            color=alt.Color("verdict:N", scale=colours, legend=alt.Legend(orient="top", title=None)),
            order=alt.Order("rank:Q"),
            tooltip=[alt.Tooltip("from:T", format="%H:%M:%S"), "verdict:N", "calls:Q"],
        )
    )
    st.altair_chart(bars.properties(height=190))


def _row(row: calls.CallRow) -> dict[str, Any]:
    return {
        "time": row.ts.astimezone(parts.zone()).replace(tzinfo=None),
        "verdict": parts.chip(row.verdict),
        "severity": parts.chip(severity_word(row.max_severity)),
        "call": visible(call_name(row.method, row.tool)),
        "server": visible(row.server),
        "status": visible(row.status),
        "rule": visible(row.rule),
        "who": visible(row.user or row.client),
        "took": row.duration_us / 1000 if row.duration_us else None,
    }


_COLUMNS = {
    "time": st.column_config.DatetimeColumn("Time", format="MM-DD HH:mm:ss", width=120),
    "verdict": parts.chips("Verdict", VERDICTS, width=90),
    "severity": parts.chips("Finding", SEVERITIES, width=90),
    "call": st.column_config.TextColumn("Call", width="medium"),
    "server": st.column_config.TextColumn("Server", width=90),
    "status": st.column_config.TextColumn("Status", width=110),
    "rule": st.column_config.TextColumn("Rule", width="medium"),
    "who": st.column_config.TextColumn("Who", width="medium", help="The verified user, or else what the client calls itself"),
    "took": st.column_config.NumberColumn("Took", format="%.1f ms", width=90),
}


@st.fragment(run_every=parts.REFRESH_S)
def _live(since: timedelta, chosen: dict[str, str]) -> None:
    filters = parts.filters(since, **chosen)
    step = max(timedelta(seconds=10), since / 96)
    try:
        of = calls.summary(parts.client(), filters)
        buckets = calls.by_time(parts.client(), filters, int(step.total_seconds()))
        found = calls.calls(parts.client(), filters)
    except StoreError:
        return
    _figures(of)
    if not found:
        st.info("No call fits. Choose a longer time or fewer filters, or send a call.", icon=":material/search_off:")
        st.caption("Clients reach the servers through the sidecar at these addresses:")
        doors = "\n".join(f"{server.name}: http://{server.listen}" for server in parts.settings().servers)
        st.code(doors, language=None)
        return
    _chart(buckets, step, since)
    parts.call_table([_row(row) for row in found], [row.call_id for row in found], "calls", _COLUMNS)
    st.caption(f"The newest {len(found)} of {of.calls:,} calls. Click a row to open it.")


since, chosen = _filter_bar()
parts.brought_filters()
_live(since, chosen)
