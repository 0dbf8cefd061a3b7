"""One call in full: what was asked and answered as recorded, and why it was judged as it was."""

from uuid import UUID

import pandas as pd
import parts
import streamlit as st

from sidecar.errors import StoreError
from sidecar.events import SEVERITIES
from sidecar.limits import HIGHLIGHT_CHARS_MAX
from sidecar.review import calls, findings
from sidecar.review.visible import pretty, visible, visible_lines
from sidecar.review.words import VERDICTS, call_name, duration, size

_ACTIONS = VERDICTS
_STATUS = {
    "ok": "answered",
    "error": "answered with an error",
    "tool_error": "the tool reported an error",
    "blocked": "never reached the server",
    "cancelled": "cancelled by the client",
    "no_response": "no answer was seen",
    "upstream_error": "the server could not be reached",
    "notification": "a notification, which has no answer",
}


def _facts(facts: list[tuple[str, str]], width: int) -> None:
    """Pairs of our word and recorded text, in as many columns as ``width``."""
    for at in range(0, len(facts), width):
        for column, (label, value) in zip(st.columns(width), facts[at : at + width], strict=False):
            with column.container(gap=None):
                st.caption(label)
                st.text(visible(value) or "–")


def _verdict(call: calls.Call) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            parts.badge(call.verdict)
            if call.rule:
                st.text(f"by rule {visible(call.rule)}")
            st.text(f"{visible(call.status)}: {_STATUS[call.status]}" if call.status in _STATUS else visible(call.status))
            if call.error_code:
                st.text(f"code {call.error_code}")
        if call.error_message:
            st.caption("What the client was told")
            st.code(visible_lines(call.error_message), language=None, wrap_lines=True)


def _timing(call: calls.Call) -> list[tuple[str, str]]:
    share = f" ({call.overhead_us / call.duration_us:.1%})" if call.duration_us else ""
    return [
        ("Took", duration(call.duration_us) if call.duration_us else "unknown"),
        ("Of which the sidecar", duration(call.overhead_us) + share),
        ("Request", size(call.request_bytes)),
        ("Response", size(call.response_bytes)),
    ]


def _who_and_where(call: calls.Call) -> list[tuple[str, str]]:
    return [
        ("Server", call.server),
        ("Method", call.method),
        ("Tool", call.tool),
        ("Asked by", "the server" if call.direction == "response" else "the client"),
        ("User", call.user or "not verified"),
        ("Client, as it calls itself", f"{call.client} {call.client_version}".strip()),
        ("Address", call.client_address),
        ("Session", f"{call.session} (by {call.session_kind})" if call.session else ""),
        ("Time", call.ts.astimezone(parts.zone()).strftime("%Y-%m-%d %H:%M:%S.%f %Z")),
        ("Node", call.node),
        ("Protocol", f"{call.protocol} {call.era}, {call.transport}"),
        ("Request id", call.rpc_id),
        ("HTTP status", str(call.http_status or "")),
        ("Other messages on its stream", str(call.events)),
        ("Trace", call.trace_id),
        ("Scanned", size(call.bytes_scanned)),
    ]


def _payload(title: str, text: str, size_bytes: int) -> None:
    st.subheader(title, anchor=False)
    if not text:
        st.caption(
            "Nothing was recorded."
            if not size_bytes
            else f"{size(size_bytes)}; the text is not kept for this server or this status."
        )
        return
    shown, is_json = pretty(text)
    language = "json" if is_json and len(shown) <= HIGHLIGHT_CHARS_MAX else None
    st.code(shown, language=language, wrap_lines=True, height=460 if shown.count("\n") > 18 else "content")


def _coverage(call: calls.Call) -> None:
    if call.truncated:
        st.caption("A payload was longer than the record keeps; its end is missing here. Its size is the true one.")
    if call.bytes_skipped:
        st.warning(f"{size(call.bytes_skipped)} of this call were not looked at.", icon=":material/visibility_off:")
        st.code(visible(", ".join(call.skipped)), language=None, wrap_lines=True)


