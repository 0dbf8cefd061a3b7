"""One call in full: request and response as recorded, and why the verdict was what it was."""

from uuid import UUID

import parts
import streamlit as st
from rows import Column, Row, table

from sidecar.errors import StoreError
from sidecar.limits import HIGHLIGHT_CHARS_MAX
from sidecar.review import calls, findings
from sidecar.review.visible import pretty, visible, visible_lines
from sidecar.review.wording import call_name, duration, size

_STATUS = {
    "ok": "answered",
    "error": "answered with an error",
    "tool_error": "the tool reported an error",
    "blocked": "refused by the sidecar",
    "cancelled": "cancelled by the client",
    "no_response": "no answer was seen",
    "upstream_error": "the server could not be reached",
    "notification": "a notification, which has no answer",
}
_FINDING_COLUMNS = (
    Column("Severity", "word", width="5.5rem"),
    Column("Action", "word", width="5rem"),
    Column("Mode", "word", width="5.5rem"),
    Column("Rule", "wrap", width="8.5rem"),
    Column("Title", "wrap"),
    Column("Kind", width="8.5rem"),
    Column("Where", "wrap"),
    Column("Masked", width="8rem", help="The value is recorded nowhere; this is its masked form, and how often it occurs here"),
    Column("Fingerprint", width="6rem", help="The same value has the same fingerprint in every call"),
    Column("Sure", "number", width="4rem"),
)
_ALERT_COLUMNS = (
    Column("Time", width="8.5rem"),
    Column("State", "word", width="6rem"),
    Column("Channel"),
    Column("Rule"),
    Column("Attempts", "number", width="6rem"),
    Column("Took", "number", width="6rem"),
    Column("Error", "wrap"),
)


def _facts(facts: list[tuple[str, str]], width: int = 4) -> None:
    """Pairs of label and recorded text, ``width`` side by side."""
    for at in range(0, len(facts), width):
        for column, (label, value) in zip(st.columns(width), facts[at : at + width], strict=False):
            with column.container(gap=None):
                st.caption(label)
                st.text(visible(value).strip() or "–")


def _verdict(call: calls.ReadCall, is_told_below: bool) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            parts.badge(call.verdict)
            if call.rule:
                st.text(f"by rule {visible(call.rule)}")
            st.text(visible(": ".join(filter(None, [call.status, _STATUS.get(call.status)]))))
            if call.error_code:
                st.text(f"code {call.error_code}")
        if call.error_message and not is_told_below:
            st.caption("What the client was told")
            parts.plain(visible_lines(call.error_message))


def _timing(call: calls.ReadCall) -> list[tuple[str, str]]:
    share = f" ({call.overhead_us / call.duration_us:.1%})" if call.duration_us else ""
    return [
        ("Took", duration(call.duration_us) if call.duration_us else "unknown"),
        ("Of which the sidecar", duration(call.overhead_us) + share),
        ("Request", size(call.request_bytes)),
        ("Response", size(call.response_bytes)),
    ]


def _details(call: calls.ReadCall) -> list[tuple[str, str]]:
    return [
        ("Server", call.server),
        ("Method", call.method),
        ("Tool", call.tool),
        ("Requested by", "the server" if call.direction == "response" else "the client"),
        ("User", call.user or "not verified"),
        ("Client, as it names itself", f"{call.client} {call.client_version}"),
        ("Address", call.client_address),
        ("Session", f"{call.session} (by {call.session_kind})" if call.session else ""),
        ("Time", call.ts.astimezone(parts.zone()).strftime("%Y-%m-%d %H:%M:%S.%f %Z")),
        ("Node", call.node),
        ("Protocol", f"{call.protocol} {call.era} {call.transport}"),
        ("Request id", call.rpc_id),
        ("HTTP status", str(call.http_status or "")),
        ("Kind of result", call.result_type),
        ("Ended by", call.ended.replace("_", " ")),
        ("Anomalies", ", ".join(call.anomalies)),
        ("Response headers after", duration(call.headers_us) if call.headers_us else ""),
        ("First event after", duration(call.first_us) if call.first_us else ""),
        ("Decided in", duration(call.decision_us) if call.decision_us else ""),
        ("Other messages on its stream", str(call.events)),
        ("Trace", call.trace_id),
        ("Scanned", size(call.bytes_scanned) + (f" and {size(call.bytes_unwrapped)} decoded" if call.bytes_unwrapped else "")),
        ("Detectors run", f"{call.detectors} (version {call.detectors_version})" if call.detectors else "none"),
        ("Rules evaluated", f"{len(call.rules)}: {', '.join(call.rules)}" if call.rules else "none"),
    ]


