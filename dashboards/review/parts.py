"""What the pages share: the record's client, the filter bar, and the display of words, times and tables.

Recorded text reaches the browser only as plain text, code, table cells or choices of a select box: none of these interprets
markup.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from clickhouse_connect.driver.client import Client
from rows import COLOURS

from sidecar.errors import SidecarError, StoreError
from sidecar.record.store import reader
from sidecar.review import health
from sidecar.review.calls import PolicyFile
from sidecar.review.filters import Filters, from_query
from sidecar.review.visible import visible, visible_lines
from sidecar.review.wording import VERDICTS
from sidecar.settings import DEFAULT_FILE, Settings, load

REFRESH_S: Final = 2.0
NOTICES_S: Final = 5.0
ROWS_SHOWN: Final = 200
NODE_SPAN: Final = timedelta(days=90)
LOSS_SPAN: Final = timedelta(days=1)

SPANS: Final = {"15m": 15, "1h": 60, "6h": 360, "24h": 1440, "7d": 10_080, "30d": 43_200}
"""The time ranges to choose from, in minutes."""

BAR_COLOURS: Final = dict(zip(VERDICTS, ("#9aa7b8", "#5b9bd5", "#8b7fd6", "#d9c24a", "#e0a030", "#dc4c4c"), strict=True))
"""Charts cannot use theme colours; these are readable on light and dark."""


@st.cache_resource
def settings() -> Settings:
    """The settings file that ``sidecar review`` was started with."""
    return load(os.environ.get("SIDECAR_CONFIG", DEFAULT_FILE))


@st.cache_resource
def client() -> Client:
    """One connection pool to the record, shared by all visitors of the page."""
    return reader(settings())


def now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def wait_for_record() -> None:
    """Until the record answers, show a notice instead of the page; the page appears by itself afterwards."""
    try:
        client()
    except StoreError:
        _waiting()
        st.stop()
    except SidecarError as error:
        st.error("The record cannot be read with these settings.", icon=":material/error:")
        st.code(str(error), language=None)
        st.stop()


@st.fragment(run_every=REFRESH_S)
def _waiting() -> None:
    try:
        client()
    except StoreError as error:
        st.info(
            "Waiting for the record. This page loads by itself as soon as the record can be read.",
            icon=":material/hourglass_top:",
        )
        st.text("Start everything with 'sidecar up', or the record alone with 'sidecar collect'.")
        st.code(str(error), language=None, wrap_lines=True)
    else:
        st.rerun()


@st.fragment(run_every=NOTICES_S)
def notices() -> None:
    """The warnings shown on every page: policies that do not load, a stopped process, lost rows."""
    try:
        nodes = health.nodes(client(), now() - NODE_SPAN, now() - LOSS_SPAN)
    except StoreError as error:
        st.warning("The record does not answer at the moment. Trying again.", icon=":material/cloud_off:")
        st.code(str(error), language=None, wrap_lines=True)
        return
    for notice in health.notices(nodes):
        when = f" Since {clock(notice.since)}." if notice.since else ""
        (st.error if notice.is_grave else st.warning)(f"{notice.title}{when}", icon=":material/error:")
        if notice.detail or len(nodes) > 1:
            st.code(visible(f"{notice.node}: {notice.detail}".removesuffix(": ")), language=None, wrap_lines=True)


def span() -> timedelta:
    """The select box of time ranges; its choice is the URL parameter ``since``."""
    chosen = st.selectbox("Last", list(SPANS), index=3, key="since", bind="query-params")
    return timedelta(minutes=SPANS[chosen or "24h"])


def choice(label: str, name: str, options: Iterable[str]) -> str:
    """A select box whose choice is the URL parameter ``name``; other text may be typed. Empty means any."""
    offered = list(dict.fromkeys(option for option in options if option))
    chosen = st.selectbox(
        label,
        offered,
        index=None,
        key=name,
        bind="query-params",
        placeholder="Any",
        format_func=visible,
        accept_new_options=True,
    )
    return chosen or ""


def words(label: str, name: str, options: Sequence[str]) -> str:
    """One of a few fixed words, as buttons side by side; the URL parameter ``name``. Empty means any."""
    return st.pills(label, options, key=name, bind="query-params") or ""


def filters(since: timedelta, **chosen: str) -> Filters:
    """The choices of a filter bar as filters, together with the session or user that a link set."""
    brought = {name: st.query_params[name] for name in ("session", "user") if name in st.query_params}
    return from_query(brought | chosen, now() - since, ROWS_SHOWN)


def brought_filters() -> None:
    """Show which session or user a link limited this page to, with a button to show all again."""
    for name in ("session", "user"):
        if value := st.query_params.get(name):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(f"Only {name} {visible(value)}")
                if st.button("Show all", key=f"all-{name}", type="tertiary", icon=":material/close:"):
                    del st.query_params[name]
                    st.rerun()


def badge(word: str) -> None:
    """A verdict or severity as a coloured word."""
    if word in COLOURS:
        st.badge(word, color=COLOURS[word])  # type: ignore[arg-type]
    else:
        st.text(visible(word))


def zone() -> tzinfo:
    """The visitor's time zone, as the browser reports it."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def clock(when: datetime) -> str:
    """A time in the visitor's time zone, with the date when it is not today."""
    local = when.astimezone(zone())
    form = "%H:%M:%S" if local.date() == now().astimezone(zone()).date() else "%b %d %H:%M:%S"
    return local.strftime(form)


def ago(when: datetime | None) -> str:
    """How long ago, in the largest unit that fits."""
    if when is None:
        return "never"
    seconds = max(0, int((now() - when).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def call_link(call_id: UUID) -> str:
    """The URL at which a call is shown; alerts use the same one."""
    return f"{urlsplit(settings().link_base).path.rstrip('/')}/call?id={call_id}"


def figures(*pairs: tuple[str, str]) -> None:
    """Numbers side by side, each with its label."""
    for column, (label, value) in zip(st.columns(len(pairs)), pairs, strict=True):
        column.metric(label, value, border=True)


def plain(text: str) -> None:
    """Recorded text of any length, in its own box."""
    st.code(text, language=None, wrap_lines=True)


def policy_texts(files: Iterable[PolicyFile]) -> None:
    """The files of a policy version, or a note that they are not recorded."""
    files = list(files)
    if not files:
        st.caption("The texts of this version are not in the record.")
    for file in files:
        st.text(visible(file.path))
        st.code(visible_lines(file.text), language="yaml", line_numbers=True)