def _findings(rows: list[findings.FindingRow]) -> None:
    st.subheader("Findings", anchor=False)
    if not rows:
        st.caption("No rule found anything in this call.")
        return
    table = [
        {
            "severity": parts.chip(row.severity),
            "rule": visible(row.rule),
            "title": visible(row.title),
            "mode": parts.chip(row.mode),
            "action": parts.chip(row.action),
            "kind": visible(row.kind),
            "where": visible(f"{row.direction} {row.path}"),
            "value": visible(row.preview),
            "fingerprint": visible(row.fingerprint),
            "count": row.count,
            "sure": row.confidence,
        }
        for row in rows
    ]
    columns = {
        "severity": parts.chips("Severity", SEVERITIES, width=90),
        "rule": st.column_config.TextColumn("Rule"),
        "title": st.column_config.TextColumn("Title", width="medium"),
        "mode": parts.chips("Mode", ("monitor", "enforce"), width=90),
        "action": parts.chips("Action", _ACTIONS, width=90),
        "kind": st.column_config.TextColumn("Kind"),
        "where": st.column_config.TextColumn("Where", width="medium"),
        "value": st.column_config.TextColumn(
            "Masked", width=110, help="The value is recorded nowhere; this is its masked form"
        ),
        "fingerprint": st.column_config.TextColumn(
            "Fingerprint", width=140, help="The same value has the same fingerprint in every call"
        ),
        "count": st.column_config.NumberColumn("Times", width=60),
        "sure": st.column_config.NumberColumn("Sure", format="percent", width=60),
    }
    st.dataframe(pd.DataFrame(table), hide_index=True, column_config=columns)
    if any(row.mode == "monitor" for row in rows):
        st.caption("A rule in mode monitor only notes what it would have done.")


def _alerts(rows: list[findings.AlertRow]) -> None:
    if not rows:
        return
    st.subheader("Alerts", anchor=False)
    table = [
        {
            "time": parts.clock(row.ts),
            "channel": visible(row.channel),
            "state": parts.chip(row.state),
            "rule": visible(row.rule),
            "attempts": row.attempts,
            "took": row.latency_ms,
            "error": visible(row.error),
        }
        for row in rows
    ]
    columns = {
        "time": "Time",
        "channel": "Channel",
        "state": parts.chips("State", ("sent", "failed", "dropped")),
        "rule": "Rule",
        "attempts": "Attempts",
        "took": st.column_config.NumberColumn("Took", format="%d ms"),
        "error": "Error",
    }
    st.dataframe(pd.DataFrame(table), hide_index=True, column_config=columns)


def _policies(full: calls.FullCall) -> None:
    st.subheader("Policy", anchor=False)
    st.text(f"Version {visible(full.call.policy_version) or '–'}, as it stood when this call was judged")
    if not full.policies:
        st.caption("The texts of this version are not in the record.")
        return
    deciding = {finding.policy for finding in full.findings}
    with st.expander(f"Show its {len(full.policies)} files", icon=":material/description:"):
        for file in sorted(full.policies, key=lambda file: not any(f"policy: {name}\n" in file.text for name in deciding)):
            st.text(visible(file.path))
            st.code(visible_lines(file.text), language="yaml", line_numbers=True)


def _show(full: calls.FullCall) -> None:
    call = full.call
    st.title("Call", anchor=False)
    st.code(visible(f"{call.server}: {call_name(call.method, call.tool)}"), language=None, wrap_lines=True)
    _verdict(call)
    _facts(_timing(call), 4)
    st.space("small")
    asked, answered = st.columns(2)
    with asked:
        _payload("Request, as recorded", call.request, call.request_bytes)
    with answered:
        _payload("Response, as recorded", call.response, call.response_bytes)
    _coverage(call)
    _findings(full.findings)
    _alerts(full.alerts)
    st.subheader("Details", anchor=False)
    _facts(_who_and_where(call), 4)
    if call.attrs:
        st.caption("Attributes")
        st.code(
            "\n".join(f"{visible(name)}: {visible(value)}" for name, value in call.attrs.items()),
            language=None,
            wrap_lines=True,
        )
    if call.session:
        st.page_link(
            "views/calls.py",
            label="All calls of this session",
            icon=":material/timeline:",
            query_params={"session": call.session},
        )
    _policies(full)


@st.fragment(run_every=parts.REFRESH_S)
def _await(call_id: UUID) -> None:
    """A call is recorded when it ends, and its alert may be quicker: what is known already, until the rest is there."""
    try:
        if calls.call(parts.client(), call_id):
            st.rerun()
        known = findings.findings_of(parts.client(), call_id)
    except StoreError:
        return
    st.info(
        "This call is not in the record: it is still under way, or older than the record. Looking again by itself.",
        icon=":material/hourglass_top:",
    )
    if known:
        _findings(known)


def _page() -> None:
    st.page_link("views/calls.py", label="All calls", icon=":material/arrow_back:")
    asked = st.query_params.get("id", "")
    if not asked:
        st.info("Which call? Open one from the list of calls or from an alert's link.", icon=":material/search:")
        return
    try:
        call_id = UUID(asked)
    except ValueError:
        st.error("This is not the id of a call. Open one from the list of calls.", icon=":material/error:")
        st.code(visible(asked), language=None, wrap_lines=True)
        return
    try:
        full = calls.call(parts.client(), call_id)
    except StoreError:
        full = None
    if full is None:
        _await(call_id)
    else:
        _show(full)


_page()