def _payload(title: str, text: str, size_bytes: int) -> None:
    st.subheader(title, anchor=False)
    if not text:
        kept = f"{size(size_bytes)}; the text is not recorded for this server, or for calls that ended like this."
        st.caption(kept if size_bytes else "Nothing was recorded.")
        return
    shown, is_json = pretty(text)
    language = "json" if is_json and len(shown) <= HIGHLIGHT_CHARS_MAX else None
    st.code(shown, language=language, wrap_lines=True, height=460 if shown.count("\n") > 18 else "content")


def _refusal(label: str, told: str) -> None:
    st.subheader("Response", anchor=False)
    st.caption(f"The sidecar answered this call itself. {label}:")
    parts.plain(visible_lines(told))


def _coverage(call: calls.ReadCall) -> None:
    if call.truncated:
        st.caption("A payload was longer than the record stores, so its end is missing here. The size shown is the full size.")
    if call.skipped:
        much = size(call.bytes_skipped) if call.bytes_skipped else "A part"
        st.warning(f"{much} of this call was not scanned.", icon=":material/visibility_off:")
        parts.plain(visible(", ".join(call.skipped)))


def _finding(row: findings.FindingRow) -> Row:
    what = (row.severity, row.action, row.mode, row.rule, row.title, row.kind, f"{row.direction} {row.path}")
    times = f" ×{row.count}" if row.count > 1 else ""
    return Row((*what, row.preview + times, row.fingerprint, f"{row.confidence:.0%}"))


def _findings(rows: list[findings.FindingRow]) -> None:
    st.subheader("Findings", anchor=False)
    if not rows:
        st.caption("No rule found anything in this call.")
        return
    table(_FINDING_COLUMNS, [_finding(row) for row in rows], key="call-findings")
    if any(row.mode == "monitor" for row in rows):
        st.caption("A rule in monitor mode only records what it would have done.")


def _alert(row: findings.AlertRow) -> Row:
    cells = (parts.clock(row.ts), row.state, row.channel, row.rule)
    return Row((*cells, str(row.attempts), f"{row.latency_ms} ms", row.error))


def _policies(full: calls.CallInFull) -> None:
    st.subheader("Policy", anchor=False)
    st.text(f"Version {visible(full.call.policy_version) or '–'}, as it stood when this call was judged")
    deciding = [f"policy: {finding.policy}\n" for finding in full.findings]
    first = sorted(full.policies, key=lambda file: not any(line in file.text for line in deciding))
    with st.expander("Show its files", icon=":material/description:"):
        parts.policy_texts(first)


def _show(full: calls.CallInFull) -> None:
    call = full.call
    st.title("Call", anchor=False)
    parts.plain(visible(f"{call.server}: {call_name(call.method, call.tool)}"))
    label, told = calls.refusal(full)
    _verdict(call, bool(told))
    _facts(_timing(call))
    st.space("small")
    asked, answered = st.columns(2)
    with asked:
        _payload("Request, as recorded", call.request, call.request_bytes)
    with answered:
        if told:
            _refusal(label, told)
        else:
            _payload("Response, as recorded", call.response, call.response_bytes)
    _coverage(call)
    _findings(full.findings)
    if full.alerts:
        st.subheader("Alerts", anchor=False)
        table(_ALERT_COLUMNS, [_alert(row) for row in full.alerts], key="call-alerts")
    st.subheader("Details", anchor=False)
    _facts(_details(call))
    if call.attrs:
        st.caption("Attributes")
        parts.plain("\n".join(f"{visible(name)}: {visible(value)}" for name, value in call.attrs.items()))
    if call.session:
        session = {"session": call.session}
        st.page_link("views/calls.py", label="All calls of this session", icon=":material/timeline:", query_params=session)
    _policies(full)


@st.fragment(run_every=parts.REFRESH_S)
def _await(call_id: UUID) -> None:
    """A call is recorded when it ends, and its alert may be earlier: show what is known until the call is recorded."""
    try:
        is_there = calls.call(parts.client(), call_id) is not None
        known = findings.findings_of(parts.client(), call_id)
    except StoreError:
        return
    if is_there:
        st.rerun()
    why = "it is still running, or older than the record. This page checks again by itself."
    st.info(f"This call is not in the record: {why}", icon=":material/hourglass_top:")
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
        parts.plain(visible(asked))
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
