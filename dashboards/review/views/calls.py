"""Every call, newest first, live; a click opens one."""

from datetime import timedelta

import altair as alt
import parts
import streamlit as st
from rows import Column, Row, table

from sidecar.errors import StoreError
from sidecar.review import calls
from sidecar.review.wording import VERDICTS, call_name, duration, severity_word

_COLUMNS = (
    Column("Time", width="8.5rem"),
    Column("Verdict", "word", width="5.5rem"),
    Column("Finding", "word", width="5.5rem", help="The most severe finding of the call"),
    Column("Call", "link"),
    Column("Server", width="8rem"),
    Column("Status", width="8.5rem"),
    Column("Rule", help="The rule that decided"),
    Column("Who", help="The verified user, or else the name that the client gives itself"),
    Column("Took", "number", width="5.5rem"),
)


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
    parts.figures(
        ("Calls", f"{of.calls:,}"),
        ("Blocked", f"{of.blocked:,}"),
        ("Redacted", f"{of.redacted:,}"),
        ("Failed", f"{of.failed:,}"),
        ("Sessions", f"{of.sessions:,}"),
        ("Added time, p95", duration(of.p95_overhead_us) if of.calls else "–"),
    )


def _chart(buckets: list[calls.Bucket], step: timedelta, since: timedelta) -> None:
    values = [
        {
            "from": at.time.isoformat(),
            "to": (at.time + step).isoformat(),
            "verdict": at.verdict,
            "calls": at.calls,
            "rank": VERDICTS.index(at.verdict),
        }
        for at in buckets
        if at.verdict in VERDICTS
    ]
    span = [(parts.now() - since).isoformat(), parts.now().isoformat()]
    form = "%H:%M" if since <= timedelta(days=1) else "%b %d"
    colours = alt.Scale(domain=list(VERDICTS), range=[parts.BAR_COLOURS[verdict] for verdict in VERDICTS])
    time_axis = alt.Axis(format=form, labelOverlap=True, grid=False)
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(orient="vertical")
        .encode(
            x=alt.X("from:T", title=None, scale=alt.Scale(domain=span), axis=time_axis),
            x2="to:T",
            y=alt.Y("calls:Q", title=None, stack="zero", axis=alt.Axis(tickMinStep=1, tickCount=3)),
            color=alt.Color("verdict:N", scale=colours, legend=alt.Legend(orient="top", title=None)),
            order=alt.Order("rank:Q"),
            tooltip=[alt.Tooltip("from:T", format="%H:%M:%S"), "verdict:N", "calls:Q"],
        )
    )
    st.altair_chart(bars.properties(height=190))


def _row(row: calls.ReadCall) -> Row:
    cells = (
        parts.clock(row.ts),
        row.verdict,
        severity_word(row.max_severity),
        call_name(row.method, row.tool),
        row.server,
        row.status,
        row.rule,
        row.user or row.client,
        duration(row.duration_us) if row.duration_us else "",
    )
    return Row(cells, parts.call_link(row.call_id))


def _nothing() -> None:
    st.info("No call matches. Choose a longer time range or fewer filters, or send a call.", icon=":material/search_off:")
    st.caption("Clients reach the servers through the sidecar at these addresses:")
    addresses = "\n".join(f"{server.name}: http://{server.listen}" for server in parts.settings().servers if server.listen)
    st.code(addresses, language=None)


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
        _nothing()
        return
    _chart(buckets, step, since)
    table(_COLUMNS, [_row(row) for row in found], key="calls")
    st.caption(f"The newest {len(found)} of {of.calls:,} calls. Click one to open it.")


since, chosen = _filter_bar()
parts.brought_filters()
_live(since, chosen)
